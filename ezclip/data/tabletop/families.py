"""Out-of-distribution families after UCF101-DS: shifts that keep the motion. They are never used in training."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from ezclip.data.tabletop.scene import CANVAS, HORIZON, table
from ezclip.data.tabletop.sprites import THINGS, UNSEEN_THINGS


@dataclass(frozen=True)
class Family:
    """How the clips of a family differ from ordinary clips."""

    things: tuple[str, ...] = tuple(THINGS)  # kinds of things in the clips
    backdrop: Callable[[np.random.Generator], Image.Image] = table
    crowd: bool = False  # add many distractors that stand or move around
    shake: float = 0.0  # amplitude of camera shake in canvas pixels
    span: tuple[float, float] = (0.0, 1.0)  # progress at the clip's start and end; beyond [0, 1] the scene is static
    look: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None  # filter for uint8 frames (T, H, W, 3)


def _night(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dim, bluish light with the noise of a small sensor."""
    dark = images * np.float32(rng.uniform(0.24, 0.36)) * np.array([0.8, 0.9, 1.15], np.float32)
    return _to_uint8(dark + rng.normal(0, 8, images.shape).astype(np.float32))


def _underwater(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blue-green tint, moving caustics, rising bubbles."""
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
    plain = images.astype(np.float32).mean(axis=-1)
    shifted = [np.roll(plain, (i, j), (1, 2)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    grey: np.ndarray = np.sum(shifted, axis=0) / np.float32(9)  # box filter against grain
    dx = np.abs(np.diff(grey, axis=2, append=grey[:, :, -1:]))
    dy = np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    ink = np.clip((dx + dy - 9) * 10, 0, 215)
    paper = rng.uniform(235, 250) - ink
    return np.repeat(_to_uint8(paper)[..., None], 3, axis=-1)


def _outdoors(rng: np.random.Generator) -> Image.Image:
    """Grass, sand or snow in front of a cloudy sky or a brick wall."""
    y, x = np.mgrid[0:CANVAS, 0:CANVAS].astype(np.float32)
    ground = np.array([(70, 130, 52), (206, 180, 128), (226, 232, 240)][rng.integers(3)], np.float32)
    grains = Image.fromarray(_to_uint8(rng.normal(128, 90, (CANVAS, CANVAS))))
    tufts = np.asarray(grains.filter(ImageFilter.GaussianBlur(1.5)), np.float32)
    low = ground * (1 + (tufts - 128)[..., None] / 260)
    if rng.random() < 0.5:
        row = np.floor(y / 11)
        mortar = (y % 11 < 1.6) | ((x + 13 * (row % 2)) % 26 < 1.6)
        high = np.where(mortar[..., None], 190.0, np.array([158, 82, 62]) * (0.9 + 0.1 * np.sin(row * 9)[..., None]))
    else:
        clouds = np.sin(x / rng.uniform(14, 24) + 3 * np.sin(y / 19)) * np.sin(y / rng.uniform(8, 13)) > 0.35
        high = np.where(clouds[..., None], 240.0, np.array([112, 168, 226]) + 0.5 * y[..., None])
    image = np.where((y < HORIZON)[..., None], high, low)
    return Image.fromarray(_to_uint8(image))


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).astype(np.uint8)


ORDINARY = Family()
FAMILIES: dict[str, Family] = {
    "unseen_objects": Family(things=tuple(UNSEEN_THINGS)),
    "unseen_backgrounds": Family(backdrop=_outdoors),
    "underwater": Family(look=_underwater),
    "crowd": Family(crowd=True),
    "night": Family(look=_night),
    "camera_shake": Family(shake=5.0),
    "drawing": Family(look=_drawing),
    "slow": Family(span=(0.25, 0.75)),
    "fast": Family(span=(-0.75, 1.75)),
}
