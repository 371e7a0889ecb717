"""Tells whether browsers play a file, and writes playable copies, in a decoding process; callers use ``video.read``."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import av
import numpy as np

from ezclip.errors import VideoError
from ezclip.types import Document
from ezclip.video.decode import iterate, open_video, video_errors, video_stream
from ezclip.video.encode import write_preview

log = logging.getLogger(__name__)

PREVIEW_SECONDS = 8.0  # encoding time after which the copy is cut off
_MP4 = ("h264", "av1", "libdav1d")
_WEBM = ("vp8", "vp9", "libvpx", "libvpx-vp9", "av1", "libdav1d")


def describe(path: str | Path) -> Document:
    """{"seconds": duration as stored in the file, or None, "playable": whether browsers can play it}.

    Browsers play H.264 or AV1 in mp4, and VP8, VP9 or AV1 in webm.

    Raises:
        VideoError: not a readable video.
    """
    with video_errors(Path(path)), open_video(Path(path)) as container:
        codec = video_stream(Path(path).name, container).codec_context.name
        seconds = container.duration / av.time_base if container.duration else None
    suffix = Path(path).suffix.lower()
    playable = codec in (_MP4 if suffix in (".mp4", ".m4v") else _WEBM if suffix == ".webm" else ())
    return {"seconds": seconds, "playable": playable}


def write_playable(path: str | Path, out: str | Path, limit: int) -> None:
    """Write an mp4 that browsers can play: remuxed if possible, otherwise at most ``limit`` frames are encoded.

    Raises:
        VideoError: not a readable video.
    """
    if remux(path, out):
        return
    frames = iterate(path, limit=limit)
    first = list(islice(frames, 2))
    if not first:
        raise VideoError(f"No frame of {Path(path).name} can be decoded; choose another video.")
    interval = first[-1][1] - first[0][1]
    fps = int(np.clip(round(1 / interval) if interval > 0 else 25, 1, 60))
    deadline = time.monotonic() + PREVIEW_SECONDS

    def images() -> Iterator[np.ndarray]:
        for image, _ in chain(first, frames):
            yield image
            if time.monotonic() > deadline:
                return

    write_preview(images(), out, fps=fps)


def remux(path: str | Path, out: str | Path) -> bool:
    """Remux the video stream of a file to mp4; False for codecs that browsers cannot play in mp4.

    Raises:
        VideoError: not a readable video.
    """
    with video_errors(Path(path)), open_video(Path(path)) as source:
        stream = video_stream(Path(path).name, source)
        if stream.codec_context.name not in _MP4:
            return False
        try:
            with av.open(str(out), "w", format="mp4", options={"movflags": "faststart"}) as target:
                copy = target.add_stream_from_template(stream)
                pending: list[av.Packet] = []  # in Matroska the first packets have no DTS
                for packet in source.demux(stream):
                    if packet.size == 0:
                        continue
                    pending.append(packet)
                    if packet.dts is None:
                        continue
                    for i, queued in enumerate(pending, 1 - len(pending)):
                        queued.dts, queued.stream = packet.dts + i, copy
                        target.mux(queued)
                    pending.clear()
        except (av.FFmpegError, ValueError):
            log.debug("remuxing failed", exc_info=True)
            return False
    return not pending
