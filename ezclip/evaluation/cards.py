"""What is known of a model without loading it: its configuration, its files, and what was measured of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ezclip.checkpoints.catalog import ADAPTER, BACKBONE, CONFIG, model_folder, read_config
from ezclip.checkpoints.files import sha256_of
from ezclip.checkpoints.hub import PREFIX, data_name, pull
from ezclip.evaluation.shipped import measured

KNOWN = "drawn table scenes (Tabletop Motion: things pushed, lifted, covered on a table)"
MEANING = (
    "On a real video the maps show where such a model looks and whether the order of the frames matters to it, but its "
    "ranking of actions is close to a guess."
)


def model_card(name: str) -> dict[str, Any]:
    """Recorded and measured facts; what is not known is left out.

    Args:
        name: what ``load_model`` takes; of hf:organisation/name only config.json is downloaded.

    Returns:
        "name", "variant", "T" and "backbone" (its id, the fingerprint and, if the file is at hand, its bytes); of a
        trained model also "adapter" (sha256, bytes) if its file is at hand, "preset", "texts", "training" (data, clips,
        steps, batch_size, seed), "metrics" as its training recorded them, and "source" of a converted one; of a shipped
        one "measured" on Tabletop Motion: "test", and by name the out-of-distribution "families".

    Raises:
        CheckpointError: no such model.
    """
    if name.startswith("clip:"):
        return {"name": name, "variant": "clip", "backbone": {"id": name.removeprefix("clip:")}}
    folder = pull(name, (CONFIG,)) if name.startswith(PREFIX) else model_folder(name)
    config = read_config(folder)
    backbone = config["backbone"]
    files = [path for path in (folder / BACKBONE, folder.parent / BACKBONE) if path.is_file()]
    size = {"bytes": files[0].stat().st_size} if files else {}
    card: dict[str, Any] = {
        "name": name,
        "variant": config["variant"],
        "T": config["num_frames"],
        "backbone": {"id": backbone["id"], "sha256": backbone["sha256"][:12]} | size,
    }
    if (adapter := folder / ADAPTER).is_file():
        card["adapter"] = {"sha256": sha256_of(adapter)[:12], "bytes": adapter.stat().st_size}
    told = (("preset", "preset"), ("texts", "text"), ("metrics", "metrics"), ("source", "source"))
    card |= {key: config[entry] for key, entry in told if config.get(entry)}
    training = config.get("training", {})
    trained = {key: training[key] for key in ("clips", "steps", "batch_size", "seed") if key in training}
    if data := training.get("data"):
        trained["data"] = data_name(data)
    card |= {"training": trained} if trained else {}
    if name == f"tabletop/{config['variant']}" and (found := measured(config["variant"])):
        card["measured"] = found
    return card


def what_they_know(names: Iterable[str]) -> str:
    """What the small models that ship know, and what their numbers mean elsewhere; empty for other models."""
    small = [name for name in dict.fromkeys(names) if name.startswith("tabletop/")]
    verb = "knows" if len(small) == 1 else "know"
    return f"{' and '.join(small)} {verb} only {KNOWN}. {MEANING}" if small else ""


def trained_on(card: dict[str, Any]) -> str:
    """The data set and its size in words; empty if they are not recorded."""
    training = card.get("training", {})
    return f"trained on {training['data']}, {training.get('clips', '?')} clips" if "data" in training else ""
