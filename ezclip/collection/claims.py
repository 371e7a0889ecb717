"""Claim files: processes that share a folder divide the work among themselves, without a launcher or a server."""

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

STALE = 60.0  # seconds without a heartbeat after which a claim is abandoned
_HEARTBEATS = 6  # in that time


@contextmanager
def claim(path: Path, stale: float = STALE) -> Iterator[bool]:
    """Try to hold the claim file ``path`` during the block; yields whether this process holds it.

    The file is created with O_EXCL, touched by a thread, and removed at the end. A claim is abandoned if its process on
    this machine has ended, or if it was not touched for ``stale`` seconds by the clock of the file system. If a process
    was suspended for longer, two may hold one claim, so the work must be idempotent and its writes atomic.
    """
    owner = f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(4)}"
    if not _take(path, owner, stale):
        yield False
        return
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(stale / _HEARTBEATS):
            with suppress(OSError):
                os.utime(path)

    thread = threading.Thread(target=beat, name="claim", daemon=True)
    thread.start()
    try:
        yield True
    finally:
        stop.set()
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
            renamed = _temporary(path)
            with suppress(FileNotFoundError):  # another process may have renamed it first
                path.rename(renamed)
                renamed.unlink()
    return False


def _abandoned(path: Path, stale: float) -> bool:
    clock = _temporary(path)
    try:
        host, _, rest = path.read_text().partition(" ")
        pid = rest.partition(" ")[0]
        if host == socket.gethostname() and pid.isdigit() and not psutil.pid_exists(int(pid)):
            return True
        clock.touch()  # the clock of a shared disk's server may differ from the local one
        return clock.stat().st_mtime - path.stat().st_mtime > stale
    except FileNotFoundError:
        return True
    finally:
        clock.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    """A unique temporary file in the same folder."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
