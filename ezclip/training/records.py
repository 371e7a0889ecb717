"""The files of a training run: curves, the list of unreadable videos, and resumable states."""

import dataclasses
import json
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch.utils.tensorboard import SummaryWriter

from ezclip.config import TrainConfig
from ezclip.errors import CheckpointError, ConfigError
from ezclip.files import remove_partial, write_atomically
from ezclip.model.ezclip import EZCLIP
from ezclip.types import Document

# fields of TrainConfig that do not affect the trained weights; a run can be resumed with other values
RUNTIME = {"out", "checkpointing", "micro_batch", "cache", "workers", "log_every", "keep", "max_broken", "trackers"}
log = logging.getLogger(__name__)


def read_broken(out: Path, *, keep: bool) -> set[str]:
    """Paths of the videos listed in skipped.jsonl; without ``keep`` the file is deleted."""
    path = out / "skipped.jsonl"
    if not keep:
        path.unlink(missing_ok=True)
    return {json.loads(line)["path"] for line in path.read_text().splitlines()} if path.exists() else set()


@contextmanager
def lock_folder(out: Path) -> Iterator[None]:
    """Create and lock a run's folder, and remove partial files of a run that was killed.

    Raises:
        ConfigError: another process has locked it.
    """
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ConfigError(f"Another process trains into {out.name}; wait for it, or choose another out.") from error
    try:
        remove_partial(out)
        yield
    finally:
        lock.release()


def report_broken(
    out: Path, unreadable: list[tuple[str, str]], broken: set[str], count: int, max_broken: float, *, write: bool
) -> None:
    """Append new unreadable videos to skipped.jsonl, and stop the run above the share ``max_broken`` of ``count``.

    All processes pass the global list, so that they stop together; one of them writes.

    Raises:
        ConfigError: too many videos are unreadable.
    """
    for name, reason in dict(unreadable).items():
        if write and name not in broken:
            log.warning("skipped %s: it cannot be read", Path(name).name)
            with (out / "skipped.jsonl").open("a") as file:
                file.write(json.dumps({"path": name, "error": reason}) + "\n")
    broken.update(dict(unreadable))
    if len(broken) > max_broken * count:
        raise ConfigError(f"{len(broken)} of {count} videos cannot be read (see skipped.jsonl); repair the data first.")


class Journal:
    """Writes metrics.jsonl and TensorBoard events; entries after the resumed step are dropped."""

    def __init__(self, out: Path, first: int):
        path = out / "metrics.jsonl"
        lines = path.read_text().splitlines()[:first] if first and path.exists() else []
        write_atomically(path, lambda target: target.write_text("".join(line + "\n" for line in lines)))
        self.path = path
        self.events = SummaryWriter(str(out / "tensorboard"), purge_step=first or None)
        self.latest: dict[str, float] = {}
        for line in lines:
            self.latest |= json.loads(line)
        self.latest.pop("step", None)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Write the metrics of a step."""
        self.latest |= values
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step} | {k: round(v, 6) for k, v in values.items()}) + "\n")
        for name, value in values.items():
            self.events.add_scalar(name, value, step)


class State:
    """Resumable state of a run: trainable parameters, optimiser, schedule, best result so far, and configuration."""

    def __init__(self, out: Path, model: EZCLIP, optimiser: Any, schedule: Any, config: TrainConfig):
        self.out = out
        self.model, self.optimiser, self.schedule, self.config = model, optimiser, schedule, config
        self.earlier_seconds, self.start_time = 0.0, time.monotonic()
        self.best = -1.0  # highest val_top1 so far, -1 before the first validation

    @property
    def seconds(self) -> float:
        """Wall time of the run, including earlier sessions."""
        return round(self.earlier_seconds + time.monotonic() - self.start_time, 1)

    @property
    def files(self) -> list[Path]:
        """Files of saved states, newest last."""
        return sorted(self.out.glob("state-*.pt"))

    def save(self, step: int) -> None:
        """Write the state after ``step`` steps atomically; only the newest ``config.keep`` states are kept."""
        state = {
            "step": step,
            "config": json.dumps(dataclasses.asdict(self.config), sort_keys=True),
            "trainable": {k: p.detach() for k, p in self.model.trainable_parameters().items()},
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "seconds": self.seconds,
            "best": self.best,
        }
        write_atomically(self.out / f"state-{step:08d}.pt", lambda p: torch.save(state, p))
        for path in self.files[: -self.config.keep]:
            path.unlink()

    def load(self) -> int:
        """Restore the newest readable state and return the next step; 0 if nothing was saved."""
        if not self.files:
            return 0
        path, state = self._newest()
        saved, config = json.loads(state["config"]), dataclasses.asdict(self.config)
        if changed := [k for k in config if k not in RUNTIME and (k not in saved or saved[k] != config[k])]:
            raise ConfigError(
                f"{path.name} belongs to another configuration, different in {', '.join(changed)}; restore it or use "
                "another out."
            )
        with torch.no_grad():
            for name, parameter in self.model.trainable_parameters().items():
                parameter.copy_(state["trainable"][name])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.earlier_seconds, self.best = state["seconds"], state["best"]
        return state["step"]

    def _newest(self) -> tuple[Path, Document]:
        for path in reversed(self.files):
            try:
                return path, torch.load(path, map_location="cpu", weights_only=True)
            except Exception:  # the unpickler raises many types of exceptions
                log.warning("%s is damaged and is not used", path.name)
        raise CheckpointError(f"None of the states in {self.out.name} can be read; start again without --resume.")

    def clear(self) -> None:
        """Delete the states and the best model of an earlier run."""
        for path in self.files:
            path.unlink()
        shutil.rmtree(self.out / "best", ignore_errors=True)
