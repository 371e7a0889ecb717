"""Whether browsers play a file, and a copy that they play; runs in a decoding process, callers use ``video.read``."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from itertools import chain, islice, pairwise
from pathlib import Path

import av
import numpy as np

from ezclip.errors import VideoError
from ezclip.types import Document
from ezclip.video.decode import guarded, iterate, open_video, video_stream
from ezclip.video.encode import write_preview

log = logging.getLogger(__name__)

PREVIEW_SECONDS = 8.0  # of encoding, after which the copy ends early
_MP4 = ("h264", "av1", "libdav1d")
_WEBM = ("vp8", "vp9", "libvpx", "libvpx-vp9", "av1", "libdav1d")


def describe(path: str | Path) -> Document:
    """{"seconds": duration as stored in the file, or None, "playable": whether browsers play it}.

    Browsers play H.264 or AV1 in mp4, and VP8, VP9 or AV1 in webm.

    Raises:
        VideoError: not a readable video.
    """
    with guarded(Path(path)), open_video(Path(path)) as container:
        codec = video_stream(Path(path).name, container).codec_context.name
        seconds = container.duration / av.time_base if container.duration else None
    kind = Path(path).suffix.lower()
    playable = codec in (_MP4 if kind in (".mp4", ".m4v") else _WEBM if kind == ".webm" else ())
    return {"seconds": seconds, "playable": playable}


def write_playable(path: str | Path, out: str | Path, limit: int) -> None:
    """Write an mp4 that browsers play: complete if the video can be remuxed, else of at most ``limit`` frames.

    Raises:
        VideoError: not a readable video.
    """
    if remux(path, out):
        return
    frames = iterate(path, limit=limit)
    first = list(islice(frames, 2))
    if not first:
        raise VideoError(f"No frame of {Path(path).name} can be decoded; choose another video.")
    gap = np.mean([b - a for (_, a), (_, b) in pairwise(first)]) if len(first) > 1 else 0.04
    fps = int(np.clip(round(1 / gap) if gap > 0 else 25, 1, 60))
    began = time.monotonic()

    def images() -> Iterator[np.ndarray]:
        for image, _ in chain(first, frames):
            yield image
            if time.monotonic() - began > PREVIEW_SECONDS:
                return

    write_preview(images(), out, fps=fps)


def remux(path: str | Path, out: str | Path) -> bool:
    """Remux the video stream of a file into an mp4; False for codecs that browsers cannot play there.

    Raises:
        VideoError: not a readable video.
    """
    with guarded(Path(path)), open_video(Path(path)) as source:
        stream = video_stream(Path(path).name, source)
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
