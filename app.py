"""Launches the app: ``python app.py``; see ``--help``. The same file starts a Hugging Face Space."""

import sys

if __name__ == "__main__":
    import app.zero_gpu  # noqa: F401 - before gradio and torch
    from ezclip.cli import main

    sys.exit(main(["app", *sys.argv[1:]]))
