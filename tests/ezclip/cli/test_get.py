"""``ezclip models --all`` and ``ezclip get``."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ezclip.checkpoints import fetch
from ezclip.checkpoints.gallery import SUGGESTED
from ezclip.cli import main
from ezclip.files import PARTIAL
from tests.conftest import FIXTURES, SOON, write_video
from tests.hosts import official_file, stand_in

ROOT = Path(__file__).parents[3]
NAME, DRIVE = "official/zero-shot", "19QNGgaZjPyq0yz7XJGFccS7MV09KMY_K"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_list_tells_size_licence_and_presence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--all", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    row = rows["clip:MobileCLIP2-S0/dfndr2b"]
    assert (row["mb"], row["commercial"], row["params"]) == (300, "no", 74.8)
    assert rows[NAME]["here"] is False and rows[NAME]["page"] == f"https://drive.google.com/file/d/{DRIVE}/view"
    assert main(["models", "--all"]) == 0
    assert "research only (commercial: no)" in capsys.readouterr().out


def test_a_fetched_model_predicts(
    here: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with stand_in() as hosts:
        monkeypatch.setattr(fetch, "HOSTS", hosts.hosts)
        hosts.content.files[DRIVE] = official_file(tmp_path_factory.mktemp("official"))
        assert main(["get", NAME]) == 0
        output = capsys.readouterr()
        assert output.out.rstrip().endswith(f"--model {NAME}") and "weights not stated" in output.err
        assert main(["get", NAME, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["use"].endswith(f"--model {NAME}")
    clip = write_video(here / "clip.mp4")
    assert main(["predict", str(clip), "--labels", "a, b", "--model", NAME, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == NAME


def test_a_failure_is_a_sentence_and_a_file_of_a_browser_works(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with stand_in() as hosts:
        monkeypatch.setattr(fetch, "HOSTS", hosts.hosts)
        assert main(["get", NAME]) == 2
    message = capsys.readouterr().err
    assert "no longer public" in message and "Traceback" not in message and f"get {NAME} --file FILE" in message
    assert main(["get", NAME, "--file", str(FIXTURES / "none_official.pt")]) == 0
    assert main(["get", "nothing"]) == 2


@pytest.mark.slow
def test_ctrl_c_ends_a_download_and_the_next_call_continues(here: Path) -> None:
    data, cache = bytes(range(256)) * 40_000, here / "cache"
    with stand_in() as hosts:
        hosts.content.files["open_clip_model.safetensors"], hosts.content.rate = data, 1_000_000.0
        hub = {"HF_ENDPOINT": hosts.url, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0"}
        environment = os.environ | hub | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "ezclip", "get", SUGGESTED]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as running:
            while not any(part.stat().st_size for part in cache.rglob(f".*{PARTIAL}")):
                assert running.poll() is None
                time.sleep(0.05)
            running.send_signal(signal.SIGINT)
            began = time.monotonic()
            _, stderr = running.communicate(timeout=30)
            assert time.monotonic() - began < SOON
        assert running.returncode == 1
        assert (
            stderr.endswith("Cancelled; the partial download is kept, start it again to continue.\n")
            and "Traceback" not in stderr
        )
        hosts.content.rate, hosts.content.seen = 0.0, []
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        ranges = [headers.get("Range", "") for method, _, headers in hosts.content.seen if method == "GET"]
    assert len(ranges) == 1 and re.fullmatch(r"bytes=[1-9]\d+-", ranges[0])
    assert next(cache.rglob("open_clip_model.safetensors")).read_bytes() == data
