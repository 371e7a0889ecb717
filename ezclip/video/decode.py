"""Decodes chosen frames of a video file or a folder of frames, in a decoding process; callers use ``video.read``.

The file is user input: only the demuxers and codecs listed here are opened, sizes, lengths and the number of decoded
pixels are limited, one thread decodes, and every failure becomes a ``VideoError`` of one sentence.
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
from ezclip.video.pixels import Allocate, Pixels, in_memory, reduced

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
FOLDER_FPS = 25.0  # frame folders have no timestamps; this rate is assumed
NEXT_FRAME = 0.005  # seconds between polls of a camera
# Names and titles that are not UTF-8 do not make a file unreadable: from version 19 on, PyAV always keeps them.
_LENIENT: Keywords = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
_SEEKABLE = ("mov", "matroska")  # containers that support seeking by time


class LengthChanged(VideoError):
    """A chosen frame is damaged; the decoder's length is now the number of decodable frames."""


class Decoder:
    """Frames of a video file or of a folder of images by their index; ``len`` is the number of frames.

    The number of frames is the number of packets, read without decoding, and only the chosen frames are kept, so memory
    does not grow with the length. Damage that affects no chosen frame is not detected.

    Args:
        path: an mp4, mov, mkv, webm, avi, gif, 3gp or mpegts file, or a folder of images in name order
            (img_00001.jpg, ...).

    Raises:
        VideoError: not a readable video; says what to do.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._pictures = _pictures_in(self.path) if os.path.isdir(self.path) else []
        self._times: list[int] | None = None
        self._keys: list[int] = []
        self.announced = self._length = len(self._pictures)
        if self._pictures:
            return
        with guarded(self.path):
            with open_video(self.path) as container:
                self._times, keys, seekable = _scan(self.path.name, container)
            self._keys = keys if seekable else []
            self.announced = len(self._times or [])
            self._length = self.announced or self._count()

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
        """The distinct frames at ``indices``, upright, transparent parts on white.

        Args:
            indices: each in [0, len).
            side: longest side in pixels to which frames are reduced; None keeps their size.
            report: receives the fraction of the frames decoded.
            allocate: makes the array of their pixels.

        Raises:
            LengthChanged: a chosen frame is damaged; choose again among ``len`` frames.
            VideoError: the file cannot be decoded.
        """
        wanted = sorted(set(indices))
        pixels = Pixels(len(wanted), allocate, report, side)
        if self._pictures:
            for i in wanted:
                name = f"{self.path.name}/{self._pictures[i].name}"
                pixels.add(read_picture(self._pictures[i], name), i / FOLDER_FPS)
            return self._frames(wanted, pixels)
        with guarded(self.path):
            if self._times is None:
                need = set(wanted)
                for i, frame in enumerate(_decode_all(self.path, MAX_DECODED)):
                    if i in need:
                        pixels.add(*upright(frame))
            elif not self._decode_by_time(wanted, pixels):
                self._times, self._length = None, self._count()
                raise LengthChanged(
                    f"{self.path.name} is damaged; {len(self)} of {self.announced} frames can be decoded."
                )
            if len(pixels.seconds) != len(wanted):
                raise VideoError(f"{self.path.name} decodes differently each time; the file is damaged.")
            return self._frames(wanted, pixels)

    def _frames(self, wanted: list[int], pixels: Pixels) -> Frames:
        seconds = np.array(pixels.seconds, np.float64)
        lost = max(0, self.announced - len(self))
        return Frames(self.path.name, pixels.images, np.array(wanted, np.int64), seconds, total=len(self), lost=lost)

    def _count(self) -> int:
        total = sum(1 for _ in _decode_all(self.path, MAX_DECODED))
        if total == 0:
            raise VideoError(f"No frame of {self.path.name} can be decoded; the file is damaged or not a video.")
        return total

    def _decode_by_time(self, wanted: list[int], pixels: Pixels) -> bool:
        """Add the chosen frames, seeking only if the next one's key frame lies ahead; False on damage."""
        times = self._times or []
        starts = [bisect_right(times, key) - 1 for key in self._keys]  # the frame numbers of key frames
        with open_video(self.path) as container:
            stream = video_stream(self.path.name, container)
            limit = MAX_DECODED / (stream.codec_context.width * stream.codec_context.height or 1)
            if _decodes(wanted, starts) > limit:
                raise _too_much(self.path.name)
            frames = decoded(container, stream)
            position = 0
            for index in wanted:
                start = starts[bisect_right(starts, index) - 1] if starts and starts[0] <= index else 0
                if start > position:
                    container.seek(times[start], stream=stream, backward=True, any_frame=False)
                    frames = decoded(container, stream)
                frame = next((f for f in frames if f.pts is None or f.pts >= times[index]), None)
                if frame is None or frame.pts != times[index]:
                    return False
                position = index
                pixels.add(*upright(frame))
        return True


def _decodes(wanted: list[int], starts: list[int]) -> int:
    """Number of frames that must be decoded for the wanted ones, each from its key frame on."""
    total, position = 0, 0
    for index in wanted:
        key = starts[bisect_right(starts, index) - 1] if starts and starts[0] <= index else 0
        total += index - max(key, position) + 1
        position = index
    return total


def _too_much(name: str) -> VideoError:
    return VideoError(f"{name} needs too many pixels decoded; shorten it or reduce its size, for example to 1280x720.")


def iterate(path: str | Path, *, limit: int) -> Iterator[tuple[np.ndarray, float]]:
    """All decodable frames, upright, with their times in seconds, at most ``limit``; one at a time in memory.

    Raises:
        VideoError: not a readable video.
    """
    with guarded(Path(path)):
        for frame in islice(_decode_all(Path(path), MAX_DECODED_ALL), limit):
            image, seconds = upright(frame)
            yield reduced(image), seconds


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn whatever the decoder raises into one VideoError.

    Raises:
        VideoError: the file is missing, empty or not a readable video, or needs too much memory.
    """
    if not os.path.isfile(path):  # unlike Path.is_file, False for names that no file can have
        raise VideoError(f"There is no file {path.name}; check the path.")
    if path.stat().st_size == 0:
        raise VideoError(f"{path.name} is empty; choose another video.")
    try:
        yield
    except VideoError:
        raise
    except MemoryError as error:
        raise VideoError(f"{path.name} needs more memory than decoding is allowed; reduce its size first.") from error
    except Exception as error:  # decoders raise nearly everything
        log.debug("decoding failed", exc_info=True)
        raise VideoError(
            f"{path.name} cannot be read as a video ({type(error).__name__}). Supported are mp4, mov, mkv, webm, avi, "
            "gif and mpegts files with a common codec such as H.264."
        ) from error


def open_video(path: Path) -> InputContainer:
    """A file, read by the allowed demuxers only."""
    return av.open(str(path), options={"format_whitelist": FORMATS, "protocol_whitelist": "file"}, **_LENIENT)


def video_stream(name: str, container: InputContainer) -> VideoStream:
    """The first video stream other than cover art, checked against all limits, one thread."""
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
        The presentation times of all frames, sorted, or None where packets have none; the times of key frames, sorted;
        and whether they can be seeked to.
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
        for frame in decoded(container, video_stream(path.name, container), pass_over_damage=True):
            budget -= frame.width * frame.height
            if budget < 0:
                raise _too_much(path.name)
            yield frame


def decoded(container: InputContainer, stream: VideoStream, *, pass_over_damage: bool = False) -> Iterator[VideoFrame]:
    """The frames from here on, up to the first damaged packet, or skipping such packets."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except av.BlockingIOError:  # a camera that has no frame yet
            sleep(NEXT_FRAME)
            continue
        except (StopIteration, av.FFmpegError):
            return
        try:
            yield from (frame for frame in packet.decode() if isinstance(frame, VideoFrame))
        except av.FFmpegError:
            log.debug("a packet could not be decoded", exc_info=True)
            if not pass_over_damage:
                return


def upright(frame: VideoFrame) -> tuple[np.ndarray, float]:
    """RGB pixels with the file's rotation applied, and the frame's time in seconds."""
    if any(component.is_alpha for component in frame.format.components):
        rgba = Image.fromarray(frame.to_ndarray(format="rgba"))
        image = np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"))
    else:
        image = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90) % 4  # counter-clockwise
    return np.ascontiguousarray(np.rot90(image, turns)), float(frame.time or 0.0)


def _pictures_in(folder: Path) -> list[Path]:
    names = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png") and p.is_file())
    if not names:
        raise VideoError(f"The folder {folder.name} has no .jpg or .png frames.")
    return names
