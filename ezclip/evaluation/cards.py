"""What is known of a model without loading it: its configuration, its files, and what was measured of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ezclip.checkpoints.catalog import ADAPTER, BACKBONE, model_folder, read_config
from ezclip.evaluation.provenance import adapter_digest
from ezclip.evaluation.shipped import measured


def model_card(name: str) -> dict[str, Any]:
    """Recorded and measured facts; what is not known is left out.

    Args:
        name: what ``load_model`` takes; hf:organisation/name may be downloaded.

    Returns:
        "name", "variant", "T" and "backbone" (its id, the fingerprint and, if the file is at hand, its bytes); of a
        trained model also "adapter" (sha256, bytes), "preset", "texts", "training" (data, clips, steps, batch_size,
        seed); of a shipped one "measured" on Tabletop Motion: "test", and by name the out-of-distribution "families".

    Raises:
        CheckpointError: no such model.
    """
    if name.startswith("clip:"):
        return {"name": name, "variant": "clip", "backbone": {"id": name.removeprefix("clip:")}}
    folder = model_folder(name)
    config = read_config(folder)
    backbone = config["backbone"]
    files = [path for path in (folder / BACKBONE, folder.parent / BACKBONE) if path.is_file()]
    card: dict[str, Any] = {
        "name": name,
        "variant": config["variant"],
        "T": config["num_frames"],
        "backbone": {"id": backbone["id"], "sha256": backbone["sha256"][:12]} | _bytes(files),
        "adapter": {"sha256": adapter_digest(name)} | _bytes([path for path in [folder / ADAPTER] if path.is_file()]),
    }
    card |= {key: config[entry] for key, entry in (("preset", "preset"), ("texts", "text")) if entry in config}
    training = config.get("training", {})
    told = {key: training[key] for key in ("clips", "steps", "batch_size", "seed") if key in training}
    if data := training.get("data"):
        told["data"] = Path(data).parent.parent.name
    card |= {"training": told} if told else {}
    if name.startswith("tabletop/") and (found := measured(config["variant"])):
        card["measured"] = found
    return card


def trained_on(card: dict[str, Any]) -> str:
    """The data set and its size in words; empty if they are not recorded."""
    training = card.get("training", {})
    return f"trained on {training['data']}, {training.get('clips', '?')} clips" if "data" in training else ""


def _bytes(files: list[Path]) -> dict[str, int]:
    return {"bytes": files[0].stat().st_size} if files else {}
