"""Out-of-distribution families: what changes in the picture while the motion stays. None is ever trained on."""

from collections.abc import Callable

import numpy as np


def _night(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Little light, bluish, with the noise of a small sensor."""
    dark = images * np.float32(rng.uniform(0.16, 0.26)) * np.array([0.8, 0.9, 1.15], np.float32)
    return _to_uint8(dark + rng.normal(0, 9, images.shape).astype(np.float32))


def _underwater(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blue-green tint, wandering caustics, rising bubbles."""
    T, H, W, _ = images.shape
    y, x = np.mgrid[0:H, 0:W].astype(np.float32)
    out = images * np.array([0.35, 0.75, 0.85], np.float32) + np.array([0, 28, 46], np.float32)
    phase = rng.uniform(0, 6, 3)
    bubbles = rng.uniform(0, 1, (14, 4))
    for t in range(T):
        wave = (
            np.sin(x / 9 + phase[0] + t * 0.12) + np.sin(y / 7 + phase[1] - t * 0.1) + np.sin((x + y) / 11 + phase[2])
        )
        out[t] += (np.clip(wave - 1.5, 0, None) * 45)[..., None]
        for bx, by, size, speed in bubbles:
            cx, cy, r = bx * W, (by - t * (0.006 + 0.01 * speed)) % 1 * H, 1.5 + 2.5 * size
            distance = np.hypot(x - cx - 2 * np.sin(t / 5 + 9 * bx), y - cy)
            out[t] += (60 * (np.abs(distance - r) < 0.8))[..., None]
    return _to_uint8(out)


def _drawing(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dark outlines on paper."""
    grey = images.astype(np.float32).mean(axis=-1)
    dx = np.abs(np.diff(grey, axis=2, append=grey[:, :, -1:]))
    dy = np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    ink = np.clip((dx + dy - 12) * 6, 0, 215)
    paper = rng.uniform(235, 250) - ink
    return np.repeat(_to_uint8(paper)[..., None], 3, axis=-1)


def _unchanged(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture stays; the cast of the clip is another (see ``render``)."""
    del rng
    return images


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).astype(np.uint8)


FAMILIES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "night": _night,
    "underwater": _underwater,
    "drawing": _drawing,
    "unseen_objects": _unchanged,
}
