"""Prompt texts of class names."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ezclip.errors import LabelError
from ezclip.files import spreadsheet_text

_SETS = Path(__file__).with_name("descriptions")
_PARAPHRASES = Path(__file__).with_name("paraphrases") / "tabletop.csv"
KINDS = ("trained", "names", "templates", "descriptions", "paraphrases")
VARIED = "varied"  # texts of a training that draws from all but the held-out paraphrases
# ActionCLIP's sixteen prompts, which the release draws from in training and averages over in evaluation.
TEMPLATES: tuple[str, ...] = (
    "a photo of action {}",
    "a picture of action {}",
    "Human action of {}",
    "{}, an action",
    "{} this is an action",
    "{}, a video of action",
    "Playing action of {}",
    "{}",
    "Playing a kind of action, {}",
    "Doing a kind of action, {}",
    "Look, the human is {}",
    "Can you recognize the action of {}?",
    "Video classification of {}",
    "A video of {}",
    "The man is {}",
    "The woman is {}",
)
# Open-VCLIP's 28, those of CLIP's authors for actions, "a example" included; their unit vectors are averaged.
OPEN_VCLIP: tuple[str, ...] = tuple(
    f"a {kind} of {person}{{}}."
    for kind in ("photo", "video", "example", "demonstration")
    for person in (
        "",
        *(f"a person {doing}" for doing in ("", "using ", "doing ", "during ", "performing ", "practicing ")),
    )
)
NAME_ONLY: tuple[str, ...] = ("{}",)


def fill(label: str, templates: tuple[str, ...] = NAME_ONLY) -> list[str]:
    """The label in each template, underscores read as spaces."""
    name = label.replace("_", " ").strip()
    return [template.replace("{}", name) for template in templates]


def read_descriptions(path: str | Path) -> dict[str, str]:
    """Description by class name from a CSV in the release's format: number, class name, description; a header first.

    Line breaks inside a description become spaces. Raises LabelError for a missing file, or with the number of a row
    without a name or a description.
    """
    path = Path(path)
    if not path.is_file():
        raise LabelError(f"There is no descriptions file {path.name}; check the path.")
    descriptions: dict[str, str] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for number, cells in enumerate(csv.reader(file), 1):
                row = list(map(spreadsheet_text, cells))
                if number == 1 or not any(cell.strip() for cell in row):
                    continue
                if len(row) < 3 or not row[1].strip() or not row[2].strip():
                    raise LabelError(f"{path.name}, row {number} needs a number, a class name and a description.")
                descriptions[row[1].strip()] = " ".join(row[2].split())
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabelError(f"{path.name} is not a CSV text file in UTF-8.") from error
    if not descriptions:
        raise LabelError(f"{path.name} has no descriptions.")
    return descriptions


def description_sets() -> list[str]:
    """Label sets with shipped descriptions, written for this project."""
    return sorted(path.stem for path in _SETS.glob("*.csv"))


def descriptions(source: str) -> dict[str, str]:
    """Description by class name from a shipped set, from all of them ("shipped"), or from a CSV file; or LabelError."""
    if source == "shipped":
        return {label: text for name in description_sets() for label, text in descriptions(name).items()}
    known = description_sets()
    path = _SETS / f"{source}.csv" if source in known else Path(source)
    if not path.is_file():
        raise LabelError(f"Unknown descriptions {source!r}; give a CSV file, shipped or one of {', '.join(known)}.")
    return read_descriptions(path)


def check_texts(texts: str) -> str:
    """One of ``KINDS`` or a template with {} for the name, or LabelError."""
    if texts not in KINDS and "{}" not in texts:
        raise LabelError(
            f"Unknown texts {texts[:80]!r}; choose one of {', '.join(KINDS)}, or a template with {{}} for the name."
        )
    return texts


def sentences(
    labels: list[str], texts: str, trained: str, own: Mapping[str, str] | None = None
) -> dict[str, list[str]]:
    """The prompt texts of each label, the same number for all.

    Args:
        labels: class names.
        texts: "trained" uses ``trained``, "names" uses the bare names, "templates" the release's 16, "descriptions"
            the shipped description, from any set, and the bare name where there is none, "paraphrases" the two of
            Tabletop's classes that training never draws, and the bare name of others; "varied" is "names"; a text with
            {} is a template; otherwise a CSV file with a description of every label.
        trained: what a model was trained with, "names", "templates", "varied" or "descriptions".
        own: a custom sentence for some labels, in place of their prompt texts.

    Raises:
        LabelError: a file that cannot be used, or lacks a label.
    """
    texts = trained if texts == "trained" else texts
    templates = {"names": NAME_ONLY, VARIED: NAME_ONLY, "templates": TEMPLATES}
    if texts == "descriptions":
        found = {label: [_shipped().get(_key(label), label)] for label in labels}
    elif texts == "paraphrases":
        found = {label: paraphrases().get(_key(label), {}).get("held out", [label, label]) for label in labels}
    elif texts in templates or "{}" in texts:
        found = {label: fill(label, templates.get(texts, (texts,))) for label in labels}
    else:
        found = {label: [text] for label, text in zip(labels, describe(labels, descriptions(texts)), strict=True)}
    given = {label: text.strip() for label, text in (own or {}).items() if text.strip()}
    return {label: [given[label]] * len(texts) if label in given else texts for label, texts in found.items()}


def describe(labels: list[str], descriptions: dict[str, str]) -> list[str]:
    """The description of each label, compared without case, spaces and underscores; LabelError if one has none."""
    by_key = {_key(name): text for name, text in descriptions.items()}
    missing = [label for label in labels if _key(label) not in by_key]
    if missing:
        raise LabelError(f"No description for {len(missing)} labels, first {missing[0]!r}; add a row for each.")
    return [by_key[_key(label)] for label in labels]


@cache
def paraphrases() -> dict[str, dict[str, list[str]]]:
    """Other wordings of Tabletop's classes, by a key of the class name that ignores case, spaces and underscores.

    Each has three of the kind "paraphrase" and two "concrete" ones, which name things, to train with, and two that are
    "held out" for tests.
    """
    with _PARAPHRASES.open(newline="", encoding="utf-8") as file:
        (_, *kinds), *rows = csv.reader(file)
    found: dict[str, dict[str, list[str]]] = {}
    for name, *texts in rows:
        own = found.setdefault(_key(name), {})
        for kind, text in zip(kinds, texts, strict=True):
            own.setdefault(kind, []).append(text)
    return found


def varied(label: str) -> list[str]:
    """Texts to train a class of Tabletop with: its name first, then templates, paraphrases, concrete sentences and the
    description, repeated so that each of these five kinds is drawn equally often; LabelError for another class.
    """
    own = paraphrases().get(_key(label))
    if own is None:
        raise LabelError(f"No paraphrases for {label!r}; varied texts are those of Tabletop's classes.")
    kinds = (fill(label), fill(label, TEMPLATES), own["paraphrase"], own["concrete"], [_shipped()[_key(label)]])
    return [kind[i % len(kind)] for i in range(math.lcm(*map(len, kinds))) for kind in kinds]


@cache
def _shipped() -> dict[str, str]:
    return {_key(label): text for label, text in descriptions("shipped").items()}


def _key(name: str) -> str:
    return "".join(name.replace("_", " ").casefold().split())
