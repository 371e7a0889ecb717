"""The app, served once for the tests that access it as untrusted clients."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from gradio_client import Client

from app.gate.server import launch
from app.main import build_app
from app.services import Services
from tests.conftest import write_video

ROOT = Path(__file__).parents[2]
TRACES = re.compile(r"Traceback|File \"/|site-packages")


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    services = Services(device="cpu")
    yield services
    services.close()


@pytest.fixture(scope="module")
def demo(services: Services) -> Iterator[gr.Blocks]:
    """The app as a public server, but with smaller upload limits."""
    demo = build_app(services)
    launch(demo, quiet=True, server_name="127.0.0.1", max_file_size="3mb")
    yield demo
    demo.close(verbose=False)


@pytest.fixture(scope="module")
def url(demo: gr.Blocks) -> str:
    assert demo.local_url
    return demo.local_url.rstrip("/")


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return Client(url, verbose=False)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("reliability") / "clip.mp4", count=30)
