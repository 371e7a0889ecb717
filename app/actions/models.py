"""What is known of a model: the card beside its name."""

from __future__ import annotations

from pathlib import Path

from app.actions.classes import shipped
from app.services import Services
from app.texts import trained_on
from ezclip.checkpoints.catalog import CONFIG, ROOT, entries
from ezclip.errors import UserError
from ezclip.evaluation.provenance import adapter_digest


def dropped_files() -> list[str]:
    """Names of the official files that lie in checkpoints/ and have not been converted."""
    return [path.name for path in sorted(ROOT.glob("*.pt")) if not (ROOT / path.stem / CONFIG).is_file()]


def convert_dropped(name: str) -> str:
    """Convert an official file in checkpoints/ into a model folder beside it; returns the model's name.

    Raises:
        UserError: no such file, or one that cannot be converted.
    """
    from ezclip.checkpoints.convert import convert

    if name not in dropped_files():
        raise UserError(f"There is no unconverted file {name} in checkpoints/; reload the page.")
    convert(ROOT / name, ROOT / Path(name).stem)
    return Path(name).stem


def model_card(services: Services, name: str) -> dict[str, str]:
    """Names and values, all measured or recorded; what is not known is left out."""
    config = services.config(name)
    if not config:
        return {"model": name, "variant": "plain CLIP, nothing added", "trained on": "what CLIP was trained on"}
    training = config.get("training", {})
    size = next((e.bytes for e in entries() if e.name == name), 0)
    found = {
        "model": name,
        "variant": config["variant"],
        "frames": f"T = {config['num_frames']}",
        "backbone": f"{config['backbone']['id']}, sha256 {config['backbone']['sha256'][:12]}",
        "adapter": f"{size / 1e6:.2f} MB, sha256 {adapter_digest(name)}" if size else f"sha256 {adapter_digest(name)}",
    }
    if told := trained_on(config):
        found["data"] = told
    if "steps" in training:
        found["training"] = (
            f"{training['steps']} steps of {training.get('batch_size', '?')}, seed {training.get('seed')}"
        )
    test = shipped().get("test", {}).get(config["variant"]) if name.startswith("tabletop/") else None
    if test:
        found["measured"] = (
            f"top-1 {test['top1']:.1%}, within pairs {test['within_pairs']:.1%} on {test['n']} unseen Tabletop clips"
        )
    return found
