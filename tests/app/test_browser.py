"""The page in a real browser: upload, sample, error, phone, dark; nothing foreign, no script error."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

# Gradio's own server runs in this process; its warnings are not ours to mend.
pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.filterwarnings("ignore")]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HARMLESS = ("Method not implemented.", "Failed to load resource", "[Violation]")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs an installed Chromium")
        pytest.skip("no installed Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        browser.close()


Opener = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, url: str) -> Iterator[Opener]:
    problems: list[str] = []
    contexts = []

    def open_(query: str = "", **options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: problems.append(str(e)))
        page.on(
            "request",
            lambda r: (
                problems.append(f"foreign {r.url[:80]}") if not r.url.startswith((url, "data:", "blob:")) else None
            ),
        )
        page.goto(url + query)
        page.get_by_role("button", name="Analyse", exact=True).wait_for()
        return page

    yield open_
    for context in contexts:
        context.close()
    assert [p for p in problems if not p.startswith(HARMLESS)] == []


def upload(page: Page, clip: Path) -> None:
    page.locator("#clip input[type=file]").set_input_files(clip)
    page.locator("#clip video").first.wait_for()


def analyse(page: Page) -> None:
    page.get_by_role("button", name="Analyse", exact=True).click()
    expect(page.locator("#status")).to_contain_text("Done", timeout=60_000)


def fits(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_own_clip(open_page: Opener, movie: Path) -> None:
    page = open_page()
    expect(page.locator("#ranking")).to_contain_text("appear here")
    upload(page, movie)
    page.locator("#labels textarea").fill("waving, <img src=x onerror=alert(1)>, " + "very " * 40 + "long")
    analyse(page)
    expect(page.locator("#ranking h3")).to_have_count(2)
    expect(page.locator("#ranking")).to_contain_text("<img src=x onerror=alert(1)>")
    assert fits(page)
    page.get_by_role("tab", name="Attention").click()
    expect(page.locator("#strip tbody tr")).to_have_count(3)
    expect(page.locator("#strip img.ez-heat")).to_have_count(16)
    page.get_by_role("tab", name="Across frames").click()
    expect(page.locator("#influence img")).to_be_visible()
    expect(page.locator("#spread")).to_contain_text("frozen copy")


def test_a_clip_that_browsers_cannot_play_is_shown_and_analysed(open_page: Opener, avi: Path) -> None:
    page = open_page()
    upload(page, avi)
    page.wait_for_function("document.querySelector('#clip video')?.readyState >= 2", timeout=20_000)
    analyse(page)
    expect(page.locator("#status")).to_contain_text("8 frames of 30")


def test_sample_on_a_phone(open_page: Opener) -> None:
    page = open_page(viewport={"width": 393, "height": 851}, is_mobile=True, has_touch=True, device_scale_factor=2)
    assert fits(page)
    page.get_by_text("pushing left to right").first.click()
    page.locator("#clip video").first.wait_for()
    analyse(page)
    assert fits(page)
    page.get_by_role("tab", name="Attention").click()
    expect(page.locator("#strip tbody tr")).to_have_count(3)
    assert fits(page)


def test_errors_are_toasts_with_a_sentence(open_page: Opener, tmp_path: Path) -> None:
    page = open_page("?__theme=dark")
    page.get_by_role("button", name="Analyse", exact=True).click()
    expect(page.locator("#status")).to_contain_text("drop a video")
    expect(page.locator("[data-testid=toast-text]").first).to_contain_text("drop a video")
    expect(page.get_by_role("button", name="Analyse", exact=True)).to_be_enabled()
    bad = tmp_path / "text.mp4"
    bad.write_text("no video")
    page.locator("#clip input[type=file]").set_input_files(bad)
    expect(page.get_by_text("text.mp4 cannot be read as a video").first).to_be_visible()
