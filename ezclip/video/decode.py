"""Decodes selected frames of a video file or a folder of frames, in a decoding process; callers use ``video.read``.

Files are untrusted user input: only the demuxers and codecs listed here are used, sizes, lengths and the number of
decoded pixels are limited, decoding uses one thread, and every failure becomes a ``VideoError`` of one sentence.
"""

from __future__ import annotations

import logging
import os
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from time import sleep

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from ezclip.errors import VideoError
from ezclip.progress import Report, silent
from ezclip.types import Frames, Keywords
from ezclip.video.pictures import MAX_PIXELS, MAX_SIDE, read_picture
from ezclip.video.pixels import Allocate, Pixels, downscale_large, in_memory

log = logging.getLogger(__name__)

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,mpegts"
CODECS = frozenset(
    "h264 hevc mpeg4 msmpeg4v2 msmpeg4v3 mpeg1video mpeg2video vp8 vp9 libvpx libvpx-vp9 av1 libdav1d mjpeg gif theora "
    "wmv2 prores".split()
)
MAX_SECONDS = 30 * 60
MAX_FRAMES = 30 * 60 * 120
MAX_DECODED = 2e10  # pixels decoded for the frames of one clip, about 40 s of one core
MAX_DECODED_ALL = 3e11  # pixels decoded from a whole video, frame by frame
FOLDER_FPS = 25.0  # assumed frame rate of folders of frames, which have no timestamps
CAMERA_POLL = 0.005  # seconds between polls of a camera
# Accept metadata that is not UTF-8; PyAV 19 and later always do.
_LENIENT: Keywords = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
_SEEKABLE = ("mov", "matroska")  # containers that support seeking by time


class LengthChanged(VideoError):
    """A selected frame is damaged; the decoder's length is now the number of decodable frames."""


class Decoder:
    """Frames of a video file or a folder of images by index; ``len`` is the number of frames.

    Frames are counted by their packets, without decoding, and only selected frames are kept, so memory does not grow
    with the video's length. Damage that affects no selected frame is not detected.

    Args:
        path: an mp4, mov, mkv, webm, avi, gif, 3gp or mpegts file, or a folder of images sorted by name
            (img_00001.jpg, ...).

    Raises:
        VideoError: not a readable video; the message says what to do.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._pictures = _pictures_in(self.path) if os.path.isdir(self.path) else []
        self._times: list[int] | None = None
        self._keys: list[int] = []
        self.declared_length = self._length = len(self._pictures)
        if self._pictures:
            return
        with video_errors(self.path):
            with open_video(self.path) as container:
                self._times, keys, seekable = _scan(self.path.name, container)
            self._keys = keys if seekable else []
            self.declared_length = len(self._times or [])
            self._length = self.declared_length or self._count()

    def __len__(self) -> int:
        """Number of frames."""
        return self._length

    def get_frames_at(
        self,
        indices: list[int],
        *,
        side: int | None = None,
        report: Report = silent,
        allocate: Allocate = in_memory,
    ) -> Frames:
        """The distinct frames at ``indices``, upright, with transparency composited on white.

        Args:
            indices: each in [0, len).
            side: frames are downscaled to this long side in pixels; None keeps their size.
            report: receives the fraction of the frames decoded.
            allocate: creates the array of pixels.

        Raises:
            LengthChanged: a selected frame is damaged; select again among ``len`` frames.
            VideoError: the file cannot be decoded.
        """
        indices = sorted(set(indices))
        pixels = Pixels(len(indices), allocate, report, side)
        if self._pictures:
            for i in indices:
                name = f"{self.path.name}/{self._pictures[i].name}"
                pixels.add(read_picture(self._pictures[i], name), i / FOLDER_FPS)
            return self._frames(indices, pixels)
        with video_errors(self.path):
            if self._times is None:
                selected = set(indices)
                for i, frame in enumerate(_decode_all(self.path, MAX_DECODED)):
                    if i in selected:
                        pixels.add(*upright_rgb(frame))
            elif not self._decode_by_time(indices, pixels):
                self._times, self._length = None, self._count()
                raise LengthChanged(
                    f"{self.path.name} is damaged; {len(self)} of {self.declared_length} frames can be decoded."
                )
            if len(pixels.seconds) != len(indices):
                raise VideoError(f"{self.path.name} decodes differently each time; the file is damaged.")
            return self._frames(indices, pixels)

    def _frames(self, indices: list[int], pixels: Pixels) -> Frames:
        seconds = np.array(pixels.seconds, np.float64)
        lost = max(0, self.declared_length - len(self))
        return Frames(self.path.name, pixels.images, np.array(indices, np.int64), seconds, total=len(self), lost=lost)

    def _count(self) -> int:
        total = sum(1 for _ in _decode_all(self.path, MAX_DECODED))
        if total == 0:
            raise VideoError(f"No frame of {self.path.name} can be decoded; the file is damaged or not a video.")
        return total

    def _decode_by_time(self, indices: list[int], pixels: Pixels) -> bool:
        """Add the frames at ``indices``, seeking only if the next one's key frame lies ahead; False on damage."""
        times = self._times or []
        key_frames = [bisect_right(times, key) - 1 for key in self._keys]  # frame indices
        with open_video(self.path) as container:
            stream = video_stream(self.path.name, container)
            limit = MAX_DECODED / (stream.codec_context.width * stream.codec_context.height or 1)
            if _decode_count(indices, key_frames) > limit:
                raise _too_many_pixels(self.path.name)
            frames = decode_frames(container, stream)
            position = 0
            for index in indices:
                start = _key_frame_before(index, key_frames)
                if start > position:
                    container.seek(times[start], stream=stream, backward=True, any_frame=False)
                    frames = decode_frames(container, stream)
                frame = next((f for f in frames if f.pts is None or f.pts >= times[index]), None)
                if frame is None or frame.pts != times[index]:
                    return False
                position = index
                pixels.add(*upright_rgb(frame))
        return True


def _key_frame_before(index: int, key_frames: list[int]) -> int:
    return key_frames[bisect_right(key_frames, index) - 1] if key_frames and key_frames[0] <= index else 0


def _decode_count(indices: list[int], key_frames: list[int]) -> int:
    """The number of frames to decode for those at ``indices``, each from its key frame on."""
    total, position = 0, 0
    for index in indices:
        total += index - max(_key_frame_before(index, key_frames), position) + 1
        position = index
    return total


def _too_many_pixels(name: str) -> VideoError:
    return VideoError(f"{name} needs too many pixels decoded; shorten it or reduce its size, for example to 1280x720.")


def iterate(path: str | Path, *, limit: int) -> Iterator[tuple[np.ndarray, float]]:
    """At most ``limit`` decodable frames, upright, with their times in seconds; one at a time in memory.

    Raises:
        VideoError: not a readable video.
    """
    with video_errors(Path(path)):
        for frame in islice(_decode_all(Path(path), MAX_DECODED_ALL), limit):
            image, seconds = upright_rgb(frame)
            yield downscale_large(image), seconds


@contextmanager
def video_errors(path: Path) -> Iterator[None]:
    """Convert any exception of the decoder to a VideoError.

    Raises:
        VideoError: the file is missing, empty or not a readable video, or needs too much memory.
    """
    if not os.path.isfile(path):  # unlike Path.is_file, False for invalid names
        raise VideoError(f"There is no file {path.name}; check the path.")
    if path.stat().st_size == 0:
        raise VideoError(f"{path.name} is empty; choose another video.")
    try:
        yield
    except VideoError:
        raise
    except MemoryError as error:
        raise VideoError(f"{path.name} needs more memory than decoding is allowed; reduce its size first.") from error
    except Exception as error:  # decoders raise many kinds of exceptions
        log.debug("decoding failed", exc_info=True)
        raise VideoError(
            f"{path.name} cannot be read as a video ({type(error).__name__}). Supported are mp4, mov, mkv, webm, avi, "
            "gif and mpegts files with a common codec such as H.264."
        ) from error


def open_video(path: Path) -> InputContainer:
    """Open a file with the allowed demuxers only."""
    return av.open(str(path), options={"format_whitelist": FORMATS, "protocol_whitelist": "file"}, **_LENIENT)


def video_stream(name: str, container: InputContainer) -> VideoStream:
    """The first video stream other than cover art, checked against all limits and set to one thread."""
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise VideoError(f"{name} has no video stream; choose another file.")
    stream = streams[0]
    context = stream.codec_context
    if context is None:
        raise VideoError(f"{name} has a video stream without a decoder; the file is damaged or its codec is unknown.")
    if context.name not in CODECS:
        raise VideoError(f"{name} uses {context.name}, which is not supported; convert it to H.264 first.")
    if max(context.width, context.height) > MAX_SIDE or context.width * context.height > MAX_PIXELS:
        raise VideoError(
            f"{name} has {context.width}x{context.height} pixels; at most {MAX_SIDE} a side and {MAX_PIXELS:,} in all "
            "are accepted. Downscale it first."
        )
    seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
    if seconds is None and container.duration:
        seconds = container.duration / av.time_base
    _check_length(name, seconds or 0.0)
    if stream.frames > MAX_FRAMES:
        raise _too_long(name)
    context.thread_count = 1
    context.options = {**context.options, "max_pixels": str(MAX_PIXELS)}
    return stream


def _scan(name: str, container: InputContainer) -> tuple[list[int] | None, list[int], bool]:
    """Read the packets without decoding.

    Returns:
        The sorted presentation times of all frames, or None if some packets have none; the sorted times of key frames;
        and whether the container can seek to them.
    """
    stream = video_stream(name, container)
    times: list[int] = []
    keys: list[int] = []
    complete = True
    try:
        for packet in container.demux(stream):
            if packet.size == 0 or packet.is_discard:
                continue
            if packet.pts is None:
                complete = False
            else:
                times.append(packet.pts)
                if packet.is_keyframe:
                    keys.append(packet.pts)
            if len(times) > MAX_FRAMES:
                raise _too_long(name)
    except av.FFmpegError:
        log.debug("the packets of %s end early", name, exc_info=True)
    if times and stream.time_base:
        _check_length(name, float((max(times) - min(times)) * stream.time_base))
    unique = len(set(times)) == len(times)
    seekable = any(kind in container.format.name for kind in _SEEKABLE)
    return (sorted(times) if complete and unique and times else None), sorted(keys), seekable


def _check_length(name: str, seconds: float) -> None:
    if seconds > MAX_SECONDS:
        raise VideoError(
            f"{name} lasts {seconds / 60:.0f} minutes; at most {MAX_SECONDS // 60} are accepted. Trim it first."
        )


def _too_long(name: str) -> VideoError:
    return VideoError(f"{name} has more than {MAX_FRAMES:,} frames; trim it first.")


def _decode_all(path: Path, budget: float) -> Iterator[VideoFrame]:
    """All decodable frames, up to ``budget`` pixels."""
    with open_video(path) as container:
        for frame in decode_frames(container, video_stream(path.name, container), skip_damaged=True):
            budget -= frame.width * frame.height
            if budget < 0:
                raise _too_many_pixels(path.name)
            yield frame


def decode_frames(
    container: InputContainer, stream: VideoStream, *, skip_damaged: bool = False
) -> Iterator[VideoFrame]:
    """The frames from the current position on; stops at the first damaged packet unless ``skip_damaged``."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except av.BlockingIOError:  # the camera has no frame yet
            sleep(CAMERA_POLL)
            continue
        except (StopIteration, av.FFmpegError):
            return
        try:
            yield from (frame for frame in packet.decode() if isinstance(frame, VideoFrame))
        except av.FFmpegError:
            log.debug("a packet could not be decoded", exc_info=True)
            if not skip_damaged:
                return


def upright_rgb(frame: VideoFrame) -> tuple[np.ndarray, float]:
    """The frame's RGB pixels with the file's rotation applied, and its time in seconds."""
    if any(component.is_alpha for component in frame.format.components):
        rgba = Image.fromarray(frame.to_ndarray(format="rgba"))
        image = np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"))
    else:
        image = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90) % 4  # counter-clockwise
    return np.ascontiguousarray(np.rot90(image, turns)), float(frame.time or 0.0)


def _pictures_in(folder: Path) -> list[Path]:
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png") and p.is_file())
    if not paths:
        raise VideoError(f"The folder {folder.name} has no .jpg or .png frames.")
    return paths
