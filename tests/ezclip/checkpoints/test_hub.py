"""Models on the Hub, against a stand-in that speaks the Hub's HTTP interface on this machine."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ezclip.checkpoints.hub import card, check_hub_name, public_config, pull
from ezclip.errors import CheckpointError

ROOT = Path(__file__).parents[3]


class Hub(ThreadingHTTPServer):
    """Repositories in memory: repo -> commits, each a dictionary of files; the last one is main."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, list[dict[str, bytes]]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


def oid(commit: int) -> str:
    return hashlib.sha1(str(commit).encode()).hexdigest()


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def as_json(self, value: object) -> None:
        self.answer(200, json.dumps(value).encode(), Content_Type="application/json")

    def do_GET(self) -> None:
        repo, separator, rest = self.path.lstrip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        commits = self.server.repos.get(repo)
        if not separator or commits is None:
            return self.answer(404, X_Error_Code="RepoNotFound")
        revisions = {"main": len(commits) - 1} | {oid(i): i for i in range(len(commits))}
        if revision not in revisions:
            return self.answer(404, X_Error_Code="RevisionNotFound")
        content = commits[revisions[revision]].get(name)
        if content is None:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=oid(revisions[revision]))
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        self.answer(200, content, ETag=etag, X_Repo_Commit=oid(revisions[revision]), Accept_Ranges="bytes")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") != "Bearer hf_test":
            return self.answer(401)
        if self.path == "/api/repos/create":
            request = json.loads(body)
            repo = "/".join(filter(None, (request.get("organization"), request["name"])))
            self.server.repos.setdefault(repo, [])
            return self.as_json({"url": f"{self.server.url}/{repo}", "name": repo})
        if self.path == "/api/validate-yaml":
            return self.as_json({"errors": [], "warnings": []})
        repo = "/".join(self.path.split("/")[3:5])
        if "/preupload/" in self.path:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            return self.as_json({"files": files})
        lines = [json.loads(line) for line in body.splitlines()]
        files = {x["value"]["path"]: base64.b64decode(x["value"]["content"]) for x in lines if x["key"] == "file"}
        commits = self.server.repos[repo]
        commits.append((commits[-1] if commits else {}) | files)
        here = oid(len(commits) - 1)
        self.as_json({"success": True, "commitUrl": f"{self.server.url}/{repo}/commit/{here}", "commitOid": here})


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_local_paths_do_not_go_to_the_hub() -> None:
    paths = {"data": "/data/me/k400/train/manifest.jsonl", "validation": "/data/me/val.jsonl", "out": "/data/me/runs/a"}
    training = paths | {
        "cache": "/scratch/me",
        "init": "/data/me/runs/b",
        "backbone": "clip:ViT-B-16/openai",
        "seed": 3,
    }
    public = public_config({"variant": "base", "training": training})
    assert "/data" not in json.dumps(public) and "/scratch" not in json.dumps(public)
    assert public["training"]["data"] == "k400" and public["training"]["validation"] == "val"
    assert public["training"]["backbone"] == "clip:ViT-B-16/openai" and public["training"]["seed"] == 3


@pytest.mark.slow
def test_push_pull_and_use(hub: Hub, tmp_path: Path) -> None:
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "HF_TOKEN": "hf_test"}

    def run(*arguments: str, offline: bool = False, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "ezclip", *arguments],
            cwd=ROOT, capture_output=True, text=True, env=environment | {"HF_HUB_OFFLINE": str(int(offline))},
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if status == 0 else done.stderr

    assert "/commit/" in run("push", "tabletop/ezclip", "someone/small")
    files = hub.repos["someone/small"][-1]
    assert set(files) == {"config.json", "adapter.safetensors", "backbone.safetensors", "README.md"}
    shipped = ROOT / "checkpoints" / "tabletop" / "ezclip" / "adapter.safetensors"
    assert files["adapter.safetensors"] == shipped.read_bytes()
    run("push", "tabletop/base", "someone/small")  # a second commit

    first = run("pull", f"hf:someone/small@{oid(0)}").strip()
    assert (Path(first) / "adapter.safetensors").read_bytes() == shipped.read_bytes()
    newest = json.loads((Path(run("pull", "hf:someone/small").strip()) / "config.json").read_text())
    assert newest["variant"] == "base"

    sample = str(next((ROOT / "assets" / "samples").glob("*.mp4")))
    predict = ["predict", sample, "--labels", "a, b", "--json", "--model"]
    hubs = json.loads(run(*predict, f"hf:someone/small@{oid(0)}", offline=True))
    assert hubs["predictions"] == json.loads(run(*predict, "tabletop/ezclip"))["predictions"]
    assert "not in the cache" in run(*predict, "hf:someone/else", offline=True, status=2)
    assert "The Hub has no hf:someone/else" in run(*predict, "hf:someone/else", status=2)
    assert "The Hub has no hf:someone/small@v9" in run(*predict, "hf:someone/small@v9", status=2)
    environment["HF_TOKEN"] = "wrong"
    assert "could not be written" in run("push", "tabletop/base", "someone/small", status=2)


class ReadTimeout(Exception):
    """Like the one of httpx and httpx2: neither an OSError nor an error class of the Hub."""


def test_a_transfer_that_breaks_off_is_reported_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> str:
        raise ReadTimeout("The read operation timed out")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", broken)
    monkeypatch.setattr("ezclip.checkpoints.hub._hub_answers", lambda *_: True)
    with pytest.raises(CheckpointError, match=r"transfer of config.json of hf:a/b broke off \(ReadTimeout\)"):
        pull("hf:a/b", ("config.json",))


def test_names() -> None:
    assert check_hub_name("hf:a/b-c.d") == ("a/b-c.d", None)
    assert check_hub_name("hf:a/b@v1") == ("a/b", "v1")
    for name in ("hf:a", "hf:a/b/c", "hf:a/b@", "hf:../b/c"):
        with pytest.raises(CheckpointError, match="hf:organisation/name"):
            check_hub_name(name)


def test_a_card_says_what_was_recorded() -> None:
    config = {"variant": "base", "num_frames": 8, "backbone": {"id": "x", "sha256": "0" * 64}}
    assert "Nothing was measured" in card("a/b", config)
    text = card("a/b", config | {"metrics": {"val_top1": 0.5}, "labels": ["x"]})
    assert "top1 0.500" in text and "pipeline_tag: video-classification" in text and '["x"]' in text
