"""Tab: how to read the pictures."""

import gradio as gr

from app import texts


def about_tab() -> None:
    """Static text."""
    with gr.Tab("About", id="about"):
        gr.Markdown(texts.ABOUT)
