"""Declared parameters: one place for each default, limit, choice and help text.

A dataclass whose fields have a default and are ``Annotated`` with a ``Parameter`` declares the inputs of a study.
Command line, endpoint, page and validation are derived from it; a field whose type is such a dataclass contributes
its fields.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_type_hints

from ezclip.errors import UserError

_Input = Literal["clip", "clips", "stream", "archive", "table", "index", "example"]  # files and folders
Kind = Literal[_Input, "value", "query", "labels", "sentences", "model", "models"]


@dataclass(frozen=True)
class Parameter:
    """The declaration of a parameter, given in ``Annotated``: the only place of its help, limits and choices."""

    help: str  # one sentence
    title: str = ""  # label of its control; empty takes the field's name
    low: float | None = None  # smallest value allowed; None for any value
    high: float | None = None  # largest value allowed; None for any from ``low``
    step: float | None = None  # of a slider
    choices: tuple[str, ...] | Callable[[], tuple[str, ...]] = ()  # the values allowed, or a function that returns them
    kind: Kind = "value"  # what the value means, where its type does not tell
    flag: str = ""  # name of its option; empty takes the field's name

    @property
    def allowed(self) -> tuple[str, ...]:
        """The choices as they are now."""
        return self.choices() if callable(self.choices) else self.choices


@dataclass(frozen=True)
class Declared:
    """One parameter of a dataclass."""

    name: str  # of the field
    type: Any  # of its values, for example ``float``
    default: Any  # its value where none is given
    parameter: Parameter  # its declaration
    group: str = ""  # the field that holds it, where it belongs to a nested dataclass

    @property
    def title(self) -> str:
        """Label of its control."""
        return self.parameter.title or self.name.replace("_", " ").capitalize()

    @property
    def flag(self) -> str:
        """Name of its option."""
        return self.parameter.flag or self.name.replace("_", "-")

    def check(self, value: Any) -> None:
        """Raise UserError for a value outside the limits or choices."""
        p = self.parameter
        if p.allowed and value not in p.allowed:
            raise UserError(
                f"There is no {self.name.replace('_', ' ')} {value!r}; choose one of {', '.join(p.allowed)}."
            )
        if self.type is str and not isinstance(value, str):
            raise UserError(f"{self.name} is {str(value)[:80]}; it must be a text.")
        if p.kind == "sentences" and not (isinstance(value, dict) and all(isinstance(v, str) for v in value.values())):
            raise UserError(f"{self.name} is {str(value)[:80]}; it must map class names to sentences.")
        if p.low is None:
            return
        number = isinstance(value, int | float)
        if not number or not p.low <= value <= (math.inf if p.high is None else p.high):
            allowed = f"at least {p.low:g}" if p.high is None else f"between {p.low:g} and {p.high:g}"
            raise UserError(f"{self.name} is {f'{value:g}' if number else value}; it must be {allowed}.")


@cache
def declared(cls: type) -> tuple[Declared, ...]:
    """The parameters of a dataclass in the order of its fields, those of nested dataclasses in place of their field."""
    found, hints = [], get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            assert isinstance(kind, type)
            found += [dataclasses.replace(inner, group=field.name) for inner in declared(kind)]
        else:
            bare, parameter = get_args(kind)
            default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            found.append(Declared(field.name, bare, default, parameter))
    return tuple(found)


def values_of(instance: Any) -> dict[str, Any]:
    """Name -> value of every declared parameter of a dataclass instance."""
    parameters = declared(type(instance))
    return {one.name: getattr(getattr(instance, one.group) if one.group else instance, one.name) for one in parameters}


def build(cls: type, values: dict[str, Any]) -> Any:
    """An instance from flat values, defaults where absent or None; raises UserError outside limits or choices."""
    hints, groups = get_type_hints(cls), defaultdict[str, dict[str, Any]](dict)
    for one in declared(cls):
        if values.get(one.name) is not None:
            groups[one.group][one.name] = values[one.name]
    own = groups.pop("", {})
    return cls(**own, **{group: hints[group](**inner) for group, inner in groups.items()})


def check_parameters(instance: Any) -> None:
    """Raise UserError for the first value of a dataclass instance that is outside its limits or choices."""
    values = values_of(instance)
    for one in declared(type(instance)):
        one.check(values[one.name])
