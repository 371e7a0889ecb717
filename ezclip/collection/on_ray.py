"""An engine for ``index.build``: Ray actors process the shards, on one machine or a cluster.

Needs ``pip install "ezclip[ray]"``. All machines share the disk of videos and index; only paths are sent.
"""

from __future__ import annotations

import logging
import os
import time
from functools import partial
from typing import Any

from ezclip.collection.shards import POLL, Engine, Task
from ezclip.errors import ConfigError
from ezclip.predictor import Predictor
from ezclip.progress import Progress, Steps, finish
from ezclip.types import Document

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
try:
    import ray
    from ray.util import ActorPool
except ImportError as error:
    raise ConfigError('The engine ray needs the package ray; run pip install "ezclip[ray]".') from error

RETRIES = 5  # of a shard whose worker dies


@ray.remote(max_restarts=-1, max_task_retries=RETRIES)
class Worker:
    """A process with a model; if it dies, Ray restarts it and repeats its shard."""

    def __init__(self, model: str, device: str):
        self.predictor = Predictor.load(model, device=device)

    def shard(self, task: Task, number: int, clips: list[Document]) -> int:
        """Embed the clips of a shard, or wait for a process outside Ray that does so; returns its number."""
        while not task.is_done(number):
            finish(task.shard(self.predictor, number, clips))
            if not task.is_done(number):
                time.sleep(POLL)
        return number


def ray_engine(model: str, device: str = "auto", workers: int = 0) -> Engine:
    """The engine, on the cluster at RAY_ADDRESS if set, else on this machine.

    Args:
        model: name or full path; every worker loads it.
        device: "auto", "cpu" or "cuda"; each worker uses one GPU or one CPU core.
        workers: number of workers; 0 uses all GPUs (without GPUs all cores) of the cluster.
    """

    def run(task: Task, todo: dict[int, list[Document]]) -> Steps[None]:
        if not ray.is_initialized():
            ray.init(log_to_driver=False, logging_level=logging.WARNING)
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0)) if device in ("auto", "cuda") else 0
        limit = min(gpus or int(resources["CPU"]), len(todo))
        options = {"num_cpus": 1, "num_gpus": 1 if gpus else 0}
        count = min(workers or limit, limit)
        actors: list[Any] = [Worker.options(**options).remote(model, device) for _ in range(count)]
        try:
            # the pool gives each worker one shard at a time
            numbers = ActorPool(actors).map_unordered(partial(_send, task), list(todo.items()))
            for done, number in enumerate(numbers, 1):
                yield Progress(done / len(todo), f"shard {number} by one of {count} workers")
        finally:
            for worker in actors:
                ray.kill(worker)

    return run


def _send(task: Task, worker: Any, shard: tuple[int, list[Document]]) -> Any:
    return worker.shard.remote(task, *shard)
