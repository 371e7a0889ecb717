"""The Gradio front end: layout in tabs, work in actions, models in services."""
