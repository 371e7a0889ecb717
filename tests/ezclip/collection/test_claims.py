"""Claim files."""

import os
import socket
import time
from pathlib import Path

import pytest

from ezclip.collection.claims import claim


def test_one_has_it_and_gives_it_back(tmp_path: Path) -> None:
    path = tmp_path / "work.claim"
    with claim(path) as mine, claim(path) as other:
        assert mine and not other and path.is_file()
    assert not path.exists()
    with pytest.raises(RuntimeError), claim(path):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_the_claim_of_a_dead_process_of_this_machine_is_retaken_at_once(tmp_path: Path) -> None:
    path = tmp_path / "work.claim"
    path.write_text(f"{socket.gethostname()} {2**22 + 1} 0")  # above the largest process number
    with claim(path) as mine:
        assert mine
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("age", "free"), [(50, False), (70, True)])
def test_a_claim_of_another_machine_is_retaken_by_its_age(tmp_path: Path, age: float, free: bool) -> None:
    path = tmp_path / "work.claim"
    path.write_text("elsewhere 1 0")
    os.utime(path, (time.time() - age,) * 2)
    with claim(path, stale=60) as mine:
        assert mine is free
    assert path.exists() is not free


def test_a_heartbeat_keeps_a_claim(tmp_path: Path) -> None:
    path = tmp_path / "work.claim"
    with claim(path, stale=0.3):
        path.write_text("elsewhere 1 0")  # as seen from another machine
        time.sleep(0.5)
        with claim(path, stale=0.3) as other:
            assert not other
    assert path.read_text() == "elsewhere 1 0"  # a claim of another process is not removed
