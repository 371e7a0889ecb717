"""The decoding process: answers requests on its standard input until that closes.

A request opens a session (a generator) or sends it a value; the session's next value is the answer. Messages are one
line of JSON; pixels go into a shared file that the request names.
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
    """What a session needs of the current request: a file for pixels, and the way back for its progress."""

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
            VideoError: there is no room for it.
        """
        size = int(np.prod(shape))
        try:
            with Path(self.file).open("r+b") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)  # else a full disk would end this process by a signal
                file.truncate(size)
            return np.memmap(self.file, np.uint8, "r+", shape=shape)
        except OSError as error:
            raise VideoError(f"There is no room for the frames, {size / 1e6:.0f} MB; try again later.") from error

    def encoded(self, answer: Any) -> Any:
        """An answer as JSON, its pixels in the shared file."""
        if isinstance(answer, np.ndarray):
            return {"pixels": self._shared(answer)}
        if not isinstance(answer, Frames | Clip):
            return answer
        rest = {"name": answer.name, "total": answer.total, "lost": answer.lost}
        numbers = {"indices": answer.indices.tolist(), "seconds": answer.seconds.tolist()}
        return {"pixels": self._shared(answer.images), "type": type(answer).__name__} | rest | numbers

    def _shared(self, images: np.ndarray) -> list[int]:
        if not isinstance(images, np.memmap):
            self.allocate(images.shape)[:] = images
        return list(images.shape)


def frames(channel: Channel, path: str, side: int | None = None) -> Session:
    """Answers the number of frames; to indices, the frames, or the number of frames again if one is damaged."""
    decoder = Decoder(path)
    while True:
        indices = yield len(decoder)
        with suppress(LengthChanged):
            yield decoder.get_frames_at(indices, side=side, report=channel.report, allocate=channel.allocate)
            return


def sliding(_: Channel, path: str, T: int, seconds: float, step: float) -> Session:
    """Answers one window after the other."""
    yield from windows(path, T=T, seconds=seconds, step=step)


def picture(_: Channel, path: str, name: str) -> Session:
    """Answers the pixels of a still."""
    yield read_picture(path, name)


def described(_: Channel, path: str) -> Session:
    """Answers duration and playability."""
    yield describe(path)


def playable(_: Channel, path: str, out: str, limit: int) -> Session:
    """Writes a copy that browsers play."""
    yield write_playable(path, out, limit)


SESSIONS: dict[str, Callable[..., Session]] = {
    one.__name__: one for one in (frames, sliding, picture, described, playable)
}


def main(memory: int) -> None:
    """Serve with at most ``memory`` bytes of private data, where the system can limit it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; it then closes the input
    if sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    channel = Channel(sys.stdout.buffer)
    sys.stdout = sys.stderr  # nothing else may write between the messages
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
            channel.reply({"answer": channel.encoded(answer)})
        except StopIteration:
            channel.reply({"end": True})
        except VideoError as error:
            channel.reply({"refused": str(error)})
        except MemoryError:
            channel.reply({"refused": "The clip needs more memory than decoding is allowed; reduce its size first."})


def _receive(requests: SimpleQueue[Document]) -> None:
    """Queue the requests; end the process as soon as the parent has gone, whatever is being decoded."""
    for line in sys.stdin.buffer:
        requests.put(json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
