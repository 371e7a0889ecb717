"""Model cards as rows of text, and the conversion of official files."""

from pathlib import Path

from ezclip.checkpoints.cards import training_summary
from ezclip.checkpoints.catalog import CONFIG, ROOT
from ezclip.errors import UserError
from ezclip.types import WITHIN_PAIRS, Document


def unconverted_files() -> list[str]:
    """Names of the official files in checkpoints/ without a converted model."""
    return [path.name for path in sorted(ROOT.glob("*.pt")) if not (ROOT / path.stem / CONFIG).is_file()]


def convert_official(name: str) -> str:
    """Convert an official file in checkpoints/ into a model folder next to it; returns the model's name.

    Raises:
        UserError: there is no such file, or it cannot be converted.
    """
    from ezclip.checkpoints.convert import convert

    if name not in unconverted_files():
        raise UserError(f"There is no unconverted file {name} in checkpoints/; reload the page.")
    convert(ROOT / name, ROOT / Path(name).stem)
    return Path(name).stem


def card_rows(card: Document) -> dict[str, str]:
    """A model card as rows of a table: title -> text."""

    def file(entry: Document) -> str:
        size = f"{entry['bytes'] / 1e6:.1f} MB, " if "bytes" in entry else ""
        return f"{size}sha256 {entry['sha256']}"

    if "T" not in card:
        return {"model": card["name"], "variant": "nothing added", "backbone": card["backbone"]["id"]}
    training = card.get("training", {})
    rows = {
        "model": card["name"],
        "variant": card["variant"],
        "frames": f"T = {card['T']}",
        "backbone": f"{card['backbone']['id']}, {file(card['backbone'])}",
        "adapter": file(card["adapter"]) if "adapter" in card else "",
        "data": training_summary(card),
    }
    if "steps" in training:
        batch, seed = training.get("batch_size", "?"), training.get("seed", "?")
        rows["training"] = f"{training['steps']} steps of {batch}, seed {seed}"
    if test := card.get("measured", {}).get("test"):
        accuracy = f"top-1 {test['top1']:.1%}, {WITHIN_PAIRS} {test['within_pairs']:.1%}"
        rows["measured"] = f"{accuracy} on {test['n']} unseen Tabletop clips"
    elif metrics := card.get("metrics"):
        rows["measured"] = ", ".join(f"{name} {value:.1%}" for name, value in metrics.items()) + " during training"
    rows["source"] = card.get("source", "")
    return {key: value for key, value in rows.items() if value}
