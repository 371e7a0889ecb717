"""Claim files: which process does a piece of work in a folder that several share, without a launcher or a server."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from ezclip.files import PARTIAL

STALE = 60.0  # seconds without a heartbeat after which a claim is retaken
_BEATS = 6  # heartbeats in that time


@contextmanager
def claimed(path: Path, stale: float = STALE) -> Iterator[bool]:
    """Whether this process has the claim ``path`` for the length of the block; another may have it.

    The file is created with O_EXCL, touched by a thread, and removed at the end. A claim is retaken if its process is
    no longer there (on this machine), or if it was not touched for ``stale`` seconds by the file system's clock. Two
    processes may hold one claim if one was suspended for longer, so the work must be repeatable: write atomically, and
    the same.
    """
    owner = f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(4)}"
    if not _take(path, owner, stale):
        yield False
        return
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(stale / _BEATS):
            with suppress(OSError):
                os.utime(path)

    thread = threading.Thread(target=beat, name="claim", daemon=True)
    thread.start()
    try:
        yield True
    finally:
        ended.set()
        thread.join()
        with suppress(OSError):
            if path.read_text() == owner:
                path.unlink()


def _take(path: Path, owner: str, stale: float) -> bool:
    for _ in range(2):
        try:
            with path.open("x") as file:
                file.write(owner)
            return True
        except FileExistsError:
            if not _abandoned(path, stale):
                return False
            moved = _beside(path)
            with suppress(FileNotFoundError):  # of several processes one moves it away
                path.rename(moved)
                moved.unlink()
    return False


def _abandoned(path: Path, stale: float) -> bool:
    clock = _beside(path)
    try:
        host, _, rest = path.read_text().partition(" ")
        pid = rest.partition(" ")[0]
        if host == socket.gethostname() and pid.isdigit() and not psutil.pid_exists(int(pid)):
            return True
        clock.touch()  # on a shared disk this machine's clock may differ from the server's
        return clock.stat().st_mtime - path.stat().st_mtime > stale
    except FileNotFoundError:
        return True
    finally:
        clock.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
