"""What each button does; no Gradio here. Everything is computed by ``ezclip``."""
