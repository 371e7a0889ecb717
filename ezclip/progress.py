"""Progress of long-running work: a generator yields ``Progress`` and returns its result.

Closing the generator cancels the work. Command line and page consume the same generators, so they show the same.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from tqdm import tqdm

T = TypeVar("T")
_POLL = 0.1  # seconds between polls of a thread
Report = Callable[[float], None]  # receives the fraction done, in [0, 1]; may raise Cancelled


@dataclass(frozen=True)
class Progress:
    """The fraction of the work that is done, in [0, 1], what is being done, and a partial result if there is one."""

    share: float
    doing: str
    partial: Any = None


Steps = Generator[Progress, None, T]


class Cancelled(Exception):
    """The work was cancelled."""


def silent(_: float) -> None:
    """A ``Report`` that discards everything."""


class Watch(Generic[T]):
    """Iterates over the progress of some work; afterwards ``result`` is what the work returned."""

    result: T

    def __init__(self, steps: Steps[T]):
        self._steps = steps

    def __iter__(self) -> Iterator[Progress]:
        """Yield the progress."""
        self.result = yield from self._steps

    def close(self) -> None:
        """Cancel the work."""
        self._steps.close()


def finish(steps: Steps[T]) -> T:
    """Run to the end without showing progress."""
    return on_terminal(steps, show=False)


def within(steps: Steps[T], start: float, end: float, prefix: str = "") -> Steps[T]:
    """The work as the part from ``start`` to ``end`` of a larger task."""
    watch = Watch(steps)
    for step in watch:
        yield replace(step, share=start + (end - start) * step.share, doing=f"{prefix}{step.doing}")
    return watch.result


def in_thread(work: Callable[[Report], T], doing: str) -> Steps[T]:
    """Run ``work(report)`` in a thread; closing the generator makes its next report raise ``Cancelled``."""
    cancelled, outcome, share = threading.Event(), Future(), 0.0

    def report(value: float) -> None:
        nonlocal share
        if cancelled.is_set():
            raise Cancelled
        share = value

    def run() -> None:
        try:
            outcome.set_result(work(report))
        except BaseException as error:  # raised again in the caller
            outcome.set_exception(error)

    threading.Thread(target=run, name=doing, daemon=True).start()
    try:
        while not wait([outcome], _POLL).done:
            yield Progress(share, doing)
    finally:
        cancelled.set()  # no join: closing must not wait for the next report
    return outcome.result()


def with_time_left(steps: Steps[T]) -> Steps[T]:
    """The same work; after a second each step also gives an estimate of the time left."""
    began = time.monotonic()
    watch = Watch(steps)
    for step in watch:
        passed = time.monotonic() - began
        if step.share > 0.05 and passed > 1:
            step = replace(step, doing=f"{step.doing}, about {max(1, passed / step.share - passed):.0f} s left")
        yield step
    return watch.result


def on_terminal(steps: Steps[T], *, show: bool = True) -> T:
    """Run to the end with a progress bar on stderr, if that is a terminal and ``show`` is set."""
    watch = Watch(steps)
    with tqdm(
        total=100, disable=None if show else True, file=sys.stderr, bar_format="{percentage:3.0f}% |{bar:30}| {desc}"
    ) as bar:
        for step in watch:
            bar.set_description_str(step.doing, refresh=False)
            bar.update(100 * step.share - bar.n)
    return watch.result
