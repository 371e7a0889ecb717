"""The controls that say what is asked for, shared by all tabs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from ezclip.studies.analysis import Request


@dataclass
class Controls:
    """Components of the left column whose values make a ``Request``.

    Attributes:
        video: the player.
        shown: state: (what the player shows, the file that the user gave), None where they are the same.
        labels: class names.
        baseline: name of the first model.
        model: name of the second.
        texts: what a name becomes.
        sentences: state: the user's own sentences by class.
    """

    video: gr.Video
    shown: gr.State
    labels: gr.Textbox
    baseline: gr.Dropdown
    model: gr.Dropdown
    texts: gr.Dropdown
    sentences: gr.State

    @property
    def inputs(self) -> list[Any]:
        """What an event must take to call ``request``."""
        return [self.video, self.shown, self.labels, self.baseline, self.model, self.texts, self.sentences]

    def request(
        self,
        clip: str | None,
        pair: Any,
        labels: str,
        baseline: str,
        model: str,
        texts: str,
        sentences: dict[str, str] | None,
        **more: Any,
    ) -> Request:
        """The request for these values, with further fields set by name."""
        path = pair[1] if pair and clip and Path(pair[0]).name == Path(clip).name else clip
        asked = Request(path, labels, baseline, model, texts=texts, sentences=sentences or {})
        return replace(asked, **more)
