"""The actions of buttons, without Gradio; all computation is in ``ezclip``."""
