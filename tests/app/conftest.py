"""The app, served once for the tests that talk to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.main import build_app
from app.services import Services
from app.theme import CSS, THEME
from tests.conftest import write_video


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    services = Services(device="cpu", typed=True)
    yield services
    services.close()


@pytest.fixture(scope="session")
def url(services: Services) -> Iterator[str]:
    demo = build_app(services)
    demo.queue(default_concurrency_limit=1, max_size=32)
    _, local, _ = demo.launch(
        prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", theme=THEME, css=CSS, run_history=False,
        max_file_size="3mb", allowed_paths=[str(Path(__file__).parents[2] / "assets")],
    )  # fmt: skip
    yield local.rstrip("/")
    demo.close(verbose=False)


@pytest.fixture(scope="session")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("app") / "grey.mp4", count=30)


@pytest.fixture(scope="session")
def avi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("app") / "grey.avi", count=30, codec="mpeg4")
