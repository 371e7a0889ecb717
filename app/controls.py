"""Gradio components of study parameters, and the controls that all tabs share."""

from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from ezclip.parameters import ParameterField, build, parameters_of
from ezclip.studies.declaration import Study
from ezclip.types import Keywords


def find(study: type[Study], name: str) -> ParameterField:
    """The declaration of a parameter."""
    return next(field for field in parameters_of(study) if field.name == name)


def control(study: type[Study], name: str, **layout: Any) -> Any:
    """The control of a parameter with its default, limits and choices; ``layout`` overrides component arguments."""
    field = find(study, name)
    p = field.parameter
    component: Any = gr.Textbox
    options: Keywords = {"label": field.title, "elem_id": name.replace("_", "-"), "value": field.default}
    if p.allowed:
        component, options["choices"] = gr.Dropdown, list(p.allowed)
    elif isinstance(field.default, bool):
        component = gr.Checkbox
    elif isinstance(field.default, int | float):
        component = gr.Number if p.step is None else gr.Slider
        options |= {"minimum": p.low, "maximum": p.high}
        options |= {"precision": 0 if isinstance(field.default, int) else None} if p.step is None else {"step": p.step}
    return component(**(options | layout))


def endpoint_input(field: ParameterField, default: Any, name: str) -> Any:
    """The invisible component of a parameter of an endpoint."""
    kind = field.parameter.kind
    hidden: Keywords = {"visible": False, "label": name}
    if kind in ("clip", "archive", "example") or kind == "table" and not default:
        return gr.File(**hidden)
    if kind in ("clips", "stream"):
        return gr.File(file_count="multiple", **hidden)
    if kind == "sentences":
        box = gr.JSON({}, **hidden)  # MCP clients reject its default schema, which is invalid
        box.api_info = lambda: {"type": "object", "additionalProperties": {"type": "string"}}
        return box
    if isinstance(default, bool):
        return gr.Checkbox(default, **hidden)
    if isinstance(default, int | float):
        return gr.Number(default, **hidden)
    return gr.Textbox(", ".join(default) if isinstance(default, tuple) else default, **hidden)


class Controls(NamedTuple):
    """Components above the results whose values are parameters of every study, used together as inputs of events.

    Attributes:
        video: the player.
        preview: state: (file in the player, the user's file), None if they are the same.
        labels: class names.
        baseline: name of the first model.
        model: name of the second model.
        texts: prompt text.
        sentences: state: the user's sentences by class.
    """

    video: gr.Video
    preview: gr.State
    labels: gr.Textbox
    baseline: gr.Dropdown
    model: gr.Dropdown
    texts: gr.Dropdown
    sentences: gr.State

    def clip(self, played: str | None, pair: Any) -> str:
        """The user's file of the clip in the player; empty without a clip."""
        return (pair[1] if pair and played and Path(pair[0]).name == Path(played).name else played) or ""

    def study(self, kind: type[Study], values: tuple[Any, ...], **parameters: Any) -> Any:
        """A study from the values of the controls; ``parameters`` adds or overrides values.

        Raises:
            UserError: invalid values.
        """
        played, pair, *others = values
        shared = dict(zip(self._fields[2:], others, strict=True))
        return build(kind, shared | {"clip": self.clip(played, pair)} | parameters)
