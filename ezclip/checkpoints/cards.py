"""Model cards (files and measured results) and provenance cards of results, without loading a model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from ezclip import __version__
from ezclip.checkpoints.catalog import (
    ADAPTER,
    CONFIG,
    FETCHED,
    SHIPPED,
    adjacent_backbones,
    model_folder,
    read_config,
)
from ezclip.checkpoints.hub import PREFIX, data_name, pull
from ezclip.checkpoints.identity import DIGITS, Identity
from ezclip.files import sha256_of, shipped
from ezclip.types import Document

STUDY = shipped("results") / "tabletop" / "study"
STATIC_BIAS = STUDY.parent / "static_bias.json"
WIDER_WORLD = STUDY.parent / "wider_world.json"
STATIC_SHEET = STATIC_BIAS.with_suffix(".webp")  # contact sheet of clip versions
SCOPE = "drawn scenes (Tabletop Motion: things pushed, lifted, covered on a table; wide/ also in other places)"
MEANING = (
    "On a real video the maps show where such a model looks and whether the order of the frames matters to it, but its "
    "ranking of actions is close to chance."
)


def model_card(name: str) -> Document:
    """The model card of a name accepted by ``load_model``; entries that are not recorded are omitted.

    For hf:organisation/name only config.json is downloaded. Raises CheckpointError if there is no such model.

    Returns:
        "name", "variant", "T" and "backbone" (id, fingerprint and, if the file is present, size in bytes). Trained
        models also have "adapter" (sha256, bytes) if the file is present, "preset", "texts", "training" (data, clips,
        steps, batch_size, seed) and "metrics" recorded in training; converted ones "source"; shipped ones "measured" on
        Tabletop Motion: "test", and by name the out-of-distribution "families".
    """
    if name.startswith(FETCHED):
        variant, _, id = name.partition(":")
        return {"name": name, "variant": variant, "backbone": {"id": id}}
    folder = pull(name, (CONFIG,)) if name.startswith(PREFIX) else model_folder(name)
    config = read_config(folder)
    backbone: Document = {"id": config.backbone, "sha256": config.backbone_sha256[:DIGITS]}
    if files := adjacent_backbones(folder):
        backbone["bytes"] = files[0].stat().st_size
    card: Document = {"name": name, "variant": config.variant, "T": config.num_frames, "backbone": backbone}
    if (adapter := folder / ADAPTER).is_file():
        card["adapter"] = {"sha256": sha256_of(adapter)[:DIGITS], "bytes": adapter.stat().st_size}
    training = {key: config.training[key] for key in ("clips", "steps", "batch_size", "seed") if key in config.training}
    if data := config.training.get("data"):
        training["data"] = data_name(data)
    entries = {
        "preset": config.preset,
        "texts": config.text,
        "metrics": config.metrics,
        "source": config.source,
        "training": training,
        "measured": shipped_accuracy(config.variant) if name == f"tabletop/{config.variant}" else {},
    }
    return card | {key: value for key, value in entries.items() if value}


def shipped_report() -> Document:
    """report.json of the shipped study on Tabletop Motion; may be empty."""
    path = STUDY / "report.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def shipped_variants() -> list[str]:
    """Variants with shipped predictions on all test clips."""
    return [name for name in shipped_report().get("test", {}) if predictions_file(name).is_file()]


def predictions_file(variant: str) -> Path:
    """Path of a variant's shipped predictions."""
    return STUDY / f"predictions_{variant}.csv"


def shipped_accuracy(variant: str) -> Document:
    """A shipped model's "test" accuracies and, by name, out-of-distribution "families"; may be empty."""
    report = shipped_report()
    if variant not in report.get("test", {}):
        return {}
    keys = ("n", "top1", "top5", "within_pairs")
    test = {key: value for key, value in report["test"][variant].items() if key in keys}
    families = report.get("ood", {}).get(variant, {}).get("families", {})
    return {"test": test, "families": families | _by_variant(WIDER_WORLD).get(variant, {})}


def shipped_static_bias() -> Document:
    """The shipped measures of ``reproduction.static_bias`` by variant, "versions" and "single_frames"; may be empty."""
    return _by_variant(STATIC_BIAS)


def _by_variant(path: Path) -> Document:
    return json.loads(path.read_text("utf-8"))["models"] if path.is_file() else {}


def training_summary(card: Document) -> str:
    """The training data and its size in words; empty if not recorded."""
    training = card.get("training", {})
    return f"trained on {training['data']}, {training.get('clips', '?')} clips" if "data" in training else ""


def provenance(models: Iterable[Identity], /, **entries: str) -> dict[str, str]:
    """Rows of a provenance card: ``entries``, one line per model, the models' limitations, and package versions."""
    distinct = list(dict.fromkeys(models))
    card = dict(entries) | {f"model {model.name}": model.describe() for model in distinct}
    if shipped_names := dict.fromkeys(model.name for model in distinct if model.name.startswith(SHIPPED)):
        verb = "was" if len(shipped_names) == 1 else "were"
        card["limitations"] = f"{' and '.join(shipped_names)} {verb} trained only on {SCOPE}. {MEANING}"
    card["versions"] = f"ezclip {__version__}, torch {version('torch')}, open_clip {version('open_clip_torch')}"
    return card
