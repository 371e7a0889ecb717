"""Gradio components from declared parameters, and the controls that all tabs share."""

from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from ezclip.parameters import Declared, build, declared
from ezclip.studies.declaration import Study
from ezclip.types import Keywords


def find(study: type[Study], name: str) -> Declared:
    """The declaration of one parameter."""
    return next(one for one in declared(study) if one.name == name)


def control(study: type[Study], name: str, **layout: Any) -> Any:
    """The control of a parameter with its default, limits and choices; ``layout`` adds to or replaces its arguments."""
    one = find(study, name)
    p = one.parameter
    kind: Any = gr.Textbox
    own: Keywords = {"label": one.title, "elem_id": name.replace("_", "-"), "value": one.default}
    if p.allowed:
        kind, own["choices"] = gr.Dropdown, list(p.allowed)
    elif isinstance(one.default, bool):
        kind = gr.Checkbox
    elif isinstance(one.default, int | float):
        kind = gr.Number if p.step is None else gr.Slider
        own |= {"minimum": p.low, "maximum": p.high}
        own |= {"precision": 0 if isinstance(one.default, int) else None} if p.step is None else {"step": p.step}
    return kind(**(own | layout))


def input_of(one: Declared, default: Any, name: str) -> Any:
    """The invisible component that takes a parameter at an endpoint."""
    kind = one.parameter.kind
    hidden: Keywords = {"visible": False, "label": name}
    if kind in ("clip", "archive", "example") or kind == "table" and not default:
        return gr.File(**hidden)
    if kind in ("clips", "stream"):
        return gr.File(file_count="multiple", **hidden)
    if kind == "sentences":
        box = gr.JSON({}, **hidden)  # its own schema is invalid, which MCP clients refuse
        box.api_info = lambda: {"type": "object", "additionalProperties": {"type": "string"}}
        return box
    if isinstance(default, bool):
        return gr.Checkbox(default, **hidden)
    if isinstance(default, int | float):
        return gr.Number(default, **hidden)
    return gr.Textbox(", ".join(default) if isinstance(default, tuple) else default, **hidden)


class Controls(NamedTuple):
    """Components above the results whose values are parameters of every study; all of them are an event's inputs.

    Attributes:
        video: the player.
        shown: state: (file shown in the player, the user's file), None where they are the same.
        labels: class names.
        baseline: name of the first model.
        model: name of the second.
        texts: prompt text.
        sentences: state: the user's own sentences by class.
    """

    video: gr.Video
    shown: gr.State
    labels: gr.Textbox
    baseline: gr.Dropdown
    model: gr.Dropdown
    texts: gr.Dropdown
    sentences: gr.State

    def clip(self, shown: str | None, pair: Any) -> str:
        """The user's file of the clip in the player; empty without a clip."""
        return (pair[1] if pair and shown and Path(pair[0]).name == Path(shown).name else shown) or ""

    def study(self, kind: type[Study], values: tuple[Any, ...], **more: Any) -> Any:
        """A study of the values of the controls, with further parameters by name.

        Raises:
            UserError: invalid values.
        """
        shown, pair, *others = values
        shared = dict(zip(self._fields[2:], others, strict=True))
        return build(kind, shared | {"clip": self.clip(shown, pair)} | more)
