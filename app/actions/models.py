"""What is known of a model: the card beside its name."""

from __future__ import annotations

from app.actions.classes import shipped
from app.services import Services
from app.texts import trained_on
from ezclip.checkpoints.catalog import entries
from ezclip.evaluation.provenance import adapter_digest


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
