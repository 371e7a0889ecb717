"""Base, novel and unseen classes, and few-shot draws; the published lists are in lists/."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ezclip.data.check import overlap
from ezclip.data.manifest import Row, labels_of, read_rows
from ezclip.errors import ConfigError
from ezclip.text.labels import read_labels_file, readable, same_name

log = logging.getLogger(__name__)
LISTS = Path(__file__).with_name("lists")
Unseen = Literal["paper", "names", "rivals"]
UNSEEN_CLASSES = {"kinetics600": {"paper": 220, "rivals": 160}}  # as counted in the publications


def base_classes(folder: Path, rows: Sequence[Row]) -> list[str]:
    """The base half of the classes of the data set in ``folder``, alphabetically.

    The first of: base_classes.csv or .txt in the folder; the release's list for a set with the folder's name, if the
    data has all of its classes; the half with the most clips, ties in alphabetical order. Warns if the release's list
    does not fit and if a tie was broken.

    Raises:
        ConfigError: the folder's file names classes that are not in the data.
    """
    labels = labels_of(rows)
    by_name = {same_name(label): label for label in labels}
    user_file = next((f for f in map(folder.joinpath, ("base_classes.csv", "base_classes.txt")) if f.is_file()), None)
    file = user_file or LISTS / f"{folder.name}_base.txt"
    if file.is_file():
        names = [readable(name) for name in read_labels_file(file)[0]]
        missing = [name for name in names if same_name(name) not in by_name]
        if not missing:
            return sorted(by_name[same_name(name)] for name in names)
        if user_file:
            raise ConfigError(f"{file.name} names {len(missing)} classes that the data lacks, first {missing[0]!r}.")
        log.warning(
            "%s lacks %d of the release's %d base classes, first %r: the base classes are those with the most clips.",
            folder.name, len(missing), len(names), missing[0],
        )  # fmt: skip
    counts = Counter(row.label for row in rows)
    ordered = sorted(labels, key=lambda label: (-counts[label], label))
    half = (len(labels) + 1) // 2
    if half < len(labels) and (count := counts[ordered[half]]) == counts[ordered[half - 1]]:
        log.warning(
            "%d classes of %s have %d training clips each: alphabetical order decided which are base classes; "
            "name them in %s/base_classes.csv to choose others.",
            list(counts.values()).count(count), folder.name, count, folder.name,
        )  # fmt: skip
    return sorted(ordered[:half])


def draw_shots(rows: Sequence[Row], shots: int, seed: int) -> list[Row]:
    """Draw ``shots`` clips of each class at random; all clips of a class that has fewer."""
    rng = np.random.default_rng([seed, shots])
    by_label: dict[str, list[Row]] = {label: [] for label in labels_of(rows)}
    for row in rows:
        by_label[row.label].append(row)
    return [clips[i] for clips in by_label.values() for i in sorted(rng.permutation(len(clips))[:shots])]


def shots_of(folder: Path, protocol: str, rows: Sequence[Row], shots: int, seed: int) -> tuple[list[Row], str]:
    """The clips of ``rows`` in draw number seed + 1 of a protocol, and the origin of the draw.

    The first of: PROTOCOL/shots_K_sN.parquet or .jsonl in the data set's folder, N = seed + 1; the release's draw,
    which ships for HMDB-51's base classes with K = 16; ``draw_shots``.

    Raises:
        ConfigError: a user's list without a clip of these classes.
    """
    labels = set(labels_of(rows))
    for suffix in (".parquet", ".jsonl"):
        path = folder / protocol / f"shots_{shots}_s{seed + 1}{suffix}"
        if path.is_file():
            clips = [row for row in read_rows(path) if row.label in labels]
            if not clips:
                raise ConfigError(f"{protocol}/{path.name} has no clip of the classes that are trained.")
            return clips, f"{protocol}/{path.name}"
    released = LISTS / f"{folder.name}_{protocol}_{shots}_s{seed + 1}.txt"
    if released.is_file():
        names = set(released.read_text("utf-8").splitlines())
        clips = [row for row in rows if row.path.stem in names]
        if len(clips) == len(names):
            return clips, f"the release's draw {seed + 1}"
        log.warning(
            "%s has %d of the %d clips of the release's draw %d: %d clips of each class are drawn by the seed instead.",
            folder.name, len(clips), len(names), seed + 1, shots,
        )  # fmt: skip
    return draw_shots(rows, shots, seed), f"seed {seed}"


def unseen_classes(data_set: str, labels: list[str], trained: Sequence[str]) -> dict[Unseen, list[list[str]]]:
    """Lists of the classes of a tested set that are not in the training set, by selection rule.

    Returns:
        "names": one list, the labels whose names are not among the trained ones. For kinetics600 also "paper", one
        list, "names" without eleven labels that are presumably trained classes under other names (lists/README.md),
        and, if the data has all of their classes, "rivals": three lists of 160.
    """
    novel = [label for label in labels if label not in overlap(labels, trained)]
    lists: dict[Unseen, list[list[str]]] = {"names": [novel]}
    if data_set == "kinetics600":
        renamed = overlap(labels, (LISTS / "kinetics600_renamed.txt").read_text("utf-8").splitlines())
        lists["paper"] = [[label for label in novel if label not in renamed]]
        draws = [path.read_text("utf-8").splitlines() for path in sorted(LISTS.glob("kinetics600_160_?.txt"))]
        rivals = [overlap(novel, draw) for draw in draws]
        if [len(classes) for classes in rivals] == [len(draw) for draw in draws]:
            lists["rivals"] = rivals
    return lists
