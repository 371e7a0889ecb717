"""The Gradio front end: layout in tabs, work in actions, models in services."""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before Gradio is imported
