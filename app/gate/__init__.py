"""Middleware in front of Gradio: limits and ownership of uploads, response headers."""
