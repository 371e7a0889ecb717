"""Tests 19 to 22 of docs/RELIABILITY.md: odd parameters, errors, no network."""

from __future__ import annotations

import csv
import json
import logging
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from app.events import guard_all
from app.services import Services
from ezclip.cli import main
from ezclip.figures.report import Report, Table
from ezclip.progress import Steps
from tests.conftest import write_video
from tests.reliability.requests import file_data, get, post

ROOT = Path(__file__).parents[2]
TRACES = re.compile(r"Traceback|File \"/|site-packages")


LABELS = [
    "", "one", "\n".join(map(str, range(1000))), "a\nA\na", "x" * 10_000, "🙂, 🏃", "שלום, عربى",
    "<script>alert(1)</script>, b",
    "\0, b", "a," * 100, '"quoted, comma", b', "{}", "%s %d", "../../etc/passwd, b", "=1+1, @x", "$x^2$, b",
    "\u202eabc, b", "a\tb, c", "  , ,", "\n\n", "ﬀ, ﬁ", "e\u0301, é", "NULL", "None, nan", "ÅÄÖ, åäö", "漢字, かな",
    "\ufffd, b", "a;b;c", "a|b", "http://127.0.0.1/, b",
]  # fmt: skip


@pytest.mark.slow
def test_19_class_names(client: Client, clip: Path) -> None:
    assert len(LABELS) == 30
    for labels in LABELS:
        try:
            answer = client.predict(handle_file(clip), labels, api_name="/predict")
            assert answer["predictions"]
        except AppError as error:
            check_sentence(str(error))


def check_sentence(sentence: str) -> None:
    """An error message for users: no traceback, no path of the machine."""
    assert sentence and sentence != "None" and not TRACES.search(sentence), sentence
    assert str(ROOT) not in sentence and "/tmp/" not in sentence and "unexpected error" not in sentence, sentence


@pytest.mark.slow
@pytest.mark.parametrize("calls", [pytest.param(60, id="quick"), pytest.param(300, marks=pytest.mark.soak, id="full")])
def test_22_parameters_of_every_endpoint(client: Client, url: str, clip: Path, tmp_path: Path, calls: int) -> None:
    """Wrong types, NaN, huge and negative numbers, long and odd texts: an answer or an error message; also test 20."""
    rng = np.random.default_rng(22)
    odd: list[Any] = [
        None, True, -1, 0, 1e308, -1e308, 10**30, float("nan"), "", "x" * 5000, "../..", "hf:../..", "clip:hf-hub:a/b",
        "clip:local-dir:/x", [], ["a"], {}, {"a": 1}, [[1]], "tabletop/base", "\0", {"path": "/etc/passwd"},
    ]  # fmt: skip
    endpoints = [one for one in client.config["dependencies"] if one["api_visibility"] == "public"]
    file = file_data(url, clip)
    outcomes = Counter[str]()
    for i in range(calls):
        endpoint = endpoints[i % len(endpoints)]
        data = [odd[rng.integers(len(odd))] if rng.random() < 0.4 else None for _ in endpoint["inputs"]]
        if data and rng.random() < 0.8:
            data[0] = [file] if endpoint["api_name"] in ("frames", "project", "live") else file
        if len(data) > 1 and rng.random() < 0.8:
            data[1] = "a, b"
        status, answer = post(f"{url}/gradio_api/call/{endpoint['api_name']}", {"data": data})
        if status != 200:
            assert status < 500, (endpoint["api_name"], data, answer)
            outcomes["refused"] += 1
            continue
        _, body = get(f"{url}/gradio_api/call/{endpoint['api_name']}/{answer['event_id']}", 90)
        text = body.decode(errors="replace")
        assert not TRACES.search(text), text
        outcomes["answered" if "event: complete" in text else "sentence"] += 1
        if "event: error" in text:
            message = json.loads(text.split("data: ", 1)[1])
            assert message and message.get("error"), (endpoint["api_name"], data, text)
            check_sentence(message["error"])
    print(dict(outcomes))


def test_20_an_error_that_nobody_foresaw(client: Client, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Steps[Any]:
        raise KeyError("/a/path/of/the/machine")
        yield

    monkeypatch.setattr("ezclip.studies.predict.Predict.run", fail)
    with pytest.raises(AppError, match=r"unexpected error occurred \(KeyError, id \w{6}\)") as caught:
        client.predict(handle_file(clip), "a, b", api_name="/predict")
    assert "machine" not in str(caught.value)


def test_20_every_endpoint_has_a_last_boundary(
    client: Client, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error message with an id and without a path; the log has the traceback under the id."""

    def fail(*_: object, **__: object) -> None:
        raise KeyError("/a/path/of/the/machine")

    monkeypatch.setattr(logging.getLogger("ezclip.errors"), "propagate", True)
    monkeypatch.setattr("app.endpoints._parse_value", fail)
    monkeypatch.setattr(Services, "card", fail)
    endpoints = [one for one in client.config["dependencies"] if one["api_visibility"] == "public"]
    assert len(endpoints) > 15
    for endpoint in endpoints:
        caplog.clear()
        address = f"{url}/gradio_api/call/{endpoint['api_name']}"
        status, answer = post(address, {"data": [None] * len(endpoint["inputs"])})
        assert status == 200, endpoint["api_name"]
        body = get(f"{address}/{answer['event_id']}", 60)[1].decode()
        match = re.search(r"unexpected error occurred \(KeyError, id (\w{6})\)", body)
        assert match and "machine" not in body and not TRACES.search(body), (endpoint["api_name"], body)
        (logged,) = {caplog.handler.format(record) for record in caplog.records if match[1] in record.getMessage()}
        assert "Traceback" in logged and "/a/path/of/the/machine" in logged


def test_20_every_event_of_the_page_has_a_last_boundary(demo: gr.Blocks) -> None:
    def fail() -> None:
        raise KeyError("/a/path")

    def fail_later() -> Iterator[int]:
        yield 1
        raise KeyError("/a/path")

    with gr.Blocks() as other:
        for action in (fail, fail_later):
            gr.Button().click(action)
    guard_all(other)
    plain, later = (event.fn for event in other.fns.values())
    assert plain is not None and later is not None
    for run in (plain, lambda: list(later())):
        with pytest.raises(gr.Error, match=r"unexpected error occurred \(KeyError, id \w{6}\)") as caught:
            run()
        assert "/a/path" not in str(caught.value)
    events = [event.fn for event in demo.fns.values() if event.fn is not None]
    assert len(events) > 60 and all(hasattr(action, "__wrapped__") for action in events)


def test_20_the_command_line_has_a_last_boundary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> Steps[Any]:
        raise KeyError("/a/path/of/the/machine")
        yield

    log = logging.getLogger("ezclip.errors")
    monkeypatch.setattr(log, "handlers", [])
    monkeypatch.setattr(log, "propagate", True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("ezclip.studies.predict.Predict.run", fail)
    assert main(["predict", str(write_video(tmp_path / "clip.mp4")), "--labels", "a, b"]) == 1
    stderr = capsys.readouterr().err
    match = re.search(r"unexpected error occurred \(KeyError, id (\w{6})\)", stderr)
    assert match and "machine" not in stderr and not TRACES.search(stderr), stderr
    traces = (tmp_path / "ezclip-errors.log").read_text()
    assert f"unexpected error {match[1]}" in traces and "Traceback" in traces and "/a/path/of/the/machine" in traces


def test_20_a_full_disk(client: Client, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Services, "scratch", full)
        with pytest.raises(AppError, match="disk is full"):
            client.predict(handle_file(clip), "a, b", api_name="/explain")
    assert client.predict(handle_file(clip), "a, b", api_name="/explain"), "it recovers"


@pytest.mark.slow
def test_21_no_network(tmp_path: Path, clip: Path) -> None:
    """In a process without connections, shipped models work and others give an error message."""
    script = tmp_path / "offline.py"
    script.write_text(
        "import socket, sys\n"
        "def refuse(*_, **__): raise OSError('no network')\n"
        "socket.socket.connect = refuse\n"
        "from ezclip.cli import main\n"
        f"assert main(['predict', {str(clip)!r}, '--labels', 'a, b', '--json']) == 0\n"
        f"sys.exit(main(['predict', {str(clip)!r}, '--labels', 'a', '--model', 'hf:someone/something']))\n"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert json.loads(done.stdout)["predictions"] and not TRACES.search(done.stderr)


@pytest.mark.slow
def test_21_the_app_without_a_network(tmp_path: Path, clip: Path) -> None:
    """It starts and answers in a process that can only reach this machine."""
    script = tmp_path / "offline.py"
    script.write_text(
        "import socket\n"
        "connect = socket.socket.connect\n"
        "def own(self, address):\n"
        "    if isinstance(address, tuple) and address[0] not in ('127.0.0.1', 'localhost'):\n"
        "        raise OSError('no network')\n"
        "    return connect(self, address)\n"
        "socket.socket.connect = own\n"
        "from gradio_client import Client, handle_file\n"
        "from app.main import build_app\nfrom app.gate.server import launch\n"
        "from app.services import Services\n"
        "services = Services(device='cpu')\n"
        "url = launch(build_app(services), quiet=True, server_name='127.0.0.1')\n"
        "client = Client(url, verbose=False)\n"
        f"print(client.predict(handle_file({str(clip)!r}), 'a, b', api_name='/predict'))\n"
        "services.close()\n"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and "predictions" in done.stdout, done.stderr


def test_cells_are_no_formulas(tmp_path: Path) -> None:
    """The values are read back unchanged."""
    from ezclip.files import spreadsheet_text

    names = ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "plain", "'quoted"]
    rows = [[name, -0.5] for name in names]
    Report("t", "l", {}, {}, [Table("t", "t", ["=name", "score"], rows)]).write(tmp_path)
    with (tmp_path / "t.csv").open(newline="") as file:
        header, *cells = csv.reader(file)
    assert header == ["'=name", "score"]
    assert [row[0] for row in cells] == ["'=HYPERLINK(1)", "'+1", "'-1", "'@SUM(1)", "plain", "'quoted"]
    assert [spreadsheet_text(row[0]) for row in cells] == names and cells[0][1] == "-0.5"
