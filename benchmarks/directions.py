"""What the frames' embeddings of a backbone tell about the direction of motion, without any adapter or prompt.

    python benchmarks/directions.py backbone.safetensors PHOTOS_OR_VIDEOS ...

For each kind of motion of ``ezclip realcheck``, a linear classifier without bias reads the differences between late and
early frames' image embeddings. It is trained on drawn surfaces and tested on other surfaces and on the photographs.
Prints accuracies within pairs, chance 50 %: about what EZ-CLIP on this backbone can reach.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from ezclip.checkpoints.store import load_backbone
from ezclip.data.photographs import PAIRS, draw_clips, read_photographs
from ezclip.data.tabletop.surfaces import backdrop
from ezclip.model.builders import build_ezclip
from ezclip.model.ezclip import EZCLIP

TRAIN, TEST, SIDE, PER_VIDEO, MOST, T = 300, 60, 360, 2, 60, 8
STRENGTH = 3e-4  # inverse of the regularisation


def main() -> None:
    """Print a line for each kind of motion, and their mean."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("backbone", type=Path)
    parser.add_argument("photographs", nargs="+")
    arguments = parser.parse_args()
    model = build_ezclip(load_backbone(arguments.backbone), "clip", num_frames=T).eval()
    photographs, _ = read_photographs(arguments.photographs, PER_VIDEO, MOST)
    sets = (surfaces(TRAIN, 1), surfaces(TEST, 2), [p.image for p in photographs])
    train, *tests = (np.stack([changes(model, clips) for clips in clips_of(images)]) for images in sets)
    rows = [accuracies(train[:, i], [test[:, i] for test in tests]) for i in range(len(PAIRS))]
    for name, row in zip([*(pair.name for pair in PAIRS), "mean"], [*rows, np.mean(rows, axis=0)], strict=True):
        sys.stdout.write(f"{name}: {100 * row[0]:.0f} % on surfaces, {100 * row[1]:.0f} % on photographs\n")


def surfaces(count: int, seed: int) -> list[np.ndarray]:
    """Drawn surfaces and places, uint8 (SIDE, SIDE, 3)."""
    rng = np.random.default_rng(seed)
    return [np.asarray(backdrop(rng, SIDE).convert("RGB")) for _ in range(count)]


def clips_of(images: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Clips of each image, whose cut-outs come from the next one, uint8 (pairs, T, H, W, 3)."""
    for i, image in enumerate(images):
        yield draw_clips(image, images[(i + 1) % len(images)], T, np.random.default_rng([0, i]))


@torch.inference_mode()
def changes(model: EZCLIP, clips: Iterable[np.ndarray]) -> np.ndarray:
    """By clip, the embedding of each late frame minus that of the early one as far from the end, (pairs, T / 2 * E)."""
    frames = model.encode_video(model.normalise(torch.stack([model.preprocess(clip) for clip in clips]))).float()
    return (frames[:, T // 2 :] - frames[:, : T // 2].flip(1)).flatten(1).numpy()


def accuracies(train: np.ndarray, tests: list[np.ndarray]) -> list[float]:
    """Of a classifier of ``train``, whose clips all have the same direction, on each test of that direction."""
    scale = np.sqrt((train**2).mean(axis=0)) + 1e-6
    both, directions = np.concatenate([train, -train]) / scale, np.repeat([1, 0], len(train))
    classifier = LogisticRegression(C=STRENGTH, fit_intercept=False, max_iter=500).fit(both, directions)
    return [float((classifier.decision_function(test / scale) > 0).mean()) for test in tests]


if __name__ == "__main__":
    main()
