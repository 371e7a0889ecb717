"""Launches the app: ``python app.py``; see ``--help``. The same file starts a Hugging Face Space."""

import argparse
import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")


def main() -> None:
    """Open the port first, load the models behind it."""
    from ezclip.checkpoints.catalog import DEFAULT

    parser = argparse.ArgumentParser(description="EZ-CLIP: what a video model sees, and whether it sees motion.")
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=os.environ.get("GRADIO_SERVER_PORT", "7860"))
    parser.add_argument("--model", default=DEFAULT, help="name, folder or clip:ARCH/TAG (default: %(default)s)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    arguments = parser.parse_args()
    from app.main import serve

    raise SystemExit(serve(arguments.host, arguments.port, model=arguments.model, device=arguments.device))


if __name__ == "__main__":
    main()
