"""Cards without loading a model: of a model (its files and measured results), and of a result (its provenance)."""

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
    backbones_beside,
    model_folder,
    read_config,
)
from ezclip.checkpoints.hub import PREFIX, data_name, pull
from ezclip.checkpoints.identity import DIGITS, Identity
from ezclip.files import sha256_of, shipped
from ezclip.types import Document

STUDY = shipped("results") / "tabletop" / "study"
STATIC_BIAS = STUDY.parent / "static_bias.json"
STATIC_SHEET = STATIC_BIAS.with_suffix(".webp")  # versions of some clips
SCOPE = "drawn table scenes (Tabletop Motion: things pushed, lifted, covered on a table)"
MEANING = (
    "On a real video the maps show where such a model looks and whether the order of the frames matters to it, but its "
    "ranking of actions is close to chance."
)


def model_card(name: str) -> Document:
    """Recorded and measured facts of a model by the name that ``load_model`` takes; unknown ones are left out.

    Of hf:organisation/name only config.json is downloaded. Raises CheckpointError where there is no such model.

    Returns:
        "name", "variant", "T" and "backbone" (its id, the fingerprint and, if the file is present, its bytes); of a
        trained model also "adapter" (sha256, bytes) if its file is present, "preset", "texts", "training" (data, clips,
        steps, batch_size, seed), "metrics" as its training recorded them, and "source" of a converted one; of a shipped
        one "measured" on Tabletop Motion: "test", and by name the out-of-distribution "families".
    """
    if name.startswith(FETCHED):
        variant, _, id = name.partition(":")
        return {"name": name, "variant": variant, "backbone": {"id": id}}
    folder = pull(name, (CONFIG,)) if name.startswith(PREFIX) else model_folder(name)
    config = read_config(folder)
    backbone: Document = {"id": config.backbone, "sha256": config.backbone_sha256[:DIGITS]}
    if files := backbones_beside(folder):
        backbone["bytes"] = files[0].stat().st_size
    card: Document = {"name": name, "variant": config.variant, "T": config.num_frames, "backbone": backbone}
    if (adapter := folder / ADAPTER).is_file():
        card["adapter"] = {"sha256": sha256_of(adapter)[:DIGITS], "bytes": adapter.stat().st_size}
    training = {key: config.training[key] for key in ("clips", "steps", "batch_size", "seed") if key in config.training}
    if data := config.training.get("data"):
        training["data"] = data_name(data)
    recorded = {
        "preset": config.preset,
        "texts": config.text,
        "metrics": config.metrics,
        "source": config.source,
        "training": training,
        "measured": measured(config.variant) if name == f"tabletop/{config.variant}" else {},
    }
    return card | {key: value for key, value in recorded.items() if value}


def shipped_report() -> Document:
    """report.json of the study on Tabletop Motion; empty if not shipped."""
    path = STUDY / "report.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def shipped_variants() -> list[str]:
    """Variants with shipped predictions on every test clip."""
    return [name for name in shipped_report().get("test", {}) if predictions_file(name).is_file()]


def predictions_file(variant: str) -> Path:
    """Path of a variant's shipped predictions."""
    return STUDY / f"predictions_{variant}.csv"


def measured(variant: str) -> Document:
    """A shipped model's "test" accuracies and, by name, those on "families" out of distribution; may be empty."""
    report = shipped_report()
    if variant not in report.get("test", {}):
        return {}
    keys = ("n", "top1", "top5", "within_pairs")
    test = {key: value for key, value in report["test"][variant].items() if key in keys}
    return {"test": test, "families": report.get("ood", {}).get(variant, {}).get("families", {})}


def measured_static() -> Document:
    """By variant, its "versions" and "single_frames" of ``reproduction.static_bias.measures``; empty if not shipped."""
    return json.loads(STATIC_BIAS.read_text("utf-8"))["models"] if STATIC_BIAS.is_file() else {}


def trained_on(card: Document) -> str:
    """The data set and its size as text; empty if they are not recorded."""
    training = card.get("training", {})
    return f"trained on {training['data']}, {training.get('clips', '?')} clips" if "data" in training else ""


def provenance(models: Iterable[Identity], /, **entries: str) -> dict[str, str]:
    """Names and values of a provenance card: ``entries``, one line a model, their limitations, and the versions."""
    every = list(dict.fromkeys(models))
    card = dict(entries) | {f"model {model.name}": model.describe() for model in every}
    if small := dict.fromkeys(model.name for model in every if model.name.startswith("tabletop/")):
        verb = "was" if len(small) == 1 else "were"
        card["limitations"] = f"{' and '.join(small)} {verb} trained only on {SCOPE}. {MEANING}"
    card["versions"] = f"ezclip {__version__}, torch {version('torch')}, open_clip {version('open_clip_torch')}"
    return card
