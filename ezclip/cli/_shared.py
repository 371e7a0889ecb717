"""What several verbs do the same way."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ezclip.checkpoints.catalog import own_labels
from ezclip.errors import ConfigError, LabelError, VideoError
from ezclip.text.labels import label_set, parse_labels, read_labels_file
from ezclip.text.templates import check_texts, read_descriptions

if TYPE_CHECKING:
    from accelerate import PartialState


def print_json(value: Any) -> None:
    """The one document on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def warn(messages: list[str]) -> None:
    """Warnings go to stderr."""
    for message in messages:
        print(f"warning: {message}", file=sys.stderr)


@dataclass
class RolloutOptions:
    """Settings of rollouts."""

    fusion: Literal["mean", "max", "min"] = "mean"
    """How heads become one."""
    start_layer: int = 0
    """First block that rollout takes."""
    discard: float = 0.0
    """Share of the smallest attention entries that rollout drops."""


@dataclass
class Classes:
    """Class names to choose among, and what each becomes."""

    labels: str | None = None
    """Class names, separated by commas or one a line."""
    labels_file: Path | None = None
    """Text file with one name a line, or a CSV with a "name" column."""
    label_set: str | None = None
    """A set that ships: ucf101, hmdb51, kinetics400, kinetics600_unseen, ssv2, tabletop."""
    texts: str = "trained"
    """What a name becomes: as the model was "trained", the bare "names", 16 "templates", the "descriptions" that ship,
    or your own template, such as "a video of {}"."""
    sentences: Path | None = None
    """CSV with number, class and own sentence, for some of the names."""

    def read(self, *, model: str | None = None) -> tuple[list[str], dict[str, str]]:
        """The names, where none are given those of ``model``, and the own sentences.

        Raises:
            LabelError: no names and no model, several sources of names, or texts or files that cannot be used.
        """
        check_texts(self.texts)
        given = (self.labels, self.labels_file, self.label_set)
        names = own_labels(model) if model is not None and given == (None, None, None) else chosen_labels(*given)
        own = read_descriptions(self.sentences) if self.sentences else {}
        if strange := [name for name in own if name not in names]:
            file = self.sentences.name if self.sentences else ""
            raise LabelError(f"{len(strange)} names of {file} are no class names, first {strange[0]!r}.")
        return names, own


@contextmanager
def launched(*, cpu: bool = False) -> Iterator[PartialState]:
    """The processes that ``accelerate launch`` started, or this one alone; they part at the end of the block."""
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=cpu or not torch.accelerator.is_available())  # unasked it overlooks processes on CPUs
    try:
        yield state
    finally:
        gc.collect()  # a wrapped model that outlives its group aborts the interpreter at its end
        state.destroy_process_group()


def chosen_labels(labels: str | None, labels_file: Path | None, set_name: str | None) -> list[str]:
    """Class names from exactly one of the three options.

    Raises:
        LabelError: none or several given, or what they hold cannot be used.
    """
    given = [value is not None for value in (labels, labels_file, set_name)]
    if sum(given) != 1:
        raise LabelError('Give the class names with one of --labels "a, b, c", --labels-file F or --label-set NAME.')
    if set_name is not None:
        return label_set(set_name)
    names, warnings = parse_labels(labels) if labels is not None else read_labels_file(labels_file or Path())
    warn(warnings)
    return names


def check_out(folder: Path) -> None:
    """Refuse an output folder that cannot be made or written, before any work; nothing is made yet.

    Raises:
        ConfigError: a file is in the way, or there is no permission.
    """
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise ConfigError(f"{folder.name} cannot be used as the output folder; choose another.")


def check_exists(path: str) -> None:
    """Raise VideoError if nothing is at ``path``."""
    if not Path(path).exists():
        raise VideoError(f"There is no file {Path(path).name}; check the path.")
