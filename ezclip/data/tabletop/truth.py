"""Finds the motion masks of a clip: next to the file, or by its content among the shipped samples."""

import json
from pathlib import Path

import numpy as np

from ezclip.files import sha256_of, shipped
from ezclip.types import Document

SAMPLES = shipped("assets") / "samples"
INDEX = "truth.json"  # sha256 of a sample -> its clip, label, family and seed


def find_masks(path: str | Path) -> np.ndarray | None:
    """The masks of a video's frames, or None if there are none.

    Args:
        path: a video; copies of shipped samples may have any name.

    Returns:
        uint8 (F, H, W) of 0 background, 1 other objects, 2 moving objects, for all F frames of the file.
    """
    path = Path(path)
    if not path.is_file():
        return None
    masks = path.with_suffix(".masks.npz")
    if not masks.is_file():
        if (entry := sample_entry(path)) is None:
            return None
        masks = (SAMPLES / entry["clip"]).with_suffix(".masks.npz")
    with np.load(masks, allow_pickle=False) as content:
        return content["masks"]


def sample_entry(path: str | Path) -> Document | None:
    """The entry of the sample index for the content of a file: "clip", "label", "family" and "seed"."""
    index = SAMPLES / INDEX
    if not index.is_file():
        return None
    return json.loads(index.read_text("utf-8")).get(sha256_of(path))
