"""Plain clips: the motions of ``ezclip.data.photographs`` over surfaces and places, without a table or a hand."""

import numpy as np

from ezclip.data.photographs import (
    PAIRS,
    SIDE,
    Pair,
    Track,
    camera_frames,
    cut_out,
    draw_camera,
    draw_thing,
    thing_frames,
)
from ezclip.data.tabletop.classes import Names
from ezclip.data.tabletop.render import NUM_FRAMES, Rendered, progress
from ezclip.data.tabletop.scene import BACKGROUND, FRAME, MOVING
from ezclip.data.tabletop.surfaces import backdrop, surface


def plain_pair(names: Names) -> Pair | None:
    """The pair in ``photographs.PAIRS`` that contains the first class, if any."""
    return next((pair for pair in PAIRS if names[0] in pair.tabletop), None)


def render_plain(pair: Pair, names: Names, seed: int) -> Rendered:
    """Like ``render``, but a camera or a textured shape moves over a backdrop; masks of camera motions are empty.

    Args:
        pair: the pair of ``names``.
        names: a key of ``classes.MOTIONS``.
        seed: any non-negative integer.
    """
    rng = np.random.default_rng([seed, 4])
    size = int(rng.integers(256, 384))
    picture = np.asarray(backdrop(rng, size))
    track = draw_camera(pair.axis, size, size, rng) if pair.moves == "camera" else draw_thing(pair.axis, rng)
    if names[0] != pair.tabletop[0]:
        track = Track(track.end, track.start)
    times = progress(rng, (0.0, 1.0))
    masks = np.full((NUM_FRAMES, FRAME, FRAME), BACKGROUND, np.uint8)
    if pair.moves == "camera":
        frames = camera_frames(picture, track, times)
    else:
        background = camera_frames(picture, Track((size / 2, size / 2, size), (size / 2, size / 2, size)), 1)[0]
        shape = cut_out(np.asarray(surface(rng, 224)), rng)
        frames = thing_frames(background, shape, track, times)
        shape.paste((255, 255, 255), (0, 0, *shape.size), shape.getchannel("A"))
        coverage = thing_frames(np.zeros_like(background), shape, track, times)[..., 0]
        masks[_downscale(coverage) > 128] = MOVING
    light = rng.uniform(0.7, 1.15) * (1 + rng.uniform(-0.08, 0.08, 3)) * np.ones((NUM_FRAMES, 1, 1, 1))
    light += rng.uniform(-0.06, 0.06) * np.linspace(-1, 1, NUM_FRAMES)[:, None, None, None]
    grain = rng.normal(0, rng.uniform(0.5, 5), (FRAME, FRAME, 1))
    return Rendered(np.clip(_downscale(frames) * light + grain, 0, 255).astype(np.uint8), masks)


def _downscale(frames: np.ndarray) -> np.ndarray:
    """(T, SIDE, SIDE, ...) to float32 (T, FRAME, FRAME, ...) by averaging squares of pixels."""
    T, k = len(frames), SIDE // FRAME
    rows = frames.reshape(T, FRAME, k, -1).sum(axis=2, dtype=np.float32)
    return rows.reshape(T, FRAME, FRAME, k, *frames.shape[3:]).sum(axis=3) / k**2
