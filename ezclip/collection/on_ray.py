"""An engine for ``index.build``: the shards of an index as tasks of Ray actors, on one machine or a cluster.

Needs ``pip install "ezclip[ray]"``. Videos and index are on a disk that all machines share; only paths are sent.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from ezclip.collection.shards import POLL, Engine, Task
from ezclip.errors import ConfigError
from ezclip.predictor import Predictor
from ezclip.types import Document

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
try:
    import ray
    from ray.util import ActorPool
except ImportError as error:
    raise ConfigError('The engine ray needs the package ray; run pip install "ezclip[ray]".') from error

RETRIES = 5  # after a shard has killed its worker as often, it is given up


@ray.remote(max_restarts=-1, max_task_retries=RETRIES)
class Worker:
    """A process with a model; Ray starts one that was killed anew and repeats the shard that it had."""

    def __init__(self, model: str, device: str):
        self.predictor = Predictor.load(model, device=device)

    def shard(self, task: Task, number: int, clips: list[Document]) -> int:
        """Embed the clips of a shard, or wait for a process without Ray that does; returns its number."""
        while not task.is_done(number):
            for _ in task.shard(self.predictor, number, clips):
                pass
            if not task.is_done(number):
                time.sleep(POLL)
        return number


def on_ray(model: str, device: str = "auto", workers: int = 0) -> Engine:
    """The engine, on the cluster of RAY_ADDRESS, or on this machine without one.

    Args:
        model: name or full path; each worker loads it.
        device: "auto", "cpu" or "cuda" of each worker, which has one GPU, or one CPU core.
        workers: their number; 0 for as many as the cluster has GPUs, or cores.
    """

    def run(task: Task, todo: dict[int, list[Document]]) -> Iterator[tuple[float, str]]:
        if not ray.is_initialized():
            ray.init(log_to_driver=False, logging_level=logging.WARNING)
        there = ray.cluster_resources()
        gpus = int(there.get("GPU", 0)) if device in ("auto", "cuda") else 0
        most = min(gpus or int(there["CPU"]), len(todo))
        options = {"num_cpus": 1, "num_gpus": 1 if gpus else 0}
        made: list[Any] = [Worker.options(**options).remote(model, device) for _ in range(min(workers or most, most))]
        try:
            # the pool gives each worker one shard at a time
            numbers = ActorPool(made).map_unordered(partial(_send, task), list(todo.items()))
            for done, number in enumerate(numbers, 1):
                yield done, f"shard {number} by one of {len(made)} workers"
        finally:
            for worker in made:
                ray.kill(worker)

    return run


def _send(task: Task, worker: Any, one: tuple[int, list[Document]]) -> Any:
    return worker.shard.remote(task, *one)
