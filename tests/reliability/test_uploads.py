"""Tests 13 to 15 of docs/RELIABILITY.md: paths, files and uploads."""

from __future__ import annotations

import os
import re
import shutil
import time
import urllib.parse
import urllib.request
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client

from app.actions.uploads import unpacked_zip
from app.guard import HEADERS, Guard
from app.services import Services
from ezclip.errors import UserError
from tests.reliability.requests import asked, get, post, upload

ROOT = Path(__file__).parents[2]
TRACES = re.compile(r"Traceback|File \"/|site-packages")


def test_13_no_path_leads_outside(url: str, tmp_path: Path) -> None:
    """The answer is the same for a file that exists and for one that does not."""
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret")
    inside = [
        "checkpoints/tabletop/ezclip/config.json",
        "CHECKPOINTS/tabletop/ezclip/config.json",
        "README.md",
        ".git/config",
    ]
    there = [str(secret), "/etc/passwd", "/proc/self/environ", *(str(ROOT / name) for name in inside)]
    dressed = [f"../../..{path}" for path in there] + [f"file://{path}" for path in there]
    dressed += [path.replace("/", "%2F") for path in there] + [path.replace("/", "//") for path in there]
    dressed += (
        [f"{path}%00.png" for path in there] + [f"{path}/." for path in there] + [f"\\\\?\\{path}" for path in there]
    )
    web = [f"http://{host}/x" for host in ("127.0.0.1:9", "169.254.169.254", "[::1]:9", "localhost:9", "0.0.0.0:9")]
    names = [*there, *dressed, *web]
    assert len(names) >= 60
    routes = [
        "gradio_api/file=",
        "gradio_api/file/",
        "file=",
        "file/",
        "static/",
        "assets/",
        "gradio_api/stream/",
        "theme/",
    ]
    for route in routes:
        kinds = Counter[int]()
        for name in names:
            status, body = get(f"{url}/{route}{urllib.parse.quote(name, safe='/:%=')}")
            kinds[status] += 1
            assert status != 200 or b"a secret" not in body, name
            assert not (status == 200 and (b"root:" in body or b"safetensors" in body or b"[core]" in body)), name
        missing, _ = get(f"{url}/{route}{tmp_path}/gone.txt")
        existing, _ = get(f"{url}/{route}{secret}")
        assert missing == existing, route


def test_14_crafted_files_are_refused(client: Client, url: str, tmp_path: Path, clip: Path) -> None:
    """Paths outside the uploads, addresses, and files of the machine in place of an upload."""
    foreign = shutil.copy(clip, tmp_path / "foreign.mp4")
    crafted: list[Any] = [
        {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        for path in (foreign, "/etc/passwd", ROOT / "README.md", ROOT / "checkpoints/tabletop/backbone.safetensors")
    ]
    crafted += [
        {"path": "x.mp4", "url": address, "meta": {"_type": "gradio.FileData"}}
        for address in ("http://127.0.0.1:9/x.mp4", f"file://{foreign}", "http://169.254.169.254/")
    ]
    for file in crafted:
        status, answer = post(f"{url}/gradio_api/call/predict", {"data": asked(client, "predict", file)})
        if status == 200:
            status, body = get(f"{url}/gradio_api/call/predict/{answer['event_id']}")
            assert b"event: error" in body and not TRACES.search(body.decode()), file


def test_15_uploads_are_limited(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is too large, one whose name is, and a disk that is nearly full."""
    began = time.monotonic()
    status, _ = upload(url, "large.mp4", bytes(20_000_000))
    print(f"413 after {time.monotonic() - began:.2f} s")
    assert status == 413 and time.monotonic() - began < 2
    assert upload(url, "n" * 300 + ".mp4", b"x")[0] < 500, "Gradio shortens the name"
    guard = Guard(None, most_files=0)
    assert "too many" in (guard.refusal(1) or "")
    assert "nearly full" in (Guard(None, reserve=1e18).refusal(1) or "")
    assert "too many" in (Guard(None, most_bytes=10).refusal(11) or "")
    assert Guard(None).refusal(1) is None
    monkeypatch.setattr("app.guard.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))  # type: ignore
    status, sentence = upload(url, "small.mp4", b"x")
    assert status == 507 and "nearly full" in sentence


@pytest.mark.slow
def test_15_a_thousand_small_files_trip_the_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.guard.get_upload_folder", lambda: str(tmp_path))
    guard, taken = Guard(None, most_files=600), 0
    for i in range(1000):
        if guard.refusal(1):
            break
        (tmp_path / str(i)).mkdir()
        (tmp_path / str(i) / "x.mp4").write_bytes(b"x")
        taken += 1
    assert taken == 600


def test_15_uploads_that_broke_off_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.guard.get_upload_folder", lambda: str(tmp_path))
    (tmp_path / "whole").mkdir()
    for name, age in (("tmpold", 100), ("tmpnew", 0), ("whole/clip.mp4", 100)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    assert Guard(None).refusal(1) is None
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["clip.mp4", "tmpnew"]


def test_headers(url: str) -> None:
    with urllib.request.urlopen(url) as answer:
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS


def test_zips(services: Services, tmp_path: Path, clip: Path) -> None:
    """A bomb, a name that is too long, a file and a folder of one name."""

    def packed(name: str, members: dict[str, bytes]) -> str:
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for inside, content in members.items():
                archive.writestr(inside, content)
        return str(tmp_path / name)

    video = clip.read_bytes()
    with pytest.raises(UserError, match="unpack to"):
        unpacked_zip(services, packed("bomb.zip", {f"a/{i}.mp4": bytes(30_000_000) for i in range(3)}))
    with pytest.raises(UserError, match="one name"):
        unpacked_zip(services, packed("clash.zip", {"a.mp4": video, "a.mp4/b.mp4": video}))
    with pytest.raises((UserError, OSError)):
        unpacked_zip(services, packed("long.zip", {f"a/{'n' * 300}.mp4": video}))
