"""Writes frames to mp4 files."""

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np


def write_mp4(path: str | Path, images: np.ndarray, *, fps: int, every_frame_intra: bool = False) -> None:
    """Write H.264 with yuv420p, which browsers can play; odd sides are cropped to even.

    Args:
        path: output file in an existing folder.
        images: uint8 RGB (F, H, W, 3).
        fps: frame rate.
        every_frame_intra: encode only key frames with a constant quantiser, so that the decoded pixels of a frame do
            not depend on its neighbours or the direction of time.
    """
    height, width = (side - side % 2 for side in images.shape[1:3])
    options = {"preset": "ultrafast", "crf": "20"}
    if every_frame_intra:
        options = {"preset": "ultrafast", "qp": "18", "g": "1", "bf": "0"}
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        for image in images:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_preview(images: Iterable[np.ndarray], path: str | Path, *, fps: int, side: int = 480) -> None:
    """Write a small H.264 copy of a video, frame by frame, with a short side of at most ``side`` pixels."""
    stream = None
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        for image in images:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if stream is None:
                scale = min(1.0, side / min(frame.width, frame.height))
                stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "26"})
                stream.width, stream.height = (max(2, round(v * scale / 2) * 2) for v in (frame.width, frame.height))
                stream.pix_fmt = "yuv420p"
                stream.codec_context.thread_count = 1
            container.mux(stream.encode(frame.reformat(stream.width, stream.height, "yuv420p")))
        if stream is not None:
            container.mux(stream.encode())
