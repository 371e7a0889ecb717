"""Reads chosen frames of a video file or a folder of frames.

The file is user input: only the demuxers and codecs listed here are opened, sizes and lengths are limited, one thread
decodes, and every failure becomes a ``VideoError`` of one sentence. Everything that touches FFmpeg is behind
``Decoder`` and ``iterate``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
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
from ezclip.types import Clip, Frames
from ezclip.video.pictures import MAX_PIXELS, MAX_SIDE, read_picture

log = logging.getLogger(__name__)

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,mpegts"
CODECS = frozenset(
    "h264 hevc mpeg4 msmpeg4v2 msmpeg4v3 mpeg1video mpeg2video vp8 vp9 libvpx libvpx-vp9 av1 libdav1d mjpeg gif theora "
    "wmv2 prores".split()
)
MAX_SECONDS = 30 * 60
MAX_FRAMES = 30 * 60 * 240
FOLDER_FPS = 25.0  # frame folders have no timestamps; this rate is assumed
NEXT_FRAME = 0.005  # seconds between polls of a camera
_SEEKABLE = ("mov", "matroska")  # containers that support seeking by time

Choose = Callable[[int], list[int]]  # from the number of frames in a video to the wanted indices, repeats allowed


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
        self._pictures = _pictures_in(self.path) if self.path.is_dir() else []
        self._times: list[int] | None = None
        self._keys: list[int] = []
        self.announced = self._length = len(self._pictures)
        if self._pictures:
            return
        with _guarded(self.path):
            with _open(self.path) as container:
                self._times, keys, seekable = _scan(self.path.name, container)
            self._keys = keys if seekable else []
            self.announced = len(self._times or [])
            self._length = self.announced or self._count()

    def __len__(self) -> int:
        """Number of frames."""
        return self._length

    def get_frames_at(self, indices: list[int], *, report: Report = silent) -> Frames:
        """The distinct frames at ``indices``, upright, transparent parts on white.

        Args:
            indices: each in [0, len).
            report: receives the fraction of the frames decoded.

        Raises:
            LengthChanged: a chosen frame is damaged; choose again among ``len`` frames.
            VideoError: the file cannot be decoded.
        """
        wanted = sorted(set(indices))
        if self._pictures:
            return _frames(self.path, _read_pictures(self.path.name, self._pictures, wanted), wanted, len(self), 0)
        with _guarded(self.path):
            if self._times is None:
                return self._decode_counted(wanted)
            found = _decode_by_time(self.path, self._times, self._keys, wanted, report)
            if len(found) == len(wanted):
                return _frames(self.path, found, wanted, len(self), 0)
            self._times, self._length = None, self._count()
            raise LengthChanged(f"{self.path.name} is damaged; {len(self)} of {self.announced} frames can be decoded.")

    def _count(self) -> int:
        total = sum(1 for _ in _decode_all(self.path))
        if total == 0:
            raise VideoError(f"No frame of {self.path.name} can be decoded; the file is damaged or not a video.")
        return total

    def _decode_counted(self, wanted: list[int]) -> Frames:
        need = set(wanted)
        found = [upright(frame) for i, frame in enumerate(_decode_all(self.path)) if i in need]
        if len(found) != len(wanted):
            raise VideoError(f"{self.path.name} decodes differently each time; the file is damaged.")
        return _frames(self.path, found, wanted, len(self), max(0, self.announced - len(self)))


def read_frames(path: str | Path, choose: Choose, *, report: Report = silent) -> Frames:
    """Decode the distinct frames that ``choose`` picks; if one is damaged, choose again among the decodable ones.

    Raises:
        VideoError: see ``Decoder``.
    """
    return _read(path, choose, report)[0]


def read_clip(path: str | Path, choose: Choose, *, report: Report = silent) -> Clip:
    """Like ``read_frames``, with the frames in the order and multiplicity given by ``choose``."""
    frames, indices = _read(path, choose, report)
    return frames.select(indices)


def _read(path: str | Path, choose: Choose, report: Report) -> tuple[Frames, list[int]]:
    decoder = Decoder(path)
    indices = choose(len(decoder))
    try:
        return decoder.get_frames_at(indices, report=report), indices
    except LengthChanged:
        indices = choose(len(decoder))
        return decoder.get_frames_at(indices, report=report), indices


def playable_in_browsers(path: str | Path) -> bool:
    """Whether browsers play the file: H.264 or AV1 in mp4, VP8, VP9 or AV1 in webm."""
    with _guarded(Path(path)), _open(Path(path)) as container:
        codec = _video_stream(Path(path).name, container).codec_context.name
    kind = Path(path).suffix.lower()
    return (kind in (".mp4", ".m4v") and codec in ("h264", "av1", "libdav1d")) or (
        kind == ".webm" and codec in ("vp8", "vp9", "libvpx", "libvpx-vp9", "av1", "libdav1d")
    )


def remux(path: str | Path, out: str | Path) -> bool:
    """Remux the video stream of a file into an mp4; False for codecs that browsers cannot play there.

    Raises:
        VideoError: not a readable video.
    """
    with _guarded(Path(path)), _open(Path(path)) as source:
        stream = _video_stream(Path(path).name, source)
        if stream.codec_context.name not in ("h264", "av1", "libdav1d"):
            return False
        try:
            with av.open(str(out), "w", format="mp4", options={"movflags": "faststart"}) as target:
                copy = target.add_stream_from_template(stream)
                early: list[av.Packet] = []  # in Matroska the first packets have no DTS
                for packet in source.demux(stream):
                    if packet.size == 0:
                        continue
                    early.append(packet)
                    if packet.dts is None:
                        continue
                    for i, one in enumerate(early):
                        one.dts, one.stream = packet.dts - (len(early) - 1 - i), copy
                        target.mux(one)
                    early.clear()
        except (av.FFmpegError, ValueError):
            log.debug("remuxing failed", exc_info=True)
            return False
    return not early


def seconds_of(path: str | Path) -> float | None:
    """Duration in seconds, as stored in the file; None if missing.

    Raises:
        VideoError: not a readable video.
    """
    with _guarded(Path(path)), _open(Path(path)) as container:
        _video_stream(Path(path).name, container)
        return container.duration / av.time_base if container.duration else None


def iterate(path: str | Path, *, limit: int) -> Iterator[tuple[np.ndarray, float]]:
    """All decodable frames, upright, with their times in seconds, at most ``limit``; one at a time in memory.

    Raises:
        VideoError: not a readable video.
    """
    with _guarded(Path(path)):
        for frame in islice(_decode_all(Path(path)), limit):
            yield upright(frame)


@contextmanager
def _guarded(path: Path) -> Iterator[None]:
    """Turn whatever the decoder raises into one VideoError."""
    if not path.is_file():
        raise VideoError(f"There is no file {path.name}; check the path.")
    if path.stat().st_size == 0:
        raise VideoError(f"{path.name} is empty; choose another video.")
    try:
        yield
    except VideoError:
        raise
    except (av.FFmpegError, ValueError, LookupError, OSError, MemoryError) as error:
        log.debug("decoding failed", exc_info=True)
        raise VideoError(
            f"{path.name} cannot be read as a video ({type(error).__name__}). Supported are mp4, mov, mkv, webm, avi, "
            "gif and mpegts files with a common codec such as H.264."
        ) from error


def _frames(path: Path, found: list[tuple[np.ndarray, float]], wanted: list[int], total: int, lost: int) -> Frames:
    sizes = {image.shape for image, _ in found}
    images = [image for image, _ in found]
    if len(sizes) > 1:  # resolution changes midway: all frames take the first one's size
        height, width = images[0].shape[:2]
        images = [np.asarray(Image.fromarray(image).resize((width, height))) for image in images]
    if lost:
        log.warning("%s: %d of %d frames could not be decoded", path.name, lost, lost + total)
    seconds = np.array([s for _, s in found], np.float64)
    return Frames(path.name, np.stack(images), np.array(wanted, np.int64), seconds, total=total, lost=lost)


def _open(path: Path) -> InputContainer:
    return av.open(
        str(path), options={"format_whitelist": FORMATS, "protocol_whitelist": "file"}, metadata_errors="replace"
    )


def _video_stream(name: str, container: InputContainer) -> VideoStream:
    """The first video stream other than cover art, checked against all limits, one thread."""
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise VideoError(f"{name} has no video stream; choose another file.")
    stream = streams[0]
    context = stream.codec_context
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
    if seconds is not None and seconds > MAX_SECONDS:
        raise VideoError(
            f"{name} lasts {seconds / 60:.0f} minutes; at most {MAX_SECONDS // 60} are accepted. Trim it first."
        )
    context.thread_count = 1
    context.options = {**context.options, "max_pixels": str(MAX_PIXELS)}
    return stream


def _scan(name: str, container: InputContainer) -> tuple[list[int] | None, list[int], bool]:
    """Read the packets without decoding.

    Returns:
        The presentation times of all frames, sorted, or None where packets have none; the times of key frames, sorted;
        and whether they can be seeked to.
    """
    stream = _video_stream(name, container)
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
                raise VideoError(f"{name} has more than {MAX_FRAMES:,} frames; trim it first.")
    except av.FFmpegError:
        log.debug("the packets of %s end early", name, exc_info=True)
    unique = len(set(times)) == len(times)
    seekable = any(kind in container.format.name for kind in _SEEKABLE)
    return (sorted(times) if complete and unique and times else None), sorted(keys), seekable


def _decode_by_time(
    path: Path, times: list[int], keys: list[int], wanted: list[int], report: Report
) -> list[tuple[np.ndarray, float]]:
    """The chosen frames, seeking only if the next one's key frame lies ahead; fewer on damage."""
    found: list[tuple[np.ndarray, float]] = []
    with _open(path) as container:
        stream = _video_stream(path.name, container)
        frames = decoded(container, stream)
        position = times[0]
        for index in wanted:
            target = times[index]
            key = max((k for k in keys if k <= target), default=times[0])
            if key > position:
                container.seek(key, stream=stream, backward=True, any_frame=False)
                frames = decoded(container, stream)
            frame = next((f for f in frames if f.pts is None or f.pts >= target), None)
            if frame is None or frame.pts != target:
                return found
            position = target
            found.append(upright(frame))
            report(len(found) / len(wanted))
    return found


def _decode_all(path: Path) -> Iterator[VideoFrame]:
    with _open(path) as container:
        yield from decoded(container, _video_stream(path.name, container), pass_over_damage=True)


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


def _read_pictures(folder: str, names: list[Path], wanted: list[int]) -> list[tuple[np.ndarray, float]]:
    return [(read_picture(names[i], f"{folder}/{names[i].name}"), i / FOLDER_FPS) for i in wanted]
