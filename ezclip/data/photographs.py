"""Clips of known motion from photographs: a camera moves over one, or a cut-out of another moves over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from ezclip.data.manifest import SUFFIXES
from ezclip.errors import UserError, VideoError
from ezclip.progress import Report, silent
from ezclip.video.pictures import PICTURE_SUFFIXES, shrunk
from ezclip.video.read import read_frames, read_picture
from ezclip.video.sampling import segment_centres

SIDE = 256  # of a frame
LONGEST = 768  # long side to which photographs are reduced
SHORTEST = 64  # smallest short side of a photograph
CUT = 192  # side of a cut-out before it is scaled
MARGIN = 0.08  # of a frame's side, which cut-outs leave free: models see the central 7/8


@dataclass(frozen=True)
class Pair:
    """Two opposite motions; the second is the first with its frames reversed."""

    name: str
    moves: Literal["camera", "things"]
    axis: Literal[0, 1, 2]  # the first motion is to the left (0), up (1) or nearer (2)
    tabletop: tuple[str, str]  # names of Tabletop's classes
    words: tuple[str, str]  # class names for models with other classes


PAIRS = (
    Pair(
        "camera left, right",
        "camera",
        0,
        ("Turning the camera left while filming something", "Turning the camera right while filming something"),
        ("panning the camera to the left", "panning the camera to the right"),
    ),
    Pair(
        "camera up, down",
        "camera",
        1,
        ("Turning the camera upwards while filming something", "Turning the camera downwards while filming something"),
        ("tilting the camera up", "tilting the camera down"),
    ),
    Pair(
        "camera nearer, farther",
        "camera",
        2,
        ("Approaching something with your camera", "Moving away from something with your camera"),
        ("zooming in with the camera", "zooming out with the camera"),
    ),
    Pair(
        "thing left, right",
        "things",
        0,
        ("Pushing something from right to left", "Pushing something from left to right"),
        ("moving an object from right to left", "moving an object from left to right"),
    ),
    Pair(
        "thing up, down",
        "things",
        1,
        ("Moving something up", "Moving something down"),
        ("moving an object up", "moving an object down"),
    ),
    Pair(
        "thing nearer, farther",
        "things",
        2,
        ("Moving something towards the camera", "Moving something away from the camera"),
        ("moving an object nearer to the camera", "moving an object farther from the camera"),
    ),
)


@dataclass(frozen=True, eq=False)
class Photograph:
    """A picture, or a frame of a video."""

    source: str  # name of the file; frames of one video share it
    image: np.ndarray  # uint8 (H, W, 3), long side at most ``LONGEST``


def find_files(paths: Sequence[str]) -> list[Path]:
    """The given files, and the pictures and videos in the given folders and below, by name."""
    found: list[Path] = []
    for path in map(Path, paths):
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in {*PICTURE_SUFFIXES, *SUFFIXES})
        found += inside if path.is_dir() else [path]
    return found


def read_photographs(
    paths: Sequence[str], per_video: int, most: int, report: Report = silent
) -> tuple[list[Photograph], list[tuple[str, str]]]:
    """Read pictures, and ``per_video`` frames of each video at the middles of equal segments.

    Args:
        paths: files and folders.
        per_video: frames of a video.
        most: of more files, as many evenly spaced ones are read.
        report: receives the fraction done.

    Returns:
        The photographs, and name and reason of each file that cannot be used.

    Raises:
        UserError: none can be used.
    """
    files = find_files(paths)
    if len(files) > most:
        files = [files[i] for i in segment_centres(len(files), most)]
    found: list[Photograph] = []
    skipped: list[tuple[str, str]] = []
    for number, path in enumerate(files):
        report(number / len(files))
        name = path.name
        try:
            if path.suffix.lower() in PICTURE_SUFFIXES:
                images = [read_picture(path, name)]
            else:
                images = list(read_frames(path, partial(segment_centres, T=per_video), side=LONGEST).images)
        except VideoError as error:
            skipped.append((name, str(error)))
            continue
        if min(images[0].shape[:2]) < SHORTEST:
            skipped.append((name, f"{name} is smaller than {SHORTEST} pixels."))
            continue
        found += [Photograph(f"{number} {name}", shrunk(image, LONGEST)) for image in images]
    if not found:
        why = f" {skipped[0][1]}" if skipped else ""
        raise UserError(f"No photograph or video can be used; give JPEG, PNG, WebP or video files, or a folder.{why}")
    return found, skipped


@dataclass(frozen=True)
class Track:
    """A square (x and y of its centre, side) on its way: the centre moves linearly, the side geometrically."""

    start: tuple[float, float, float]
    end: tuple[float, float, float]

    def at(self, when: int | np.ndarray) -> np.ndarray:
        """The square in each frame, float64 (T, 3).

        Args:
            when: T evenly spaced frames, first and last at the ends (the middle for T = 1), or the share of the way
                (T,) that is done in each.
        """
        done = when if isinstance(when, np.ndarray) else np.linspace(0, 1, when) if when > 1 else np.full(1, 0.5)
        s = done[:, None]
        start, end = np.array(self.start), np.array(self.end)
        centres = start[:2] + s * (end - start)[:2]
        return np.hstack([centres, start[2] * (end[2] / start[2]) ** s])


def draw_camera(axis: int, width: int, height: int, rng: np.random.Generator) -> Track:
    """A camera's window, in pixels of a photograph, that moves to the left (axis 0), up (1) or nearer (2).

    Panned and tilted windows have 0.5 to 0.65 of the photograph's short side and move by 0.4 to 0.7 of their own, as
    far as there is room; zoomed ones begin with 0.85 to 1 of it and shrink to between 1 / 1.6 and 1 / 2.4 of that.
    """
    size, short = np.array([width, height], float), min(width, height)
    if axis == 2:
        wide = short * rng.uniform(0.85, 1.0)
        x, y = rng.uniform(wide / 2, size - wide / 2)
        return Track((x, y, wide), (x, y, wide / rng.uniform(1.6, 2.4)))
    side = short * rng.uniform(0.5, 0.65)
    return _back(axis, min(side * rng.uniform(0.4, 0.7), size[axis] - side), side, side / 2, size, rng)


def draw_thing(axis: int, rng: np.random.Generator) -> Track:
    """A cut-out's square, in pixels of a frame, that moves to the left (axis 0), up (1) or nearer (2).

    Things that slide have 0.22 to 0.36 of a frame's side and move by 0.35 of it or more; those that come nearer begin
    with 0.14 to 0.2 and grow 2.2 to 3 times.
    """
    if axis == 2:
        far, growth = SIDE * rng.uniform(0.14, 0.2), rng.uniform(2.2, 3.0)
        reach = far * growth / 2 + MARGIN * SIDE
        x, y = rng.uniform(reach, SIDE - reach, 2)
        return Track((x, y, far), (x, y, far * growth))
    side = SIDE * rng.uniform(0.22, 0.36)
    reach = side / 2 + MARGIN * SIDE
    way = rng.uniform(0.35 * SIDE, SIDE - 2 * reach)
    return _back(axis, way, side, reach, np.full(2, SIDE), rng)


def _back(axis: int, way: float, side: float, reach: float, size: np.ndarray, rng: np.random.Generator) -> Track:
    """A square that moves ``way`` towards lower x or y, anywhere with its centre ``reach`` from the borders."""
    half = np.zeros(2)
    half[axis] = way / 2
    x, y = reach + half + rng.random(2) * np.maximum(size - 2 * (reach + half), 0)
    dx, dy = half
    return Track((x + dx, y + dy, side), (x - dx, y - dy, side))


def camera_frames(image: np.ndarray, track: Track, when: int | np.ndarray) -> np.ndarray:
    """What a camera sees whose window moves over a photograph (H, W, 3), see ``Track.at``; uint8 (T, SIDE, SIDE, 3)."""
    picture = Image.fromarray(image)
    frames = []
    for x, y, side in track.at(when):
        left, top = max(x - side / 2, 0), max(y - side / 2, 0)
        box = (left, top, min(left + side, picture.width), min(top + side, picture.height))
        frames.append(np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)))
    return np.stack(frames)


def thing_frames(background: np.ndarray, thing: Image.Image, track: Track, when: int | np.ndarray) -> np.ndarray:
    """A cut-out (RGBA, square) that moves over a background (SIDE, SIDE, 3), at whole pixels; (T, SIDE, SIDE, 3)."""
    frames = []
    for x, y, side in track.at(when):
        frame, size = Image.fromarray(background), round(side)
        scaled = thing.resize((size, size), Image.Resampling.BICUBIC)
        frame.paste(scaled.convert("RGB"), (round(x - size / 2), round(y - size / 2)), scaled.getchannel("A"))
        frames.append(np.asarray(frame))
    return np.stack(frames)


def cut_out(image: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """A shape with a smooth random outline, RGBA, from the most varied of eight squares drawn in a photograph."""
    height, width = image.shape[:2]
    squares = []
    for _ in range(8):
        side = int(min(height, width) * rng.uniform(0.3, 0.5))
        top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
        squares.append(image[top : top + side, left : left + side])
    texture = Image.fromarray(max(squares, key=lambda square: square.std(axis=(0, 1)).sum()))
    angles, radii = np.linspace(0, 2 * np.pi, 180, endpoint=False), np.ones(180)
    for k in (2, 3, 4):
        radii += rng.uniform(0, 0.5 / k) * np.cos(k * angles + rng.uniform(0, 2 * np.pi))
    radii *= 2 * CUT / radii.max()  # drawn at four times the size
    outline = np.stack([2 * CUT + radii * np.cos(angles), 2 * CUT + radii * np.sin(angles)], axis=1)
    mask = Image.new("L", (4 * CUT, 4 * CUT))
    ImageDraw.Draw(mask).polygon(outline.ravel().tolist(), fill=255)
    shape = texture.resize((CUT, CUT), Image.Resampling.BICUBIC)
    shape.putalpha(mask.reduce(4))
    return shape


def draw_clips(image: np.ndarray, other: np.ndarray, T: int, rng: np.random.Generator) -> np.ndarray:
    """A clip of the first direction of each of ``PAIRS`` over a photograph; things are cut out of another one.

    Returns:
        uint8 (pairs, T, SIDE, SIDE, 3). Reversed along T it shows the second directions.
    """
    height, width = image.shape[:2]
    clips = []
    for pair in PAIRS:
        if pair.moves == "camera":
            clips.append(camera_frames(image, draw_camera(pair.axis, width, height, rng), T))
        else:
            side = min(height, width) * rng.uniform(0.8, 1.0)
            x, y = rng.uniform(side / 2, np.array([width, height]) - side / 2)
            background = camera_frames(image, Track((x, y, side), (x, y, side)), 1)[0]
            clips.append(thing_frames(background, cut_out(other, rng), draw_thing(pair.axis, rng), T))
    return np.stack(clips)
