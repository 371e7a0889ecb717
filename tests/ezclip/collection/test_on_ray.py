"""An index built by a local Ray cluster of two workers, one of which is killed in the middle of a shard."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ezclip.cli import main
from tests.ezclip.collection.test_index import content, write_videos


@pytest.fixture
def cluster() -> Iterator[None]:
    import ray

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the workers, for the same bytes
    for left in (2, 1, 0):  # Ray waits 15 s for its processes, which a busy machine may exceed
        try:
            ray.init(num_cpus=2, log_to_driver=False)
            break
        except Exception:
            ray.shutdown()
            if not left:
                raise
    yield
    ray.shutdown()
    torch.set_num_threads(threads)


def kill_one(out: Path, killed: list[Path]) -> None:
    """Once a shard is finished, kill the worker that has claimed another one."""
    while not killed:
        for claim in out.glob("shard-*.claim") if list(out.glob("shard-*.safetensors")) else ():
            tensors, owner = claim.with_suffix(".safetensors"), claim.read_text().split()
            if owner and not tensors.exists():
                os.kill(int(owner[1]), signal.SIGKILL)
                if not tensors.exists():
                    killed.append(tensors)
                    return
        time.sleep(0.002)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_shard_of_a_killed_worker_is_done_again(
    cluster: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films, killed = write_videos(tmp_path / "films", 24), []
    threading.Thread(target=kill_one, args=(tmp_path / "ray", killed), daemon=True).start()
    command = ["index", str(films), "--shard-size", "3", "--model", "tabletop/base", "--device", "cpu", "--json"]
    assert main([*command, "--out", str(tmp_path / "ray"), "--engine", "ray", "--workers", "2"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["clips"] == summary["windows"] == 24 and summary["skipped"] == {}
    assert len(killed) == 1 and killed[0].exists() and not list((tmp_path / "ray").glob("*.claim"))
    assert main([*command, "--out", str(tmp_path / "alone")]) == 0
    assert content(tmp_path / "ray") == content(tmp_path / "alone")


def test_without_ray_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "ezclip.collection.on_ray", raising=False)
    assert main(["index", str(tmp_path), "--out", str(tmp_path / "i"), "--engine", "ray"]) == 2
    assert 'pip install "ezclip[ray]"' in capsys.readouterr().err
