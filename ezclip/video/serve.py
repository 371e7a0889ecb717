"""The decoding process: answers requests from standard input until it is closed.

A request opens a session (a generator) or sends a value to it; the session's next value is the answer. Each message is
one line of JSON; pixels are written to the shared file that the request names.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

import numpy as np

if sys.platform != "win32":
    import resource

from ezclip.errors import VideoError
from ezclip.types import Clip, Document, Frames
from ezclip.video.decode import Decoder, LengthChanged
from ezclip.video.pictures import read_picture
from ezclip.video.playback import describe, write_playable
from ezclip.video.windows import windows

Session = Generator[Any, Any, None]


class Channel:
    """The reply stream and the shared file of the current request."""

    def __init__(self, replies: BinaryIO):
        self.replies, self.file = replies, ""

    def reply(self, message: Document) -> None:
        """Send one message."""
        self.replies.write(json.dumps(message).encode() + b"\n")
        self.replies.flush()

    def report(self, share: float) -> None:
        """Send the fraction done."""
        self.reply({"share": share})

    def allocate(self, shape: tuple[int, ...]) -> np.ndarray:
        """A uint8 array in the shared file.

        Raises:
            VideoError: there is not enough space.
        """
        size = int(np.prod(shape))
        try:
            with Path(self.file).open("r+b") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)  # otherwise a full disk kills this process by a signal
                file.truncate(size)
            return np.memmap(self.file, np.uint8, "r+", shape=shape)
        except OSError as error:
            raise VideoError(f"There is no room for the frames, {size / 1e6:.0f} MB; try again later.") from error

    def encode(self, answer: Any) -> Any:
        """Convert an answer to JSON and write its pixels to the shared file."""
        if isinstance(answer, np.ndarray):
            return {"pixels": self._share(answer)}
        if not isinstance(answer, Frames | Clip):
            return answer
        return {
            "pixels": self._share(answer.images),
            "type": type(answer).__name__,
            "name": answer.name,
            "total": answer.total,
            "lost": answer.lost,
            "indices": answer.indices.tolist(),
            "seconds": answer.seconds.tolist(),
        }

    def _share(self, images: np.ndarray) -> list[int]:
        if not isinstance(images, np.memmap):
            self.allocate(images.shape)[:] = images
        return list(images.shape)


def frames(channel: Channel, path: str, side: int | None = None) -> Session:
    """Answers the number of frames; for indices, the frames, or the new number of frames if one is damaged."""
    decoder = Decoder(path)
    while True:
        indices = yield len(decoder)
        with suppress(LengthChanged):
            yield decoder.get_frames_at(indices, side=side, report=channel.report, allocate=channel.allocate)
            return


def sliding_windows(_: Channel, path: str, T: int, seconds: float, step: float) -> Session:
    """Answers one window after another."""
    yield from windows(path, T=T, seconds=seconds, step=step)


def picture(_: Channel, path: str, name: str) -> Session:
    """Answers the pixels of a still."""
    yield read_picture(path, name)


def description(_: Channel, path: str) -> Session:
    """Answers duration and playability."""
    yield describe(path)


def playable_copy(_: Channel, path: str, out: str, limit: int) -> Session:
    """Writes a copy that browsers can play."""
    yield write_playable(path, out, limit)


SESSIONS: dict[str, Callable[..., Session]] = {
    session.__name__: session for session in (frames, sliding_windows, picture, description, playable_copy)
}


def main(memory: int) -> None:
    """Serve with at most ``memory`` bytes of private data, if the system supports the limit."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and closes the input
    if sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    channel = Channel(sys.stdout.buffer)
    sys.stdout = sys.stderr  # only messages may be written to the original stdout
    requests: SimpleQueue[Document] = SimpleQueue()
    threading.Thread(target=_receive, args=(requests,), daemon=True).start()
    session: Session | None = None
    while True:
        request = requests.get()
        channel.file = request["file"]
        try:
            if "open" in request:
                session = SESSIONS[request["open"]](channel, *request["arguments"])
            answer = session.send(request["value"]) if session else None
            channel.reply({"answer": channel.encode(answer)})
        except StopIteration:
            channel.reply({"end": True})
        except VideoError as error:
            channel.reply({"refused": str(error)})
        except MemoryError:
            channel.reply({"refused": "The clip needs more memory than decoding is allowed; reduce its size first."})


def _receive(requests: SimpleQueue[Document]) -> None:
    """Queue the requests; exit as soon as the parent closes the input, even while decoding."""
    for line in sys.stdin.buffer:
        requests.put(json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
