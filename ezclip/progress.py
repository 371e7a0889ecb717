"""Progress of long-running work: a generator yields ``Progress`` and returns its result.

Closing the generator cancels the work. The command line and the page consume the same generators.
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
    """One progress report."""

    fraction: float  # of the work that is done, in [0, 1]
    message: str  # the current step
    partial: Any = None  # a partial result


Steps = Generator[Progress, None, T]


class Cancelled(Exception):
    """The work was cancelled."""


def silent(_: float) -> None:
    """A ``Report`` that discards everything."""


class Watch(Generic[T]):
    """Iterates over the progress of a generator; afterwards ``result`` is its return value."""

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
    """Run to completion without showing progress."""
    return on_terminal(steps, show=False)


def rescale(steps: Steps[T], start: float, end: float, prefix: str = "") -> Steps[T]:
    """Map the fractions of a subtask to ``start`` .. ``end`` of the whole task, and prefix its messages."""
    watch = Watch(steps)
    for step in watch:
        yield replace(step, fraction=start + (end - start) * step.fraction, message=f"{prefix}{step.message}")
    return watch.result


def in_thread(work: Callable[[Report], T], message: str) -> Steps[T]:
    """Run ``work(report)`` in a thread; closing the generator makes its next report raise ``Cancelled``."""
    cancelled, outcome, fraction = threading.Event(), Future(), 0.0

    def report(value: float) -> None:
        nonlocal fraction
        if cancelled.is_set():
            raise Cancelled
        fraction = value

    def run() -> None:
        try:
            outcome.set_result(work(report))
        except BaseException as error:  # raised again in the caller
            outcome.set_exception(error)

    threading.Thread(target=run, name=message, daemon=True).start()
    try:
        while not wait([outcome], _POLL).done:
            yield Progress(fraction, message)
    finally:
        cancelled.set()  # no join: closing must not wait for the next report
    return outcome.result()


def with_time_left(steps: Steps[T]) -> Steps[T]:
    """Add an estimate of the remaining time to the messages, after one second."""
    start = time.monotonic()
    watch = Watch(steps)
    for step in watch:
        elapsed = time.monotonic() - start
        if step.fraction > 0.05 and elapsed > 1:
            remaining = max(1, elapsed / step.fraction - elapsed)
            step = replace(step, message=f"{step.message}, about {remaining:.0f} s left")
        yield step
    return watch.result


def on_terminal(steps: Steps[T], *, show: bool = True) -> T:
    """Run to completion, with a progress bar on stderr if that is a terminal and ``show`` is set."""
    watch = Watch(steps)
    with tqdm(
        total=100, disable=None if show else True, file=sys.stderr, bar_format="{percentage:3.0f}% |{bar:30}| {desc}"
    ) as bar:
        for step in watch:
            bar.set_description_str(step.message, refresh=False)
            bar.update(100 * step.fraction - bar.n)
    return watch.result
