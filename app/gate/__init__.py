"""What stands before Gradio: limits of uploads and whose they are, headers of answers."""
