"""``python -m ezclip describe``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ezclip.cli._shared import check_out, chosen_labels
from ezclip.errors import ConfigError
from ezclip.progress import on_terminal


@dataclass
class Describe:
    """Let your own language model describe classes; training (text=FILE) and evaluation (--texts FILE) read the file.

    Run it again to describe the remaining classes.
    Example: python -m ezclip describe --label-set ucf101 --endpoint http://localhost:8000/v1 --llm qwen3 --out ucf.csv
    """

    out: Path
    """CSV file for number, class and description."""
    llm: str
    """The model's name at the endpoint; without an endpoint, a chat model of transformers by name or folder."""
    endpoint: str | None = None
    """Address of an OpenAI-compatible API; its key is read from the environment variable OPENAI_API_KEY."""
    labels: str | None = None
    """Class names, separated by commas."""
    labels_file: Path | None = None
    """Text file with one name per line, or a CSV with a "name" column."""
    label_set: str | None = None
    """A shipped set."""

    def run(self) -> int:
        """Describe the missing classes and print how many."""
        labels = chosen_labels(self.labels, self.labels_file, self.label_set)
        check_out(self.out.parent)
        if self.out.suffix != ".csv":
            raise ConfigError(f"{self.out.name} must end in .csv.")
        from ezclip.text.generate import endpoint, local, write_descriptions

        key = os.environ.get("OPENAI_API_KEY", "none")
        ask = endpoint(self.endpoint, self.llm, key) if self.endpoint else local(self.llm)
        written = on_terminal(write_descriptions(labels, ask, self.out))
        print(f"{written} of {len(labels)} classes were described; all are in {self.out.name}.")
        return 0
