"""The host: what is decoded and loaded once, and what is evicted."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ezclip.errors import UserError
from ezclip.progress import finish
from ezclip.studies.host import ByteCache, Host, size_of
from tests.conftest import write_video


def test_the_cache_is_bounded_in_bytes_and_evicts_the_least_recently_used() -> None:
    cache: ByteCache[np.ndarray] = ByteCache(250)
    computed: list[int] = []

    def make(i: int) -> np.ndarray:
        return cache.get(i, lambda: computed.append(i) or np.zeros(100, np.uint8))  # type: ignore[func-returns-value]

    for i in (0, 1, 0, 2, 0, 1):
        make(i)
    assert computed == [0, 1, 2, 1] and len(cache) == 2
    assert size_of({"a": [np.zeros(10, np.uint8)], "b": np.zeros(5, np.uint8)}) == 15


def test_threads_that_ask_for_one_key_compute_it_once() -> None:
    cache: ByteCache[int] = ByteCache(1e6)
    calls: list[int] = []

    def slow() -> int:
        time.sleep(0.05)
        calls.append(1)
        return 7

    threads = [threading.Thread(target=cache.get, args=("key", slow)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [1] and cache.get("key", slow) == 7


def test_one_slow_key_does_not_hold_up_another() -> None:
    cache: ByteCache[int] = ByteCache(1e6)
    release = threading.Event()
    waiting = threading.Thread(target=cache.get, args=("slow", lambda: release.wait(10) and 1))
    waiting.start()
    assert cache.get("fast", lambda: 2) == 2
    release.set()
    waiting.join()


def test_a_forked_process_does_not_wait_for_threads_of_its_parent() -> None:
    cache: ByteCache[int] = ByteCache(1e6)
    release, computing = threading.Event(), threading.Event()
    parent = threading.Thread(target=cache.get, args=("key", lambda: computing.set() or release.wait(10) and 1))
    parent.start()
    assert computing.wait(10)
    cache.renew_locks()
    assert cache.get("key", lambda: 2) == 2
    release.set()
    parent.join()


def test_only_the_last_clips_are_kept(tmp_path: Path) -> None:
    host = Host("cpu")
    one = finish(host.clip(str(write_video(tmp_path / "a.mp4", count=8)), 8)).images.nbytes
    host._clips.limit = 3.5 * one
    for i in range(6):
        finish(host.clip(str(write_video(tmp_path / f"{i}.mp4", count=9 + i)), 8))
    assert len(host._clips) == 3


def test_the_least_recently_used_model_is_evicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ezclip.studies.host.MODELS", 2)
    host = Host("cpu")
    base, prompts = (host.predictor(f"tabletop/{name}") for name in ("base", "prompts"))
    host.predictor("tabletop/base")
    host.predictor("tabletop/ezclip")
    assert host.predictor("tabletop/base") is base
    assert host.predictor("tabletop/prompts") is not prompts


def test_both_models_share_a_backbone(host: Host) -> None:
    base, ezclip = (host.predictor(n).model for n in ("tabletop/base", "tabletop/ezclip"))
    assert base.vision.conv1.weight.data_ptr() == ezclip.vision.conv1.weight.data_ptr()


def test_a_clip_that_is_gone(host: Host) -> None:
    with pytest.raises(UserError, match="no longer there"):
        finish(host.clip("gone.mp4", 8))
