"""Tests 13 and 14 of docs/RELIABILITY.md: paths and crafted files on every route and in every input."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import urllib.parse
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio.utils import get_upload_folder
from gradio_client import Client

from app.gate.guard import UNUSED
from tests.reliability.materials import write_bytes
from tests.reliability.requests import event, file_data, get, post, request

ROOT = Path(__file__).parents[2]
TRACES = re.compile(r"Traceback|File \"/|site-packages")


def paths(there: list[str]) -> list[str]:
    """At least sixty spellings of existing files and of addresses of this machine."""
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
    """A part of each file that no page of the app contains."""
    contents = [Path(path).read_bytes() for path in there if Path(path).is_file()]
    assert len(contents) >= 5
    return [content[len(content) // 2 :][:60] for content in contents]


def check_leaks_nothing(body: bytes, marks: list[bytes], name: object) -> None:
    assert not any(mark in body for mark in marks), (name, body[:300])


def routes_of(demo: gr.Blocks) -> list[tuple[str, str, list[str], list[str]]]:
    """Method, path, path parameters and query parameters of every route of the app."""
    routes = []
    for path, methods in demo.app.openapi()["paths"].items():
        for method, described in methods.items():
            parameters = described.get("parameters", [])
            names = [[one["name"] for one in parameters if one["in"] == kind] for kind in ("path", "query")]
            routes.append((method.upper(), path, *names))
    return routes


@pytest.mark.slow
def test_13_no_route_leads_outside(
    demo: gr.Blocks, url: str, there: list[str], secret: Path, marks: list[bytes]
) -> None:
    """Every route and parameter: nothing is read, and existing and missing files give the same answer."""
    names, gone = paths(there), str(secret.with_name("gone.txt"))
    assert len(names) >= 60
    routes = routes_of(demo)
    assert len(routes) > 50 and any("file=" in path for _, path, *_ in routes)
    tried, endless = 0, set[str]()

    def ask(method: str, path: str, parameter: str, name: str, patience: float = 0.5) -> tuple[int, bytes]:
        quoted = urllib.parse.quote(name, safe="/:%=")
        filled = re.sub(r"{(\w+)}", lambda match: quoted if match[1] == parameter else "x", path)
        query = f"?{parameter}={urllib.parse.quote(name, safe='%')}" if f"{{{parameter}}}" not in path else ""
        body = json.dumps({"data": [name], "path": name, "session_hash": name, "event_id": name}).encode()
        try:
            return request(method, f"{url}{filled}{query}", body if method == "POST" else None, patience=patience)
        except TimeoutError:  # a stream without events
            endless.add(path)
            return 0, b""

    for method, path, inside, queried in routes:
        for parameter in inside + queried or ["any"]:
            for name in names if inside + queried else there:
                if path in endless and name not in there:
                    continue
                check_leaks_nothing(ask(method, path, parameter, name)[1], marks, (method, path, name))
                tried += 1
            existing, missing = (ask(method, path, parameter, name, patience=10)[0] for name in (str(secret), gone))
            assert existing == missing, (method, path, parameter)
    print(f"{tried} requests to {len(routes)} routes; without an end: {sorted(endless)}")
    assert tried > 1000


def inputs_of(client: Client, kinds: set[str]) -> list[tuple[dict[str, Any], int]]:
    """Every event of the app, including those of the page, with the index of each input of these kinds."""
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
    """Every text input of an endpoint; existing and missing files give the same answer."""
    gone, file = str(secret.with_name("absent.txt")), file_data(url, clip)
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
        return re.sub(r"id \w{6}", "", body.decode(errors="replace")).replace(name[:80], "NAME")  # messages shorten

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
            events = event(url, one["id"], data, f"crafted{number}-{i}")
            assert '"success":false' in events and not TRACES.search(events), (one["api_name"], file, events)


def test_routes_without_use_are_closed(demo: gr.Blocks, url: str) -> None:
    """Deep links would write files, and development and monitoring are not for visitors."""
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
