"""The Gradio front end: tabs lay out, actions work, services hold the models."""
