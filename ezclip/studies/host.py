"""The provider of models and clips to the studies; the app's services extend it."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from ezclip.errors import UserError
from ezclip.files import sha256_of
from ezclip.progress import Progress, Report, Steps, in_thread
from ezclip.types import Clip
from ezclip.video.read import read_clip
from ezclip.video.sampling import segment_centres

if TYPE_CHECKING:
    from ezclip.predictor import Encoded, Predictor

CLIP_BYTES = 192e6  # decoded frames kept in memory
RESULT_BYTES = 256e6  # encoded clips and values derived from them
MODELS = 8  # loaded at once; the least recently used one is evicted
Value = TypeVar("Value")


def size_of(value: Any) -> int:
    """Approximate bytes of the arrays and tensors that a value holds; models count as 0."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    torch = sys.modules.get("torch")  # not imported: no value is a tensor
    if torch is not None and isinstance(value, torch.Tensor):
        return value.nbytes
    if torch is not None and isinstance(value, torch.nn.Module):
        return 0
    if isinstance(value, dict | list | tuple):
        return sum(map(size_of, list(value.values() if isinstance(value, dict) else value)))
    return size_of(vars(value)) if hasattr(value, "__dict__") else 64


def digest(path: str) -> str:
    """SHA-256 of a clip's content; raises UserError for a deleted clip."""
    if not Path(path).exists():
        raise UserError("The clip is no longer there; upload it again.")
    return sha256_of(path)


class ByteCache(Generic[Value]):
    """An LRU cache limited in bytes; concurrent requests for a key compute its value once."""

    def __init__(self, limit: float):
        self.limit = limit
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def renew_locks(self) -> None:
        """In a forked process, release the locks that other threads of the parent held."""
        self._locks, self._lock = {}, threading.Lock()

    def __len__(self) -> int:
        """Number of values."""
        return len(self._values)

    def get(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """The value of a key, computed if missing; the newest value stays whatever its size."""
        with self._lock:
            key_lock = self._locks.setdefault(key, threading.Lock())
        with key_lock:
            if key not in self._values:
                value = compute()
                with self._lock:
                    self._values[key] = value
            with self._lock:
                value = self._values[key]
                self._values.move_to_end(key)
                sizes = {key: size_of(value) for key, value in self._values.items()}
                while len(sizes) > 1 and sum(sizes.values()) > self.limit:
                    oldest = next(iter(sizes))
                    del self._values[oldest], sizes[oldest]
                self._locks = {k: lock for k, lock in self._locks.items() if k in self._values or lock.locked()}
        return value

    def drop(self, unwanted: Callable[[Any], bool]) -> None:
        """Remove the values whose keys are ``unwanted``."""
        with self._lock:
            for key in [key for key in self._values if unwanted(key)]:
                del self._values[key]


class Host:
    """Loads models, decodes and encodes clips, and caches all three.

    Args:
        device: "auto", "cpu", "cuda" or "mps".
        batch_size: clips per forward pass in evaluations.
        workers: clips decoded at once in evaluations; 0 uses all cores but one.
    """

    def __init__(self, device: str = "auto", *, batch_size: int = 16, workers: int = 0):
        self.device, self.batch_size, self.workers = device, batch_size, workers
        self._predictors: OrderedDict[str, Predictor] = OrderedDict()
        self._backbones: dict[str, Any] = {}
        self._loading = threading.Lock()
        self._clips: ByteCache[Clip] = ByteCache(CLIP_BYTES)
        self._results: ByteCache[Any] = ByteCache(RESULT_BYTES)

    def predictor(self, name: str) -> Predictor:
        """A model by name, loaded on first use; raises UserError for an unknown name."""
        with self._loading:
            if name not in self._predictors:
                from ezclip.predictor import Predictor

                self._predictors[name] = Predictor.load(name, device=self.device, backbones=self._backbones)
            self._predictors.move_to_end(name)
            if len(self._predictors) > MODELS:
                evicted, _ = self._predictors.popitem(last=False)
                self._results.drop(lambda key: evicted in key)
                used = {id(w) for p in self._predictors.values() for w in p.model.parameters()}
                for key in [k for k, b in self._backbones.items() if used.isdisjoint(map(id, b.clip.parameters()))]:
                    del self._backbones[key]
            return self._predictors[name]

    def predictors(self, names: list[str]) -> Steps[dict[str, Predictor]]:
        """Models by name."""
        yield Progress(0.0, "loading the models")
        predictors = {}
        for name in names:
            predictors[name] = yield from in_thread(lambda _, name=name: self.predictor(name), f"loading {name}")
        return predictors

    def clip(self, path: str, T: int) -> Steps[Clip]:
        """The T segment-centre frames of a video (cached)."""

        def decode(report: Report) -> Clip:
            key, choose = f"{digest(path)} {Path(path).name} {T}", partial(segment_centres, T=T)
            return self._clips.get(key, lambda: replace(read_clip(path, choose, report=report), source=key))

        return self.decode(decode, "decoding the clip")

    def cached_clip(self, source: str) -> Clip:
        """A cached clip by its ``source``; raises UserError if it was evicted."""

        def missing() -> Clip:
            raise UserError("This clip is no longer in memory; analyse it again.")

        return self._clips.get(source, missing)

    def decode(self, work: Callable[[Report], Value], message: str) -> Steps[Value]:
        """Run ``work``, which decodes and uses no model."""
        return in_thread(work, message)

    def encode(self, predictor: Predictor, clip: Clip) -> Encoded:
        """Encode a clip; results are cached, except those of clips generated in memory."""
        if not clip.source:
            return predictor.encode(clip)
        return self._results.get((predictor.name, clip.source), lambda: predictor.encode(clip))

    def cached_list(self, *key: Hashable) -> list[Any]:
        """A cached list that callers fill; all callers with a key share one list until it is evicted.

        Keys start with the names of the models that produce the results.
        """
        return self._results.get(("list", *key), list)

    def mark_used(self, path: Path) -> None:
        """Mark one of the host's folders as in use."""
