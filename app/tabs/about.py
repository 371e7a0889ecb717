"""Tab: how to read the figures."""

from importlib.metadata import version

import gradio as gr

from app import texts
from ezclip import __version__


def about_tab() -> None:
    """Static text and the versions in use."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "open_clip_torch", "gradio", "captum", "av"))
    with gr.Tab(texts.TABS["about"], id="about"):
        gr.Markdown(f"{texts.ABOUT}ezclip {__version__}, {versions}")
