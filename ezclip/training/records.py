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

# fields of TrainConfig that do not change what is learned: a run resumes with other values
RUNTIME = {"out", "checkpointing", "micro_batch", "cache", "workers", "log_every", "keep", "max_broken", "trackers"}
log = logging.getLogger(__name__)


def known_broken(out: Path, *, keep: bool) -> set[str]:
    """Videos that skipped.jsonl already lists; a new run starts a new list."""
    path = out / "skipped.jsonl"
    if not keep:
        path.unlink(missing_ok=True)
    return {json.loads(line)["path"] for line in path.read_text().splitlines()} if path.exists() else set()


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """Make a run's folder and hold it alone; what a run that was killed left half-written is removed.

    Raises:
        ConfigError: another process trains into it.
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
    out: Path, unreadable: list[tuple[str, str]], broken: set[str], count: int, most: float, *, write: bool
) -> None:
    """List newly found unreadable videos with the reason in skipped.jsonl; stop the run above ``most`` of ``count``.

    Counts are global, so that all processes stop together; one of them writes.

    Raises:
        ConfigError: too many are unreadable.
    """
    for name, why in dict(unreadable).items():
        if write and name not in broken:
            log.warning("skipped %s: it cannot be read", Path(name).name)
            with (out / "skipped.jsonl").open("a") as file:
                file.write(json.dumps({"path": name, "error": why}) + "\n")
    broken.update(dict(unreadable))
    if len(broken) > most * count:
        raise ConfigError(f"{len(broken)} of {count} videos cannot be read (see skipped.jsonl); repair the data first.")


class Journal:
    """metrics.jsonl and TensorBoard events; lines after the resumed step are dropped."""

    def __init__(self, out: Path, first: int):
        path = out / "metrics.jsonl"
        kept = path.read_text().splitlines()[:first] if first and path.exists() else []
        write_atomically(path, lambda target: target.write_text("".join(line + "\n" for line in kept)))
        self.path = path
        self.events = SummaryWriter(str(out / "tensorboard"), purge_step=first or None)
        self.latest: dict[str, float] = {}
        for line in kept:
            self.latest |= json.loads(line)
        self.latest.pop("step", None)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add one step's values."""
        self.latest |= values
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step} | {k: round(v, 6) for k, v in values.items()}) + "\n")
        for name, value in values.items():
            self.events.add_scalar(name, value, step)


class State:
    """The resumable state of a run: trained tensors, optimiser, schedule, the best result so far, and the recipe."""

    def __init__(self, out: Path, model: EZCLIP, optimiser: Any, schedule: Any, config: TrainConfig):
        self.out = out
        self.model, self.optimiser, self.schedule, self.config = model, optimiser, schedule, config
        self.before, self.started = 0.0, time.monotonic()
        self.best = -1.0  # highest val_top1 so far, -1 before the first validation

    @property
    def seconds(self) -> float:
        """Wall time of the run, earlier sessions included."""
        return round(self.before + time.monotonic() - self.started, 1)

    @property
    def saved(self) -> list[Path]:
        """Saved states, the newest last."""
        return sorted(self.out.glob("state-*.pt"))

    def save(self, step: int) -> None:
        """Write the state after ``step`` steps, atomically; only ``config.keep`` are kept."""
        state = {
            "step": step,
            "config": json.dumps(dataclasses.asdict(self.config), sort_keys=True),
            "trainable": {k: p.detach() for k, p in self.model.trainable().items()},
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "seconds": self.seconds,
            "best": self.best,
        }
        write_atomically(self.out / f"state-{step:08d}.pt", lambda p: torch.save(state, p))
        for old in self.saved[: -self.config.keep]:
            old.unlink()

    def load(self) -> int:
        """Restore the newest state that can be read and return the next step; 0 if nothing was saved."""
        if not self.saved:
            return 0
        path, state = self._newest()
        saved, given = json.loads(state["config"]), dataclasses.asdict(self.config)
        if changed := [k for k in given if k not in RUNTIME and (k not in saved or saved[k] != given[k])]:
            raise ConfigError(
                f"{path.name} belongs to another configuration, different in {', '.join(changed)}; restore it or use "
                "another out."
            )
        with torch.no_grad():
            for name, parameter in self.model.trainable().items():
                parameter.copy_(state["trainable"][name])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.before, self.best = state["seconds"], state["best"]
        return state["step"]

    def _newest(self) -> tuple[Path, Document]:
        for path in reversed(self.saved):
            try:
                return path, torch.load(path, map_location="cpu", weights_only=True)
            except Exception:  # the unpickler raises many kinds
                log.warning("%s is damaged and is not used", path.name)
        raise CheckpointError(f"None of the states in {self.out.name} can be read; start again without --resume.")

    def forget(self) -> None:
        """Remove the files of an earlier run, so that they are not mistaken for this run's."""
        for path in self.saved:
            path.unlink()
        shutil.rmtree(self.out / "best", ignore_errors=True)
