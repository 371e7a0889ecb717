"""Helpers shared by several commands."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ezclip.errors import ConfigError, LabelError
from ezclip.text.labels import label_set, parse_labels, read_labels_file

if TYPE_CHECKING:
    from accelerate import PartialState


def print_json(value: Any) -> None:
    """Print a JSON document to stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def warn(messages: list[str]) -> None:
    """Print warnings to stderr."""
    for message in messages:
        print(f"warning: {message}", file=sys.stderr)


@contextmanager
def launched(*, cpu: bool = False) -> Iterator[PartialState]:
    """The state of ``accelerate launch``, or of a single process; the process group is destroyed on exit."""
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=cpu or not torch.accelerator.is_available())  # else it ignores the launcher on a CPU
    try:
        yield state
    finally:
        gc.collect()  # a DDP model that outlives its process group aborts the interpreter at exit
        state.destroy_process_group()


def labels_from_options(labels: str | None, labels_file: Path | None, set_name: str | None) -> list[str]:
    """Class names from the one option that is set; raises LabelError for none, several or invalid names."""
    if [labels, labels_file, set_name].count(None) != 2:
        raise LabelError('Give the class names with one of --labels "a, b, c", --labels-file F or --label-set NAME.')
    if set_name is not None:
        return label_set(set_name)
    names, warnings = parse_labels(labels) if labels is not None else read_labels_file(labels_file or Path())
    warn(warnings)
    return names


def check_out(folder: Path) -> None:
    """Raise ConfigError for a folder that cannot be created or written; creates nothing."""
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise ConfigError(f"{folder.name} cannot be used as the output folder; choose another.")


def check_project(root: Path, required: str) -> None:
    """Raise ConfigError for a folder that cannot be written or lacks the file or folder ``required``."""
    check_out(root)
    if not (root / required).exists():
        raise ConfigError(f"There is no {required} here; run this in the project's folder, or give --root.")
