"""The app, served once for the tests that talk to it."""

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from app.gate.server import launch
from app.main import build_app
from app.services import Services
from docs.make_screenshots import ready
from ezclip.explanation.faithfulness import measure_maps
from tests.app.pages import Opener
from tests.conftest import write_video

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 120_000  # milliseconds; benchmarks/app.py measures the speed of the page
expect.set_options(timeout=PATIENCE)
HARMLESS = ("Method not implemented.", "[Violation]")
# Gradio answers 500 or 422 to these where the event has just ended or not yet begun.
CANCEL = ("/gradio_api/cancel", "/gradio_api/reset")


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    services = Services(device="cpu", local=True)
    yield services
    services.close()


@pytest.fixture(scope="session")
def demo(services: Services) -> gr.Blocks:
    return build_app(services)


@pytest.fixture(scope="session")
def url(demo: gr.Blocks) -> Iterator[str]:
    local = launch(demo, quiet=True, server_name="127.0.0.1", max_file_size="3mb")
    yield local.rstrip("/")
    demo.close(verbose=False)


@pytest.fixture(scope="session")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("app") / "grey.mp4", count=30)


@pytest.fixture(scope="session")
def avi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("app") / "grey.avi", count=30, codec="mpeg4")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs an installed Chromium")
        pytest.skip("no installed Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                *("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"),
                *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
            ],
        )
        yield browser
        browser.close()
    gc.collect()  # Playwright's suspended greenlets crash Python 3.11 when collected in the middle of a parse


@pytest.fixture
def open_page(browser: Browser, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opener]:
    # The page measures faithfulness after every analysis, which most tests ignore: 16 orders would take minutes in all.
    monkeypatch.setitem(measure_maps.__kwdefaults__, "orders", 2)
    problems: list[str] = []
    contexts = []

    def open_(query: str = "", **options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on(
            "console",
            lambda m: (
                problems.append(f"{m.text} {m.location['url']}")
                if m.type == "error" and not m.location["url"].endswith(CANCEL)
                else None
            ),
        )
        page.on("pageerror", lambda e: problems.append(str(e)))
        page.on(
            "request",
            lambda r: (
                problems.append(f"foreign {r.url[:80]}") if not r.url.startswith((url, "data:", "blob:")) else None
            ),
        )
        page.goto(url + query)
        ready(page)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert [p for p in problems if not p.startswith(HARMLESS)] == []
