"""Model cards as rows of text, and the conversion of official files."""

from pathlib import Path

from ezclip.checkpoints.cards import trained_on
from ezclip.checkpoints.catalog import CONFIG, ROOT
from ezclip.errors import UserError
from ezclip.types import WITHIN_PAIRS, Document


def dropped_files() -> list[str]:
    """Names of the official files in checkpoints/ that have not been converted."""
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


def card_rows(card: Document) -> dict[str, str]:
    """A model's card as names and texts."""

    def file(found: Document) -> str:
        size = f"{found['bytes'] / 1e6:.1f} MB, " if "bytes" in found else ""
        return f"{size}sha256 {found['sha256']}"

    if "T" not in card:
        return {"model": card["name"], "variant": "nothing added", "backbone": card["backbone"]["id"]}
    training = card.get("training", {})
    rows = {
        "model": card["name"],
        "variant": card["variant"],
        "frames": f"T = {card['T']}",
        "backbone": f"{card['backbone']['id']}, {file(card['backbone'])}",
        "adapter": file(card["adapter"]) if "adapter" in card else "",
        "data": trained_on(card),
    }
    if "steps" in training:
        batch, seed = training.get("batch_size", "?"), training.get("seed", "?")
        rows["training"] = f"{training['steps']} steps of {batch}, seed {seed}"
    if test := card.get("measured", {}).get("test"):
        shares = f"top-1 {test['top1']:.1%}, {WITHIN_PAIRS} {test['within_pairs']:.1%}"
        rows["measured"] = f"{shares} on {test['n']} unseen Tabletop clips"
    elif metrics := card.get("metrics"):
        rows["measured"] = ", ".join(f"{name} {value:.1%}" for name, value in metrics.items()) + " during training"
    rows["source"] = card.get("source", "")
    return {key: value for key, value in rows.items() if value}
