"""``python -m ezclip``, also under ``accelerate launch -m ezclip``."""

import sys

from ezclip.cli import main

if __name__ == "__main__":
    sys.exit(main())
