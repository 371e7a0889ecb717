"""Declared parameters: one place for each default, limit, choice and help text.

A dataclass whose fields are ``Annotated`` with a ``Parameter`` declares the inputs of a study. Command line, endpoint,
page and validation are derived from it; a field whose type is such a dataclass contributes its fields.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from ezclip.errors import UserError

Kind = Literal["value", "clip", "clips", "labels", "sentences", "model", "models", "stream", "archive", "table"]


@dataclass(frozen=True)
class Parameter:
    """The declaration of a parameter, given in ``Annotated``: the only place of its help, limits and choices.

    Command line, endpoint, page and validation are derived from it.

    Attributes:
        help: one sentence.
        title: label of its control; empty takes the field's name.
        low: smallest value allowed.
        high: largest value allowed.
        step: of a slider.
        choices: the values allowed; a function where they are registered elsewhere.
        kind: what the value means, where its type does not tell.
    """

    help: str
    title: str = ""
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[str, ...] | Callable[[], tuple[str, ...]] = ()
    kind: Kind = "value"

    @property
    def allowed(self) -> tuple[str, ...]:
        """The choices as they are now."""
        return self.choices() if callable(self.choices) else self.choices


@dataclass(frozen=True)
class Declared:
    """One parameter of a dataclass.

    Attributes:
        name: of the field.
        type: of its values, for example ``float``.
        default: None if it is required.
        parameter: its declaration.
        group: the field that holds it, where it belongs to a nested dataclass.
    """

    name: str
    type: Any
    default: Any
    parameter: Parameter
    group: str = ""

    @property
    def title(self) -> str:
        """Label of its control."""
        return self.parameter.title or self.name.replace("_", " ").capitalize()

    def check(self, value: Any) -> None:
        """Raise UserError for a value outside the limits or choices."""
        p = self.parameter
        if p.allowed and value not in p.allowed:
            raise UserError(
                f"There is no {self.name.replace('_', ' ')} {value!r}; choose one of {', '.join(p.allowed)}."
            )
        if p.low is None and p.high is None:
            return
        low, high = (-math.inf if p.low is None else p.low), (math.inf if p.high is None else p.high)
        if not isinstance(value, int | float) or not low <= value <= high:
            allowed = f"between {low:g} and {high:g}" if p.high is not None else f"at least {low:g}"
            given = f"{value:g}" if isinstance(value, int | float) else value
            raise UserError(f"{self.name} is {given}; it must be {allowed}.")


@cache
def declared(cls: type) -> tuple[Declared, ...]:
    """The parameters of a dataclass in the order of its fields, those of nested dataclasses in place of their field."""
    return tuple(_declared(cls))


def _declared(cls: type) -> Iterator[Declared]:
    hints = get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            assert isinstance(kind, type)
            yield from (dataclasses.replace(inner, group=field.name) for inner in declared(kind))
            continue
        bare, parameter = get_args(kind) if get_origin(kind) is Annotated else (kind, None)
        if not isinstance(parameter, Parameter):
            raise TypeError(f"{cls.__name__}.{field.name} has no Parameter")
        default = field.default
        if default is dataclasses.MISSING:
            default = None if field.default_factory is dataclasses.MISSING else field.default_factory()
        yield Declared(field.name, bare, default, parameter)


def values_of(instance: Any) -> dict[str, Any]:
    """Name -> value of every declared parameter of a dataclass instance."""
    found = {}
    for one in declared(type(instance)):
        holder = getattr(instance, one.group) if one.group else instance
        found[one.name] = getattr(holder, one.name)
    return found


def build(cls: type, values: dict[str, Any]) -> Any:
    """An instance from flat values; those that are absent or None take their defaults.

    Raises:
        UserError: a value outside its limits or choices.
    """
    given = {name: value for name, value in values.items() if value is not None}
    arguments: dict[str, Any] = {}
    hints = get_type_hints(cls)
    groups: dict[str, dict[str, Any]] = {}
    for one in declared(cls):
        if one.name in given:
            (groups.setdefault(one.group, {}) if one.group else arguments)[one.name] = given[one.name]
    for group, inner in groups.items():
        arguments[group] = hints[group](**inner)
    return cls(**arguments)


def check_parameters(instance: Any) -> None:
    """Raise UserError for the first value of a dataclass instance that is outside its limits or choices."""
    values = values_of(instance)
    for one in declared(type(instance)):
        one.check(values[one.name])
