"""Tests 13 to 15 of docs/RELIABILITY.md: paths, files and uploads."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
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
from typing import Any

import gradio as gr
import httpx
import numpy as np
import pytest
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file

from app.actions.uploads import MOST_FILES, unpacked_zip
from app.gate.guard import HEADERS, MOST_EACH, UNUSED, Guard
from app.main import build_app, launch
from app.services import Services
from ezclip.errors import UserError, as_user_error
from tests.conftest import write_video
from tests.reliability.materials import write_bytes
from tests.reliability.requests import asked, event, get, given, post, request, upload

ROOT = Path(__file__).parents[2]
LIMIT = 3 * 2**20  # of ``conftest.demo``
TRACES = re.compile(r"Traceback|File \"/|site-packages")


def paths(there: list[str]) -> list[str]:
    """Sixty ways or more to name files that exist, and addresses of this machine."""
    dressed = [f"../../..{path}" for path in there] + [f"file://{path}" for path in there]
    dressed += [path.replace("/", "%2F") for path in there] + [path.replace("/", "//") for path in there]
    dressed += (
        [f"{path}%00.png" for path in there] + [f"{path}/." for path in there] + [f"\\\\?\\{path}" for path in there]
    )
    web = [f"http://{host}/x" for host in ("127.0.0.1:9", "169.254.169.254", "[::1]:9", "localhost:9", "0.0.0.0:9")]
    return [*there, *dressed, *web]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    return write_bytes(tmp_path / "secret.txt", secrets.token_hex(60).encode())


@pytest.fixture
def there(secret: Path) -> list[str]:
    """Files outside the uploads that exist."""
    inside = [
        "checkpoints/tabletop/ezclip/config.json",
        "CHECKPOINTS/tabletop/ezclip/config.json",
        "README.md",
        ".git/config",
    ]
    return [str(secret), "/etc/passwd", "/proc/self/environ", *(str(ROOT / name) for name in inside)]


@pytest.fixture
def marks(there: list[str]) -> list[bytes]:
    """A piece of each file that no page of the app holds."""
    contents = [Path(path).read_bytes() for path in there if Path(path).is_file()]
    assert len(contents) >= 5
    return [content[len(content) // 2 :][:60] for content in contents]


def check_leaks_nothing(body: bytes, marks: list[bytes], name: object) -> None:
    assert not any(mark in body for mark in marks), (name, body[:300])


def routes_of(demo: gr.Blocks) -> list[tuple[str, str, list[str], list[str]]]:
    """Method, path, names in the path and in the query of every route that the app has."""
    found = []
    for path, methods in demo.app.openapi()["paths"].items():
        for method, described in methods.items():
            parameters = described.get("parameters", [])
            names = [[one["name"] for one in parameters if one["in"] == kind] for kind in ("path", "query")]
            found.append((method.upper(), path, *names))
    return found


def test_13_no_route_leads_outside(
    demo: gr.Blocks, url: str, there: list[str], secret: Path, marks: list[bytes]
) -> None:
    """Every route, each of its parameters: nothing is read, and a file that is there answers as one that is not."""
    names, gone = paths(there), str(secret.with_name("gone.txt"))
    assert len(names) >= 60
    routes = routes_of(demo)
    assert len(routes) > 50 and any("file=" in path for _, path, *_ in routes)
    tried, endless = 0, set[str]()

    def ask(method: str, path: str, parameter: str, name: str) -> tuple[int, bytes]:
        quoted = urllib.parse.quote(name, safe="/:%=")
        filled = re.sub(r"{(\w+)}", lambda found: quoted if found[1] == parameter else "x", path)
        query = f"?{parameter}={urllib.parse.quote(name, safe='%')}" if f"{{{parameter}}}" not in path else ""
        body = json.dumps({"data": [name], "path": name, "session_hash": name, "event_id": name}).encode()
        try:
            return request(method, f"{url}{filled}{query}", body if method == "POST" else None, patience=0.5)
        except TimeoutError:  # a stream of events with nothing to tell
            endless.add(path)
            return 0, b""

    for method, path, inside, queried in routes:
        for parameter in inside + queried or ["any"]:
            for name in names if inside + queried else there:
                if path in endless and name not in there:
                    continue
                check_leaks_nothing(ask(method, path, parameter, name)[1], marks, (method, path, name))
                tried += 1
            existing, missing = (ask(method, path, parameter, name)[0] for name in (str(secret), gone))
            assert existing == missing, (method, path, parameter)
    print(f"{tried} requests to {len(routes)} routes; without an end: {sorted(endless)}")
    assert tried > 1000


def inputs_of(client: Client, kinds: set[str]) -> list[tuple[dict[str, Any], int]]:
    """Every event of the app, also those of the page, with the place of each input of these kinds."""
    kind_of = {one["id"]: one["type"] for one in client.config["components"]}
    events = [one for one in client.config["dependencies"] if one["backend_fn"]]
    return [(one, i) for one in events for i, which in enumerate(one["inputs"]) if kind_of[which] in kinds]


def filled(client: Client, endpoint: dict[str, Any], place: int, value: Any) -> list[Any]:
    """The inputs of an event, all empty but one; in a list where it takes several files."""
    props = {one["id"]: one["props"] for one in client.config["components"]}
    data: list[Any] = [None] * len(endpoint["inputs"])
    several = props[endpoint["inputs"][place]].get("file_count", "single") != "single"
    data[place] = [value] if several else value
    return data


@pytest.mark.slow
@pytest.mark.parametrize("full", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_13_no_text_of_an_endpoint_is_a_path(
    client: Client, url: str, there: list[str], secret: Path, marks: list[bytes], clip: Path, full: bool
) -> None:
    """Every text that an endpoint takes; the answers for a file that is there and one that is not are the same."""
    gone, file = str(secret.with_name("gone.txt")), given(url, clip)
    texts = [(one, i) for one, i in inputs_of(client, {"textbox"}) if one["api_visibility"] == "public"]
    files = {one["id"]: i for one, i in reversed(inputs_of(client, {"file"}))}
    assert len({one["api_name"] for one, _ in texts}) > 10

    def ask(endpoint: dict[str, Any], place: int, name: str) -> str:
        data = filled(client, endpoint, files[endpoint["id"]], file) if endpoint["id"] in files else [None] * 99
        data = data[: len(endpoint["inputs"])]
        data[place] = name
        status, answer = post(f"{url}/gradio_api/call/{endpoint['api_name']}", {"data": data})
        if status != 200:
            return str(answer)
        body = get(f"{url}/gradio_api/call/{endpoint['api_name']}/{answer['event_id']}", 60)[1]
        return re.sub(r"id \w{6}", "", body.decode(errors="replace")).replace(name[:80], "NAME")  # sentences shorten

    for endpoint, place in texts:
        for name in paths(there) if full else there[:2]:
            body = ask(endpoint, place, name).encode()
            check_leaks_nothing(body, marks, (endpoint["api_name"], place, name))
        existing, missing = (ask(endpoint, place, name) for name in (str(secret), gone))
        if "event: error" in existing:
            assert existing == missing, (endpoint["api_name"], place)


@pytest.mark.slow
def test_14_crafted_files_are_refused(client: Client, url: str, tmp_path: Path, clip: Path) -> None:
    """Every input of every event that takes a file: paths outside the uploads, addresses, files of the machine."""
    foreign = shutil.copy(clip, tmp_path / "foreign.mp4")
    crafted: list[Any] = [
        {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        for path in (foreign, "/etc/passwd", ROOT / "README.md", ROOT / "checkpoints/tabletop/backbone.safetensors")
    ]
    crafted += [
        {"path": "x.mp4", "url": address, "meta": {"_type": "gradio.FileData"}}
        for address in ("http://127.0.0.1:9/x.mp4", f"file://{foreign}", "http://169.254.169.254/")
    ]
    places = inputs_of(client, {"file", "video", "image", "uploadbutton"})
    assert len(places) > 30
    for number, (one, place) in enumerate(places):
        for i, file in enumerate(crafted):
            data = filled(client, one, place, file)
            told = event(url, one["id"], data, f"crafted{number}-{i}")
            assert '"success":false' in told and not TRACES.search(told), (one["api_name"], file, told)


def test_14_an_upload_is_of_one_browser(url: str, tmp_path: Path) -> None:
    """Its path is no use to others, in an event or as an address, until they send the same file themselves."""
    clip = write_video(tmp_path / "own.mp4", count=9)
    own, other = Client(url, verbose=False), Client(url, verbose=False)
    assert own.cookies != other.cookies
    path = own.predict(handle_file(clip), "a, b", api_name="/predict") and uploaded_by(own, url, clip)
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    body = {"data": asked(own, "predict", file)}
    escaped = json.dumps(body).replace(
        Path(path).parent.name, "".join(f"\\u{ord(c):04x}" for c in Path(path).parent.name)
    )
    for cookies, expected in ((own.cookies, 200), (other.cookies, 403), ({}, 403)):
        for content in (json.dumps(body), escaped):
            kind = {"content-type": "application/json"}
            answer = httpx.post(f"{url}/gradio_api/call/predict", content=content, headers=kind, cookies=cookies)
            assert answer.status_code == expected
        assert httpx.get(f"{url}/gradio_api/file={path}", cookies=cookies).status_code == expected
    assert uploaded_by(other, url, clip) == path, "Gradio finds it by its content"
    assert httpx.post(f"{url}/gradio_api/call/predict", json=body, cookies=other.cookies).status_code == 200
    sample = min((ROOT / "assets/samples").glob("*.mp4"))
    path = uploaded_by(own, url, sample)
    assert httpx.get(f"{url}/gradio_api/file={path}", cookies=other.cookies).status_code == 200, "the page shows it"


def uploaded_by(client: Client, url: str, file: Path) -> str:
    """The path of an upload in the name of a client."""
    files = {"files": (file.name, file.read_bytes())}
    return httpx.post(f"{url}/gradio_api/upload", files=files, cookies=client.cookies).json()[0]


def test_14_no_path_can_be_guessed(url: str, clip: Path) -> None:
    """The hash in it is salted, so that the content alone does not tell it."""
    path = json.loads(upload(url, clip.name, clip.read_bytes())[1])[0]
    assert hashlib.sha256(clip.read_bytes()).hexdigest() not in path


def test_15_an_upload_that_is_too_large(url: str) -> None:
    """413 within 1 s after the limit, and no more of the disk than the limit and 1 MiB."""
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
    assert b"413" in status and seconds < 1
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
    guard = Guard(None, most_files=0)
    assert "too many" in (guard.refusal(1) or "")
    assert "nearly full" in (Guard(None, reserve=1e18).refusal(1) or "")
    assert "too many" in (Guard(None, most_bytes=10).refusal(11) or "")
    assert Guard(None).refusal(1) is None
    monkeypatch.setattr("app.gate.guard.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))  # type: ignore
    status, sentence = upload(url, "small.mp4", b"x")
    assert status == 507 and "nearly full" in sentence


@pytest.mark.slow
def test_15_a_thousand_small_files_of_one_address(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of the app as strangers reach it."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    demo = build_app(services)
    url = launch(demo, quiet=True, server_name="127.0.0.1").rstrip("/")
    answers = [upload(url, f"{i}.mp4", str(i).encode()) for i in range(1000)]
    demo.close(verbose=False)
    assert [status for status, _ in answers] == [200] * MOST_EACH + [507] * (1000 - MOST_EACH)
    assert "too many files" in answers[-1][1]


def test_15_an_address_may_send_again_after_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    guard = Guard(None, most_each=2)
    guard._sent["a"].append((now, 2))
    assert "within an hour" in (guard.refusal(1, "a") or "") and guard.refusal(1, "b") is None
    monkeypatch.setattr("app.gate.guard.time.time", lambda: now + 3601)
    assert guard.refusal(1, "a") is None and not guard._sent["a"]


@pytest.mark.slow
def test_15_a_thousand_small_files_trip_the_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.gate.guard.get_upload_folder", lambda: str(tmp_path))
    guard, taken = Guard(None, most_files=600), 0
    for i in range(1000):
        if guard.refusal(1):
            break
        (tmp_path / str(i)).mkdir()
        (tmp_path / str(i) / "x.mp4").write_bytes(b"x")
        taken += 1
    assert taken == 600


def test_15_uploads_that_broke_off_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.gate.guard.get_upload_folder", lambda: str(tmp_path))
    (tmp_path / "whole").mkdir()
    for name, age in (("tmpold", 100), ("tmpnew", 0), ("whole/clip.mp4", 100)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    assert Guard(None).refusal(1) is None
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["clip.mp4", "tmpnew"]


def test_routes_without_use_are_closed(demo: gr.Blocks, url: str) -> None:
    """Deep links would write files, and a visitor has no business with development and monitoring."""
    session = "someone"
    event(url, next(i for i, one in demo.fns.items() if one.fn is not None), [None], session)
    links = Path(get_upload_folder()) / "deep_links"
    before = len(list(links.rglob("*")))
    assert request("GET", f"{url}/gradio_api/deep_link?session_hash={session}")[0] == 404
    assert len(list(links.rglob("*"))) == before
    closed = [path for _, path, *_ in routes_of(demo) if path.startswith(UNUSED)]
    assert len(closed) > 8
    for path in closed:
        assert request("GET", f"{url}{path.format(key='x')}")[0] == 404, path
    assert request("GET", f"{url}/config")[0] == 200


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
    "entries": ({f"a/{i}.mp4": b"x" for i in range(MOST_FILES + 1)}, f"{MOST_FILES + 1} videos"),
    "one name": ({"a.mp4": VIDEO, "a.mp4/b.mp4": VIDEO}, "one name"),
    "long name": ({f"a/{'n' * 300}.mp4": VIDEO}, "name of a file is too long"),
}


@pytest.mark.parametrize("kind", ZIPS)
def test_zips_are_limited(services: Services, tmp_path: Path, kind: str) -> None:
    members, sentence = ZIPS[kind]
    with pytest.raises((UserError, OSError)) as caught:
        unpacked_zip(services, packed(tmp_path / "clips.zip", members))
    assert re.search(sentence, str(as_user_error(caught.value)))


@pytest.mark.parametrize("limit", ["MOST_BYTES", "RESERVE", "MOST_EXPANSION"])
def test_each_limit_of_a_zip_is_read(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """The same zip is taken at the limits of every day."""
    path = packed(tmp_path / "clips.zip", {"a/1.mp4": VIDEO, "b/2.mp4": VIDEO + limit.encode()})
    low = {"MOST_BYTES": 9_999, "RESERVE": 1e18, "MOST_EXPANSION": 0.5}
    with monkeypatch.context() as patch:
        patch.setattr(f"app.actions.uploads.{limit}", low[limit])
        with pytest.raises(UserError, match="at most 2000 and 2 GB" if limit == "MOST_BYTES" else "unpack to"):
            unpacked_zip(services, path)
    assert len(list(unpacked_zip(services, path).rglob("*.mp4"))) == 2


def test_names_in_a_zip_lead_nowhere_else(services: Services, tmp_path: Path) -> None:
    """Neither up, nor to a root or a drive, nor through a link; what is no video is left out."""
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
    folder = unpacked_zip(services, path)
    scratch = Path(services._scratch.name).resolve()
    made = [file for file in folder.rglob("*") if not file.is_dir()]
    assert len(made) == 5 and all(file.resolve().is_relative_to(scratch) for file in made)
    assert not list(outside.iterdir()) and not any(file.is_symlink() or file.suffix == ".sh" for file in made)
