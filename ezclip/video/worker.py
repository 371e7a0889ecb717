"""Client side of the decoding processes: a pool, time limits and shared pixels."""

from __future__ import annotations

import atexit
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from ezclip.errors import VideoError
from ezclip.progress import Report
from ezclip.types import Clip, Document, Frames

MEMORY = int(1.5 * 2**30)  # bytes, limit on private data of a decoding process, without the decoded frames
SECONDS = "EZCLIP_DECODE_SECONDS"  # environment variable: time limit of one answer
DEFAULT_SECONDS = 60.0
WORKERS = max(4, os.cpu_count() or 1)  # maximum number of decoding processes
_POLL = 0.05  # seconds between polls of an answer
_MIN_FREE = 2**30  # bytes; with less free space in the memory file system, frames are shared through the disk
_PREFIX = "ezclip-frames-"  # of files that share pixels, followed by the id of the requesting process
_ABANDONED = 600  # seconds; the age protects files of other containers, whose processes are not visible
_ROOT = Path(__file__).resolve().parents[2]
_START = f"import sys; sys.path.insert(0, {str(_ROOT)!r}); from ezclip.video.serve import main; main({MEMORY})"
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class Worker:
    """One decoding process; the constructor starts it without waiting for it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | _ENVIRONMENT,
        )
        self.busy = False  # an answer is outstanding
        self._replies: queue.SimpleQueue[Document | None] = queue.SimpleQueue()
        threading.Thread(target=self._receive, name="decoder-replies", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self.process.poll() is None

    def kill(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]

    def open(self, name: str, path: str | Path, session: str, *arguments: Any, report: Report) -> Any:
        """Open a session of ``video.serve`` with a file; returns the first answer.

        Args:
            name: of the file, for messages.
            path: of the file.
            session: name of the session.
            *arguments: further arguments of the session.
            report: receives the fraction done, and may raise to cancel.

        Raises:
            VideoError: the file cannot be decoded within the limits.
        """
        self.name = name
        return self._ask({"open": session, "arguments": [os.path.abspath(path), *arguments], "value": None}, report)

    def send(self, value: Any, report: Report) -> Any:
        """Send a value to the session; returns the next answer, or None at the end."""
        return self._ask({"value": value}, report)

    def _ask(self, request: Document, report: Report) -> Any:
        """Send one request and wait for the answer; any error other than ``Refused`` kills the process."""
        self.busy = True
        handle, file = tempfile.mkstemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_shared_folder())
        os.close(handle)
        try:
            self.process.stdin.write(json.dumps(request | {"file": file}).encode() + b"\n")  # type: ignore[union-attr]
            self.process.stdin.flush()  # type: ignore[union-attr]
            reply = self._wait(report)
            self.busy = False
            if "refused" in reply:
                raise Refused(reply["refused"])
            return _decode_answer(reply.get("answer"), file)
        except Refused:
            raise
        except OSError as error:
            self.kill()
            raise self._crashed() from error
        except BaseException:
            self.kill()
            raise
        finally:
            with suppress(OSError):
                os.unlink(file)

    def _wait(self, report: Report) -> Document:
        seconds = float(os.environ.get(SECONDS, DEFAULT_SECONDS))
        end = time.monotonic() + seconds
        share = 0.0
        while True:
            try:
                reply = self._replies.get(timeout=_POLL)
            except queue.Empty:
                reply = {"share": share}
            if reply is None:
                raise self._crashed()
            if "share" not in reply:
                return reply
            share = reply["share"]
            report(share)
            if time.monotonic() > end:
                raise VideoError(
                    f"{self.name} takes longer than {seconds:g} s to decode; shorten it or reduce its size."
                )

    def _crashed(self) -> VideoError:
        return VideoError(f"{self.name} makes the decoder crash; the file is damaged. Choose another video.")

    def _receive(self) -> None:
        with suppress(OSError, ValueError):  # killed in the middle of a line
            for line in self.process.stdout:  # type: ignore[union-attr]
                self._replies.put(json.loads(line))
        self._replies.put(None)


class Refused(VideoError):
    """The decoding process refused the file and is ready for the next one."""


class Pool:
    """At most ``WORKERS`` processes, started on demand and reused."""

    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(WORKERS)
        self._idle: list[Worker] = []
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start a process ahead of the first request."""
        with self._lock:
            if not self._idle:
                self._idle.append(Worker())

    @contextmanager
    def lease(self, report: Report) -> Iterator[Worker]:
        """A process for one session; blocks while all are busy."""
        while not self._free.acquire(timeout=_POLL):
            report(0.0)
        try:
            worker = self._take()
            try:
                yield worker
            finally:
                if worker.busy:  # the caller did not wait for the answer
                    worker.kill()
                if worker.alive:
                    with self._lock:
                        self._idle.append(worker)
        finally:
            self._free.release()

    def _take(self) -> Worker:
        with self._lock:
            while self._idle:
                if (worker := self._idle.pop()).alive:
                    return worker
        remove_abandoned()
        return Worker()

    def close(self) -> None:
        """Kill all idle processes; busy ones end with this process."""
        with self._lock:
            for worker in self._idle:
                worker.kill()
            self._idle.clear()


def remove_abandoned() -> None:
    """Remove the shared pixels of processes that were killed during a request."""
    for file in Path(_shared_folder()).glob(f"{_PREFIX}*"):
        with suppress(OSError, ValueError):
            pid = int(file.name.removeprefix(_PREFIX).partition("-")[0])
            if not psutil.pid_exists(pid) and time.time() - file.stat().st_mtime > _ABANDONED:
                file.unlink()


def _shared_folder() -> str:
    """The folder for shared pixels: in memory if there is enough free space, otherwise on the disk."""
    memory = "/dev/shm"  # noqa: S108
    with suppress(OSError):
        if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _MIN_FREE:
            return memory
    return tempfile.gettempdir()


def _decode_answer(answer: Any, file: str) -> Any:
    """An answer of ``video.serve`` with the pixels from ``file``."""
    if not isinstance(answer, dict) or "pixels" not in answer:
        return answer
    images = np.asarray(np.memmap(file, np.uint8, "r+", shape=tuple(answer["pixels"])))
    if os.name == "nt":
        images = images.copy()  # Windows cannot remove a mapped file
    if "type" not in answer:
        return images
    kind = {"Frames": Frames, "Clip": Clip}[answer["type"]]
    indices, seconds = np.array(answer["indices"], np.int64), np.array(answer["seconds"], np.float64)
    return kind(answer["name"], images, indices, seconds, total=answer["total"], lost=answer["lost"])


_pool = Pool()
atexit.register(lambda: _pool.close())


def pool() -> Pool:
    """The decoding processes of this process."""
    return _pool


def _reset_pool() -> None:
    """Give a forked process an empty pool; the workers belong to its parent."""
    global _pool
    _pool = Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_pool)
