"""Prompt texts for class names."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from ezclip.errors import LabelError
from ezclip.files import spreadsheet_text

_SETS = Path(__file__).with_name("descriptions")
_PARAPHRASES = Path(__file__).with_name("paraphrases") / "tabletop.csv"
KINDS = ("trained", "names", "templates", "descriptions", "paraphrases")
_REPEATS = 240  # texts of each kind in ``varied_texts``, so that every text of most kinds occurs equally often
VARIED = "varied"  # training texts: all but the held-out paraphrases, see ``varied_texts``
# ActionCLIP's sixteen prompts, which the release samples from in training and averages over in evaluation.
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
# Open-VCLIP's 28 prompts, CLIP's original ones for actions, including "a example"; their unit vectors are averaged.
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
    """Fill the label into each template, with underscores replaced by spaces."""
    name = label.replace("_", " ").strip()
    return [template.replace("{}", name) for template in templates]


def read_descriptions(path: str | Path) -> dict[str, str]:
    """Class name -> description from a CSV in the release's format: a header, then number, class name, description.

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
    """Class name -> description from a shipped set or a CSV file; raises LabelError."""
    sets = description_sets()
    path = _SETS / f"{source}.csv" if source in sets else Path(source)
    if not path.is_file():
        raise LabelError(f"Unknown descriptions {source!r}; give a CSV file, shipped or one of {', '.join(sets)}.")
    return read_descriptions(path)


def shipped_descriptions(labels: Iterable[str]) -> dict[str, str]:
    """Class name -> description from all shipped sets.

    Some classes are in several sets. The description is then that of the set that has most of ``labels``, or of the
    larger one, so that the classes of a data set have its own descriptions.
    """
    keys = set(map(_key, labels))
    by_priority = sorted(map(_shipped_set, description_sets()), key=lambda s: (len(keys & set(map(_key, s))), len(s)))
    return {label: text for one in by_priority for label, text in one.items()}


def check_texts(texts: str) -> str:
    """Return ``texts`` if it is one of ``KINDS`` or a template with {} for the name; otherwise raise LabelError."""
    if texts not in KINDS and "{}" not in texts:
        raise LabelError(
            f"Unknown texts {texts[:80]!r}; choose one of {', '.join(KINDS)}, or a template with {{}} for the name."
        )
    return texts


def sentences(
    labels: list[str], texts: str, trained: str, user_sentences: Mapping[str, str] | None = None
) -> dict[str, list[str]]:
    """The prompt texts of each label, the same number for all.

    Args:
        labels: class names.
        texts: "trained" uses ``trained``; "names" and "varied" the bare names; "templates" the release's 16;
            "descriptions" the ``shipped_descriptions``; "paraphrases" the two held-out paraphrases of
            Tabletop's classes; the last two use the bare name for other labels. A text with {} is a template, anything
            else a CSV file with a description of every label.
        trained: the texts of the model's training, "names", "templates", "varied" or "descriptions".
        user_sentences: label -> sentence that replaces its prompt texts.

    Raises:
        LabelError: a file cannot be used or lacks a label.
    """
    texts = trained if texts == "trained" else texts
    templates = {"names": NAME_ONLY, VARIED: NAME_ONLY, "templates": TEMPLATES}
    if texts == "descriptions":
        described = {_key(label): text for label, text in shipped_descriptions(labels).items()}
        prompts = {label: [described.get(_key(label), label)] for label in labels}
    elif texts == "paraphrases":
        prompts = {label: paraphrases().get(_key(label), {}).get("held out", [label, label]) for label in labels}
    elif texts in templates or "{}" in texts:
        prompts = {label: fill(label, templates.get(texts, (texts,))) for label in labels}
    else:
        prompts = {label: [text] for label, text in zip(labels, describe(labels, descriptions(texts)), strict=True)}
    for label, text in (user_sentences or {}).items():
        if label in prompts and text.strip():
            prompts[label] = [text.strip()] * len(prompts[label])
    return prompts


def describe(labels: list[str], descriptions: dict[str, str]) -> list[str]:
    """The description of each label, ignoring case, spaces and underscores; raises LabelError if one is missing."""
    by_key = {_key(name): text for name, text in descriptions.items()}
    missing = [label for label in labels if _key(label) not in by_key]
    if missing:
        raise LabelError(f"No description for {len(missing)} labels, first {missing[0]!r}; add a row for each.")
    return [by_key[_key(label)] for label in labels]


@cache
def paraphrases() -> dict[str, dict[str, list[str]]]:
    """Alternative wordings of Tabletop's classes: normalised class name (``_key``) -> kind -> texts.

    For training, each class has three texts of kind "paraphrase", two of kind "concrete", which name things, and about
    120 of kind "crowd", as different people might word it; for testing, two of kind "held out". Those of the crowd were
    written by somebody who had not read the others.
    """
    with _PARAPHRASES.open(newline="", encoding="utf-8") as file:
        _, *rows = csv.reader(file)
    classes: dict[str, dict[str, list[str]]] = {}
    for name, kind, text in rows:
        classes.setdefault(_key(name), {}).setdefault(kind, []).append(text)
    return classes


def varied_texts(label: str) -> list[str]:
    """Training texts of a Tabletop class: its name first, then templates, paraphrases, concrete sentences, those of the
    crowd and the description, repeated so that these six kinds are equally frequent; raises LabelError for other
    classes.
    """
    by_kind = paraphrases().get(_key(label))
    if by_kind is None:
        raise LabelError(f"No paraphrases for {label!r}; varied texts are those of Tabletop's classes.")
    description = describe([label], _shipped_set("tabletop"))
    written = (by_kind["paraphrase"], by_kind["concrete"], by_kind["crowd"])
    kinds = (fill(label), fill(label, TEMPLATES), *written, description)
    return [texts[i % len(texts)] for i in range(_REPEATS) for texts in kinds]


def in_words_of_training(text: str) -> bool:
    """Whether each word of a text occurs at least twice in the texts of ``varied_texts``."""
    return all(_word_counts()[word] > 1 for word in _words(text))


@cache
def _word_counts() -> Counter[str]:
    by_kind = [item for kinds in paraphrases().values() for item in kinds.items() if item[0] != "held out"]
    texts = [*_shipped_set("tabletop").values(), *(text for _, texts in by_kind for text in texts)]
    return Counter(word for text in texts for word in _words(text))


@cache
def _shipped_set(name: str) -> dict[str, str]:
    return descriptions(name)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def _key(name: str) -> str:
    return "".join(name.replace("_", " ").casefold().split())
