"""Clips with a known motion from photographs: a camera moves over one, or a cut-out of another moves over it."""

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
from ezclip.video.pictures import PICTURE_SUFFIXES, thumbnail
from ezclip.video.read import read_frames, read_picture
from ezclip.video.sampling import segment_centres

SIDE = 256  # pixels, of a frame
MAX_SIDE = 768  # photographs are downscaled to this long side
MIN_SIDE = 64  # photographs with a smaller short side are skipped
CUT_OUT_SIDE = 192  # pixels, before scaling
MARGIN = 0.08  # fraction of a frame's side that cut-outs leave free: the model input is the central 7/8


@dataclass(frozen=True)
class Pair:
    """Two opposite motions; the second is the first with its frames reversed."""

    name: str
    moves: Literal["camera", "things"]
    axis: Literal[0, 1, 2]  # the first motion goes left (0), up (1) or nearer (2)
    tabletop: tuple[str, str]  # class names in Tabletop
    words: tuple[str, str]  # class names for all other models


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

    source: str  # name of the file, shared by all frames of a video
    image: np.ndarray  # uint8 (H, W, 3), long side at most ``MAX_SIDE``


def find_files(paths: Sequence[str]) -> list[Path]:
    """Files of ``paths``, and all pictures and videos below folders of ``paths``, sorted by name."""
    files: list[Path] = []
    for path in map(Path, paths):
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in {*PICTURE_SUFFIXES, *SUFFIXES})
        files += inside if path.is_dir() else [path]
    return files


def read_photographs(
    paths: Sequence[str], per_video: int, max_files: int, report: Report = silent
) -> tuple[list[Photograph], list[tuple[str, str]]]:
    """Read pictures, and ``per_video`` frames of each video at the centres of equal segments.

    Args:
        paths: files and folders.
        per_video: number of frames per video.
        max_files: if there are more files, this many evenly spaced ones are read.
        report: receives the fraction done.

    Returns:
        The photographs, and the name and reason of each file that cannot be used.

    Raises:
        UserError: no file can be used.
    """
    files = find_files(paths)
    if len(files) > max_files:
        files = [files[i] for i in segment_centres(len(files), max_files)]
    photographs: list[Photograph] = []
    skipped: list[tuple[str, str]] = []
    for number, path in enumerate(files):
        report(number / len(files))
        name = path.name
        try:
            if path.suffix.lower() in PICTURE_SUFFIXES:
                images = [read_picture(path, name)]
            else:
                images = list(read_frames(path, partial(segment_centres, T=per_video), side=MAX_SIDE).images)
        except VideoError as error:
            skipped.append((name, str(error)))
            continue
        if min(images[0].shape[:2]) < MIN_SIDE:
            skipped.append((name, f"{name} is smaller than {MIN_SIDE} pixels."))
            continue
        photographs += [Photograph(f"{number} {name}", thumbnail(image, MAX_SIDE)) for image in images]
    if not photographs:
        hint = f" {skipped[0][1]}" if skipped else ""
        raise UserError(f"No photograph or video can be used; give JPEG, PNG, WebP or video files, or a folder.{hint}")
    return photographs, skipped


@dataclass(frozen=True)
class Track:
    """A moving square (x and y of its centre, side): the centre moves linearly, the side geometrically."""

    start: tuple[float, float, float]
    end: tuple[float, float, float]

    def squares(self, times: int | np.ndarray) -> np.ndarray:
        """The square in each frame, float64 (T, 3).

        Args:
            times: progress (T,) of the motion in each frame, in [0, 1]; or T for evenly spaced frames from 0 to 1
                (0.5 for T = 1).
        """
        if not isinstance(times, np.ndarray):
            times = np.linspace(0, 1, times) if times > 1 else np.full(1, 0.5)
        s = times[:, None]
        start, end = np.array(self.start), np.array(self.end)
        centres = start[:2] + s * (end - start)[:2]
        return np.hstack([centres, start[2] * (end[2] / start[2]) ** s])


def draw_camera(axis: int, width: int, height: int, rng: np.random.Generator) -> Track:
    """Sample a camera's window, in pixels of a photograph, that moves left (axis 0), up (1) or nearer (2).

    For pans and tilts its side is 0.5 to 0.65 of the photograph's short side, and it moves by 0.4 to 0.7 of its side if
    there is room. For zooms its side starts at 0.85 to 1 of the short side and shrinks by a factor of 1.6 to 2.4.
    """
    size, short = np.array([width, height], float), min(width, height)
    if axis == 2:
        side = short * rng.uniform(0.85, 1.0)
        x, y = rng.uniform(side / 2, size - side / 2)
        return Track((x, y, side), (x, y, side / rng.uniform(1.6, 2.4)))
    side = short * rng.uniform(0.5, 0.65)
    return _slide(axis, min(side * rng.uniform(0.4, 0.7), size[axis] - side), side, side / 2, size, rng)


def draw_thing(axis: int, rng: np.random.Generator) -> Track:
    """Sample a cut-out's square, in pixels of a frame, that moves left (axis 0), up (1) or nearer (2).

    For slides its side is 0.22 to 0.36 of a frame's side, and it moves by at least 0.35 of a frame's side. When coming
    nearer, its side starts at 0.14 to 0.2 of a frame's side and grows by a factor of 2.2 to 3.
    """
    if axis == 2:
        side, growth = SIDE * rng.uniform(0.14, 0.2), rng.uniform(2.2, 3.0)
        border = side * growth / 2 + MARGIN * SIDE
        x, y = rng.uniform(border, SIDE - border, 2)
        return Track((x, y, side), (x, y, side * growth))
    side = SIDE * rng.uniform(0.22, 0.36)
    border = side / 2 + MARGIN * SIDE
    distance = rng.uniform(0.35 * SIDE, SIDE - 2 * border)
    return _slide(axis, distance, side, border, np.full(2, SIDE), rng)


def _slide(axis: int, distance: float, side: float, border: float, size: np.ndarray, rng: np.random.Generator) -> Track:
    """Sample a square that moves ``distance`` towards lower x or y, its centre at least ``border`` from the edges."""
    half = np.zeros(2)
    half[axis] = distance / 2
    x, y = border + half + rng.random(2) * np.maximum(size - 2 * (border + half), 0)
    dx, dy = half
    return Track((x + dx, y + dy, side), (x - dx, y - dy, side))


def camera_frames(image: np.ndarray, track: Track, times: int | np.ndarray) -> np.ndarray:
    """Crops of a photograph (H, W, 3) along a track, uint8 (T, SIDE, SIDE, 3); for ``times`` see ``Track.squares``."""
    picture = Image.fromarray(image)
    frames = []
    for x, y, side in track.squares(times):
        left, top = max(x - side / 2, 0), max(y - side / 2, 0)
        box = (left, top, min(left + side, picture.width), min(top + side, picture.height))
        frames.append(np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)))
    return np.stack(frames)


def thing_frames(background: np.ndarray, thing: Image.Image, track: Track, times: int | np.ndarray) -> np.ndarray:
    """A square RGBA cut-out moves over a background (SIDE, SIDE, 3) in whole pixels; uint8 (T, SIDE, SIDE, 3)."""
    frames = []
    for x, y, side in track.squares(times):
        frame, size = Image.fromarray(background), round(side)
        scaled = thing.resize((size, size), Image.Resampling.BICUBIC)
        frame.paste(scaled.convert("RGB"), (round(x - size / 2), round(y - size / 2)), scaled.getchannel("A"))
        frames.append(np.asarray(frame))
    return np.stack(frames)


def cut_out(image: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """An RGBA shape with a smooth random outline, filled with the most varied of eight random squares of an image."""
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
    centre = 2 * CUT_OUT_SIDE  # drawn at four times the size
    radii *= centre / radii.max()
    outline = np.stack([centre + radii * np.cos(angles), centre + radii * np.sin(angles)], axis=1)
    mask = Image.new("L", (2 * centre, 2 * centre))
    ImageDraw.Draw(mask).polygon(outline.ravel().tolist(), fill=255)
    shape = texture.resize((CUT_OUT_SIDE, CUT_OUT_SIDE), Image.Resampling.BICUBIC)
    shape.putalpha(mask.reduce(4))
    return shape


def draw_clips(image: np.ndarray, cut_out_image: np.ndarray, T: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the first motion of each of ``PAIRS`` over a photograph, with things cut out of another photograph.

    Returns:
        uint8 (pairs, T, SIDE, SIDE, 3); reversed along T, the clips show the second motions.
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
            clips.append(thing_frames(background, cut_out(cut_out_image, rng), draw_thing(pair.axis, rng), T))
    return np.stack(clips)
