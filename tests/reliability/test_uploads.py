"""Tests 14 and 15 of docs/RELIABILITY.md: ownership, size and number of uploads."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import threading
import time
import urllib.parse
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file

from app.actions.uploads import MAX_FILES, unpack_zip
from app.gate.guard import HEADERS, MAX_PER_CLIENT, Guard
from app.gate.server import launch
from app.main import build_app
from app.services import Services
from ezclip.errors import UserError, as_user_error
from tests.conftest import SOON, write_video
from tests.reliability.requests import asked, upload

ROOT = Path(__file__).parents[2]
LIMIT = 3 * 2**20  # of ``conftest.demo``


def test_14_an_upload_is_of_one_browser(url: str, tmp_path: Path) -> None:
    """Others cannot use its path, in an event or as an address, until they send the same file themselves."""
    clip = write_video(tmp_path / "own.mp4", count=9)
    owner, stranger = Client(url, verbose=False), Client(url, verbose=False)
    assert owner.cookies != stranger.cookies
    path = owner.predict(handle_file(clip), "a, b", api_name="/predict") and uploaded_by(owner, url, clip)
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    body = {"data": asked(owner, "predict", file)}
    escaped = json.dumps(body).replace(
        Path(path).parent.name, "".join(f"\\u{ord(c):04x}" for c in Path(path).parent.name)
    )
    for cookies, expected in ((owner.cookies, 200), (stranger.cookies, 403), ({}, 403)):
        for content in (json.dumps(body), escaped):
            kind = {"content-type": "application/json"}
            answer = httpx.post(f"{url}/gradio_api/call/predict", content=content, headers=kind, cookies=cookies)
            assert answer.status_code == expected
        assert httpx.get(f"{url}/gradio_api/file={path}", cookies=cookies).status_code == expected
    assert uploaded_by(stranger, url, clip) == path, "Gradio finds it by its content"
    assert httpx.post(f"{url}/gradio_api/call/predict", json=body, cookies=stranger.cookies).status_code == 200
    sample = min((ROOT / "assets/samples").glob("*.mp4"))
    path = uploaded_by(owner, url, sample)
    assert httpx.get(f"{url}/gradio_api/file={path}", cookies=stranger.cookies).status_code == 200, "the page shows it"


def uploaded_by(client: Client, url: str, file: Path) -> str:
    """Upload a clip as this client and return its path."""
    files = {"files": (file.name, file.read_bytes())}
    return httpx.post(f"{url}/gradio_api/upload", files=files, cookies=client.cookies).json()[0]


def test_14_no_path_can_be_guessed(url: str, clip: Path) -> None:
    """The hash in it is salted, so the content alone does not reveal it."""
    path = json.loads(upload(url, clip.name, clip.read_bytes())[1])[0]
    assert hashlib.sha256(clip.read_bytes()).hexdigest() not in path


def test_15_an_upload_that_is_too_large(url: str) -> None:
    """413 within 1 s after the limit, and at most the limit plus 1 MiB on disk."""
    folder, held, done = Path(get_upload_folder()), [0], threading.Event()
    before = used(folder)

    def watch() -> None:
        while not done.is_set():
            held.append(used(folder) - before)

    host = urllib.parse.urlparse(url)
    head = '--x\r\nContent-Disposition: form-data; name="files"; filename="large.mp4"\r\n\r\n'
    lines = f"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Length: {10**8}\r\n"
    lines += f"Content-Type: multipart/form-data; boundary=x\r\n\r\n{head}"
    with ThreadPoolExecutor() as threads, socket.create_connection((host.hostname, host.port), timeout=30) as stranger:
        threads.submit(watch)
        try:
            stranger.sendall(lines.encode() + bytes(LIMIT + 100_000))
            began = time.monotonic()
            status = stranger.recv(100).split(b"\r\n")[0]
            seconds = time.monotonic() - began
        finally:
            done.set()
    print(
        f"{status.decode()} after {seconds:.2f} s, {max(held) / 1e6:.1f} MB on the disk, {used(folder) - before} B stay"
    )
    assert b"413" in status and seconds < SOON
    assert max(held) <= LIMIT + 2**20 and used(folder) <= before


def used(folder: Path) -> int:
    """Bytes in a folder."""
    total = 0
    for file in folder.rglob("*"):
        with suppress(OSError):
            total += file.stat().st_size if file.is_file() else 0
    return total


def test_15_long_names_and_full_disks(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert upload(url, "n" * 300 + ".mp4", b"x")[0] < 500, "Gradio shortens the name"
    status, _ = upload(url, "n" * 50_000_000 + ".mp4", b"x")
    assert 400 <= status < 500
    guard = Guard(None, max_files=0)
    assert "too many" in (guard.refusal(1) or "")
    assert "nearly full" in (Guard(None, reserve=1e18).refusal(1) or "")
    assert "too many" in (Guard(None, max_bytes=10).refusal(11) or "")
    assert Guard(None).refusal(1) is None
    monkeypatch.setattr("app.gate.guard.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))  # type: ignore
    status, sentence = upload(url, "small.mp4", b"x")
    assert status == 507 and "nearly full" in sentence


@pytest.mark.slow
def test_15_a_thousand_small_files_of_one_address(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of a public server."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    demo = build_app(services)
    url = launch(demo, quiet=True, server_name="127.0.0.1").rstrip("/")
    answers = [upload(url, f"{i}.mp4", str(i).encode()) for i in range(1000)]
    demo.close(verbose=False)
    assert [status for status, _ in answers] == [200] * MAX_PER_CLIENT + [507] * (1000 - MAX_PER_CLIENT)
    assert "too many files" in answers[-1][1]


def test_15_an_address_may_send_again_after_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    guard = Guard(None, max_per_client=2)
    guard._history["a"].append((now, 2))
    assert "within an hour" in (guard.refusal(1, "a") or "") and guard.refusal(1, "b") is None
    monkeypatch.setattr("app.gate.guard.time.time", lambda: now + 3601)
    assert guard.refusal(1, "a") is None and not guard._history["a"]


@pytest.mark.slow
def test_15_a_thousand_small_files_trip_the_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.gate.guard.get_upload_folder", lambda: str(tmp_path))
    guard, accepted = Guard(None, max_files=600), 0
    for i in range(1000):
        if guard.refusal(1):
            break
        (tmp_path / str(i)).mkdir()
        (tmp_path / str(i) / "x.mp4").write_bytes(b"x")
        accepted += 1
    assert accepted == 600


def test_15_uploads_that_broke_off_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.gate.guard.get_upload_folder", lambda: str(tmp_path))
    (tmp_path / "whole").mkdir()
    for name, age in (("tmpold", 100), ("tmpnew", 0), ("whole/clip.mp4", 100)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    assert Guard(None).refusal(1) is None
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["clip.mp4", "tmpnew"]


def test_headers(url: str) -> None:
    with urllib.request.urlopen(url) as answer:
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS


def packed(path: Path, members: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside, content in members.items():
            archive.writestr(inside, content)
    return str(path)


VIDEO = bytes(np.random.default_rng(0).integers(0, 256, 5000, np.uint8))  # does not shrink in a zip
ZIPS: dict[str, tuple[dict[str, bytes], str]] = {
    "ratio": ({f"a/{i}.mp4": bytes(30_000_000) for i in range(3)}, "unpack to 90 MB"),
    "entries": ({f"a/{i}.mp4": b"x" for i in range(MAX_FILES + 1)}, f"{MAX_FILES + 1} videos"),
    "one name": ({"a.mp4": VIDEO, "a.mp4/b.mp4": VIDEO}, "one name"),
    "long name": ({f"a/{'n' * 300}.mp4": VIDEO}, "name of a file is too long"),
}


@pytest.mark.parametrize("kind", ZIPS)
def test_zips_are_limited(services: Services, tmp_path: Path, kind: str) -> None:
    members, sentence = ZIPS[kind]
    with pytest.raises((UserError, OSError)) as caught:
        unpack_zip(services, packed(tmp_path / "clips.zip", members))
    assert re.search(sentence, str(as_user_error(caught.value)))


@pytest.mark.parametrize("limit", ["MAX_BYTES", "RESERVE", "MAX_EXPANSION"])
def test_each_limit_of_a_zip_is_read(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """The same zip is accepted at the default limits."""
    path = packed(tmp_path / "clips.zip", {"a/1.mp4": VIDEO, "b/2.mp4": VIDEO + limit.encode()})
    low = {"MAX_BYTES": 9_999, "RESERVE": 1e18, "MAX_EXPANSION": 0.5}
    with monkeypatch.context() as patch:
        patch.setattr(f"app.actions.uploads.{limit}", low[limit])
        with pytest.raises(UserError, match="at most 2000 and 2 GB" if limit == "MAX_BYTES" else "unpack to"):
            unpack_zip(services, path)
    assert len(list(unpack_zip(services, path).rglob("*.mp4"))) == 2


def test_names_in_a_zip_lead_nowhere_else(services: Services, tmp_path: Path) -> None:
    """Neither to parents, nor to a root or a drive, nor through a link; files that are not videos are left out."""
    outside = tmp_path / "outside"
    outside.mkdir()
    path = packed(
        tmp_path / "clips.zip", {f"{up}1.mp4": VIDEO for up in ("../" * 9, f"{outside}/", "C:\\", "a/../../b/")}
    )
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("a/link.mp4")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("a/run.sh", "rm -rf /")
    folder = unpack_zip(services, path)
    scratch = Path(services._scratch.name).resolve()
    files = [file for file in folder.rglob("*") if not file.is_dir()]
    assert len(files) == 5 and all(file.resolve().is_relative_to(scratch) for file in files)
    assert not list(outside.iterdir()) and not any(file.is_symlink() or file.suffix == ".sh" for file in files)
