"""Long work that can be watched and stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
_LOOK = 0.1  # seconds between looks at the work


@dataclass(frozen=True)
class Step:
    """Progress: the share of the work that is done, in [0, 1], and what comes now."""

    share: float
    doing: str


class Stopped(Exception):
    """The user stopped the work."""


def watched(work: Callable[[Callable[[float], None]], T], doing: str) -> Iterator[Step | T]:
    """Run ``work(tick)`` in a thread; closing the iterator makes its next tick raise, which ends the thread.

    Yields:
        Steps while it runs, its result last.
    """
    stop, done = threading.Event(), threading.Event()
    share, outcome = [0.0], []

    def tick(value: float) -> None:
        if stop.is_set():
            raise Stopped
        share[0] = value

    def run() -> None:
        try:
            outcome.append((True, work(tick)))
        except BaseException as error:  # handed to the caller below
            outcome.append((False, error))
        finally:
            done.set()

    thread = threading.Thread(target=run, name=doing, daemon=True)
    thread.start()
    try:
        while not done.wait(_LOOK):
            yield Step(share[0], doing)
    finally:
        stop.set()  # no join: closing must not keep the caller waiting for the next tick
    succeeded, value = outcome[0]
    if not succeeded:
        raise value
    yield value


def timed(steps: Iterator[Step | T]) -> Iterator[Step | T]:
    """The same steps; from a second on they also say about how long it will still take."""
    began = time.monotonic()
    for step in steps:
        passed = time.monotonic() - began
        if isinstance(step, Step) and step.share > 0.05 and passed > 1:
            yield Step(step.share, f"{step.doing}, about {max(1, passed / step.share - passed):.0f} s left")
        else:
            yield step
