"""Versions of one clip that separate moving from static content, to test for static bias.

After SCUBA, SCUFO and the clips with conflicting foreground (Li et al., arXiv 2211.12883) and HAT (Chung et al. 2022),
but with ground-truth masks and scenes instead of segmentation and inpainting. Camera motions, in which everything
moves, have no versions. Moving things are pasted without their shadows. Deviations: a conflicting foreground is drawn
behind the moving thing and never hides it; in an action swap the background includes the static things of its clip.
"""

from collections.abc import Callable

import numpy as np

from ezclip.data.tabletop.classes import MOTIONS, Names
from ezclip.data.tabletop.render import NUM_FRAMES, Rendered, render
from ezclip.data.tabletop.scene import BACKGROUND, FRAME, MOVING, STILL

CAMERA = ("Turning the camera", "Approaching something with your camera")  # prefixes of the names of camera motions
MOTIONS_OF_THINGS: tuple[Names, ...] = tuple(names for names in MOTIONS if not names[0].startswith(CAMERA))


def donor(names: Names, seed: int) -> tuple[Names, int]:
    """Motion and seed of the clip of another motion whose things or background are used for this clip."""
    rng = np.random.default_rng([seed, 1])
    motions = [motion for motion in MOTIONS_OF_THINGS if motion != names]
    return motions[rng.integers(len(motions))], int(rng.integers(2**31))


def original(names: Names, seed: int) -> Rendered:
    """The ordinary clip."""
    return render(names, seed)


def background_only(names: Names, seed: int) -> Rendered:
    """The clip without moving things and their shadows."""
    return render(names, seed, foreground=False)


def stripes(names: Names, seed: int) -> Rendered:
    """The moving objects on a background of sinusoidal stripes (SCUBA)."""
    clip, rng = render(names, seed), np.random.default_rng([seed, 2])
    y, x = np.mgrid[0:FRAME, 0:FRAME]
    angle, period, phase = rng.uniform(0, np.pi), rng.uniform(8, 32), rng.uniform(0, 2 * np.pi)
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + phase)
    picture = wave[..., None] * rng.uniform(0, 255, 3) + (1 - wave[..., None]) * rng.uniform(0, 255, 3)
    return _paste(clip, Rendered(picture.astype(np.uint8)[None], np.full((1, FRAME, FRAME), BACKGROUND, np.uint8)))


def still_stripes(names: Names, seed: int) -> Rendered:
    """One random frame of ``stripes``, repeated (SCUFO)."""
    return _freeze(stripes(names, seed), seed)


def conflicting_foreground(names: Names, seed: int) -> Rendered:
    """``stripes`` plus static objects: the moving objects of another motion's clip, frozen in one frame."""
    frozen = _freeze(render(*donor(names, seed)), seed)
    objects = Rendered(frozen.images, np.where(frozen.masks == MOVING, STILL, BACKGROUND).astype(np.uint8))
    clip = stripes(names, seed)
    return _paste(clip, _paste(objects, clip, value=STILL))


def action_swap(names: Names, seed: int) -> Rendered:
    """The moving objects on the background of another motion's clip (HAT)."""
    return _paste(render(names, seed), background_only(*donor(names, seed)))


VERSIONS: dict[str, Callable[[Names, int], Rendered]] = {
    "original": original,
    "background_only": background_only,
    "stripes": stripes,
    "still_stripes": still_stripes,
    "conflicting_foreground": conflicting_foreground,
    "action_swap": action_swap,
}


def _paste(front: Rendered, back: Rendered, value: int = MOVING) -> Rendered:
    """Paste the pixels of ``front`` whose mask has ``value`` onto ``back``."""
    mask = front.masks == value
    return Rendered(
        np.where(mask[..., None], front.images, back.images),
        np.where(mask, front.masks, back.masks),
    )


def _freeze(clip: Rendered, seed: int) -> Rendered:
    frame = np.full(NUM_FRAMES, np.random.default_rng([seed, 3]).integers(NUM_FRAMES))
    return Rendered(clip.images[frame], clip.masks[frame])
