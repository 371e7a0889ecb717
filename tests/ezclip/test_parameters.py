"""Declared parameters: limits, choices and nested groups."""

from dataclasses import dataclass
from typing import Annotated

import pytest

from ezclip.errors import UserError
from ezclip.parameters import Parameter, build, check_parameters, parameters_of, values_of


@dataclass(frozen=True)
class Inner:
    strength: Annotated[float, Parameter("How strong.", low=0.0, high=1.0)] = 0.5


@dataclass(frozen=True)
class Outer:
    name: Annotated[str, Parameter("A name.", choices=lambda: ("a", "b"))] = "a"
    inner: Inner = Inner()
    count: Annotated[int, Parameter("How many.", low=1)] = 2


def test_nested_parameters_stand_in_place_of_their_field() -> None:
    assert [(one.name, one.default, one.group) for one in parameters_of(Outer)] == [
        ("name", "a", ""),
        ("strength", 0.5, "inner"),
        ("count", 2, ""),
    ]
    outer = build(Outer, {"strength": 0.25, "count": None})
    assert outer == Outer(inner=Inner(0.25)) and values_of(outer) == {"name": "a", "strength": 0.25, "count": 2}


@pytest.mark.parametrize(
    ("values", "key"),
    [({"name": "c"}, "choose one of a, b"), ({"strength": 1.5}, "between 0 and 1"), ({"count": 0}, "at least 1")],
)
def test_values_outside_are_refused(values: dict, key: str) -> None:
    with pytest.raises(UserError, match=key):
        check_parameters(build(Outer, values))
