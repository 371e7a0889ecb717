"""A stand-in for the Hub, GitHub and Google Drive on this machine, which serves content from a second port."""

import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import open_clip
import pytest
from safetensors.torch import save_file

from ezclip.checkpoints.catalog import BACKBONE
from ezclip.checkpoints.convert import export_official
from ezclip.checkpoints.download import Hosts
from ezclip.checkpoints.store import save_backbone, save_model
from ezclip.model.backbone import build_backbone
from tests.conftest import TINY, make_model

COMMIT = "1" * 40
WEIGHTS = "open_clip_model.safetensors"
LOGIN = '<html><form action="https://accounts.google.com/ServiceLogin"><input type="email"></form></html>'
QUOTA = '<html><p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently.</p></html>'
OTHER = "<html>Something new</html>"
CONFIRM = """<html><form id="download-form" action="/download" method="get"><input type="hidden" name="id" value="{}">
<input type="hidden" name="export" value="download"><input type="hidden" name="uuid" value="u-1"></form></html>"""


def official_file(folder: Path) -> bytes:
    """A file in the release's layout: a tiny model with random weights and CLIP's vocabulary."""
    backbone = build_backbone("tiny", TINY | {"vision_cfg": TINY["vision_cfg"] | {"head_width": 64}})
    save_backbone(backbone, folder / "made" / BACKBONE)
    save_model(make_model(backbone, "ezclip"), backbone, folder / "made", summary={})
    export_official(folder / "made", folder / "made.pt")
    return (folder / "made.pt").read_bytes()


def tiny_clip(folder: Path, patch: pytest.MonkeyPatch) -> bytes:
    """Weights of a small open_clip model, ``WEIGHTS`` in the folder, which open_clip then knows as tiny/standin."""
    (folder / "tiny.json").write_text(json.dumps(TINY))
    patch.setattr(open_clip.factory, "_MODEL_CONFIGS", dict(open_clip.factory._MODEL_CONFIGS))
    patch.setattr(open_clip.factory, "_MODEL_CONFIG_PATHS", list(open_clip.factory._MODEL_CONFIG_PATHS))
    open_clip.add_model_config(folder / "tiny.json")
    tag = {"standin": {"hf_hub": "org/tiny/", "quick_gelu": True}}
    patch.setitem(open_clip.pretrained._PRETRAINED, "tiny", tag)
    save_file(build_backbone("other", TINY).clip.state_dict(), folder / WEIGHTS)
    return (folder / WEIGHTS).read_bytes()


class StandIn(ThreadingHTTPServer):
    """Files by the last part of their path, or by Drive's id."""

    daemon_threads = True

    def __init__(self, content: "StandIn | None" = None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content or self
        self.files: dict[str, bytes] = {}
        self.cuts: list[float] = []  # fractions of the file after which the next transfers break off
        self.status, self.code = 200, ""  # of every answer, and the Hub's name of the error
        self.page = ""  # what Drive answers instead of a file
        self.rate = 0.0  # bytes per second, 0 for no limit
        self.ranges = True  # whether range requests are supported
        self.silent = False  # never answers
        self.seen: list[tuple[str, str, dict[str, str]]] = []  # method, path, headers
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def hosts(self) -> Hosts:
        return Hosts(self.url, self.url, self.url)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect."""


class Handler(BaseHTTPRequestHandler):
    server: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), "Connection": "close", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.close_connection = True

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        host, parts = self.server, urlsplit(self.path)
        host.seen.append((self.command, self.path, dict(self.headers.items())))
        if host.silent:
            time.sleep(20)
            return
        if host.status != 200:
            self.answer(host.status, b"no", **({"X_Error_Code": host.code} if host.code else {}))
            return
        if host.code == "proxy":
            self.answer(200, b"hello")
            return
        query = parse_qs(parts.query)
        name = query["id"][0] if parts.path == "/download" else parts.path.rpartition("/")[2]
        data = host.content.files.get(name)
        if parts.path.startswith("/moved/"):
            self.answer(307, Location=parts.path.replace("/moved/", "/org/"))
        elif "/resolve/" in parts.path:
            if data is None:
                self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
                return
            etag = f'"{hashlib.sha256(data).hexdigest()}"'
            place = f"{host.content.url}/content/{name}?signature=1"
            linked = {"X_Linked_Etag": etag, "X_Linked_Size": str(len(data)), "X_Repo_Commit": COMMIT}
            self.answer(302, Location=place, ETag='"other"', **linked)
        elif "/releases/" in parts.path and data is not None:
            self.answer(302, Location=f"{host.content.url}/content/{name}")
        elif parts.path == "/download" and (host.page and "uuid" not in query):
            self.answer(200, host.page.format(name).encode(), Content_Type="text/html; charset=utf-8")
        elif data is None:
            self.answer(404)
        else:
            self.file(data, "Content-Disposition" if parts.path == "/download" else "X-None")

    def file(self, data: bytes, marker: str) -> None:
        match = self.server.ranges and re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        begin = int(match[1]) if match else 0
        self.send_response(206 if match else 200)
        if match:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - begin))
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header(marker, "attachment")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if self.command == "HEAD":
            return
        end = int(len(data) * self.server.cuts.pop(0)) if self.server.cuts else len(data)
        step = max(1, int(self.server.rate / 20)) if self.server.rate else len(data)
        for i in range(begin, end, step):
            self.wfile.write(data[i : min(i + step, end)])
            if self.server.rate:
                time.sleep(0.05)
        if end < len(data):
            self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """The hosts; their content comes from ``content``, another port."""
    content = StandIn()
    hosts = StandIn(content)
    try:
        yield hosts
    finally:
        for server in (hosts, content):
            server.shutdown()
            server.server_close()
