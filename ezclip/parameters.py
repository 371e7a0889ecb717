"""Parameters of studies: a single definition of each default, limit, choice and help text.

A study declares its inputs as a dataclass whose fields have a default and are ``Annotated`` with a ``Parameter``.
Command line, endpoint, page and validation are derived from it. A field whose type is another such dataclass
contributes the fields of that dataclass.
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
    """Help, limits and choices of a parameter, as metadata of ``Annotated``."""

    help: str  # one sentence
    title: str = ""  # label of its control; empty uses the field name
    low: float | None = None  # minimum; None disables the range check
    high: float | None = None  # maximum; None for no upper limit
    step: float | None = None  # of a slider
    choices: tuple[str, ...] | Callable[[], tuple[str, ...]] = ()  # allowed values, or a function that returns them
    kind: Kind = "value"  # what the value denotes, beyond its type
    flag: str = ""  # name of its option; empty uses the field name

    @property
    def allowed(self) -> tuple[str, ...]:
        """The current choices."""
        return self.choices() if callable(self.choices) else self.choices


@dataclass(frozen=True)
class ParameterField:
    """A parameter of a dataclass, with the name, type and default of its field."""

    name: str
    type: Any  # for example ``float``
    default: Any
    parameter: Parameter
    group: str = ""  # name of the outer field, for a parameter of a nested dataclass

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
        is_number = isinstance(value, int | float)
        if not is_number or not p.low <= value <= (math.inf if p.high is None else p.high):
            limits = f"at least {p.low:g}" if p.high is None else f"between {p.low:g} and {p.high:g}"
            raise UserError(f"{self.name} is {f'{value:g}' if is_number else value}; it must be {limits}.")


@cache
def parameters_of(cls: type) -> tuple[ParameterField, ...]:
    """The parameters of a dataclass in field order; a nested dataclass is replaced by its own parameters."""
    parameters, hints = [], get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            assert isinstance(kind, type)
            parameters += [dataclasses.replace(inner, group=field.name) for inner in parameters_of(kind)]
        else:
            value_type, parameter = get_args(kind)
            default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            parameters.append(ParameterField(field.name, value_type, default, parameter))
    return tuple(parameters)


def values_of(instance: Any) -> dict[str, Any]:
    """Name -> value of every parameter of a dataclass instance."""
    fields = parameters_of(type(instance))
    return {f.name: getattr(getattr(instance, f.group) if f.group else instance, f.name) for f in fields}


def build(cls: type, values: dict[str, Any]) -> Any:
    """An instance from flat values; an absent value or None means the default. Raises UserError for invalid values."""
    hints, groups = get_type_hints(cls), defaultdict[str, dict[str, Any]](dict)
    for field in parameters_of(cls):
        if values.get(field.name) is not None:
            groups[field.group][field.name] = values[field.name]
    ungrouped = groups.pop("", {})
    return cls(**ungrouped, **{group: hints[group](**inner) for group, inner in groups.items()})


def check_parameters(instance: Any) -> None:
    """Raise UserError for the first value of a dataclass instance that is outside its limits or choices."""
    values = values_of(instance)
    for field in parameters_of(type(instance)):
        field.check(values[field.name])
