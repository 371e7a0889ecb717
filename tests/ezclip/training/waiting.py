"""What makes a training step wait for its device."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

# Operations that wait for a GPU.
READS = {"aten::item", "aten::nonzero", "aten::is_nonzero", "aten::masked_select", "aten::equal"}


def reads(work: Callable[[], Any]) -> Counter[str]:
    """How often values are read, by the profiler's table."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        work()
    counts = Counter({event.key: event.count for event in profiler.key_averages()})
    assert sum(counts.values()) > 20, "the profiler has seen something"
    return Counter({name: count for name, count in counts.items() if name in READS})


@contextmanager
def no_waiting() -> Iterator[None]:
    """Whatever waits for the GPU is an error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch says once that this mode is a prototype
            torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
