"""Screenshots of the page for the README: python docs/make_screenshots.py (needs Chromium, requirements-dev.txt)."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
DESKTOP = {"viewport": {"width": 1400, "height": 1000}}
STEPS = 14  # screenshots per direction in the animation of the first screen
PHONE = {"viewport": {"width": 393, "height": 851}, "device_scale_factor": 2, "has_touch": True}


def main() -> None:
    """Serve the app, walk through it, and write docs/*.png and docs/first_screen.webp."""
    from app.gate.server import launch
    from app.main import build_app
    from app.services import Services

    services = Services(device="cpu", local=True)
    demo = build_app(services)
    url = launch(demo, quiet=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, options, query in (
            ("desktop", DESKTOP, "?__theme=light"),
            ("dark", DESKTOP, "?__theme=dark"),
            ("phone", PHONE, "?__theme=light"),
        ):
            page = browser.new_context(**options).new_page()  # type: ignore[arg-type]
            page.set_default_timeout(120_000)
            page.goto(url + query)
            walk(page, partial(take, page, name))
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.goto(url + "?__theme=light")
        ready(page)
        play(page)
        browser.close()
    demo.close(verbose=False)
    services.close()


def play(page: Page) -> None:
    """Save the first screen, playing forward and then reversed, as a looping WebP."""
    page.get_by_role("button", name="Pause").click()
    shots = []
    for direction in ("forward", "reversed"):
        page.locator(f"#stage [data-direction={direction}]").click()
        for i in range(STEPS):
            page.locator("#stage .ezs-track input").fill(f"{i / (STEPS - 1):.3f}")
            shots.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB").resize((1024, 576)))
    durations = [160] * (STEPS - 1) + [1500]
    options = {"save_all": True, "append_images": shots[1:], "duration": 2 * durations, "loop": 0, "quality": 60}
    shots[0].save(ROOT / "docs" / "first_screen.webp", **options)


def walk(page: Page, visit: Callable[[str], None], further_name: str = "") -> None:
    """Analyse a sample, with a further class name if given, fill every tab, and call ``visit`` on each."""
    ready(page)
    page.get_by_text("uncovering").first.click()
    page.wait_for_function("document.querySelector('#status').innerText.includes('Done')")
    if further_name:
        page.locator("#names-box button").first.click()
        box = page.locator("#labels textarea")
        box.fill(box.input_value() + "\n" + further_name)
        page.get_by_role("button", name="Analyse", exact=True).click()
        page.wait_for_function(
            "name => document.querySelector('#ranking').innerText.includes(name)"
            " || document.querySelector('#ranking').innerText.includes('22 more')",
            arg=further_name,
        )
    page.wait_for_function("/[+-]\\d/.test(document.querySelector('#faithfulness')?.innerText ?? '')")
    visit("see")
    open_tab(page, "motion")
    page.locator("#motion-run").click()
    page.locator("#motion-result svg.ez-slope").first.wait_for()
    visit("motion")
    open_tab(page, "classes")
    page.locator("#shipped-show").click()
    page.locator("#class-chart svg").first.wait_for()
    visit("classes")
    open_tab(page, "embeddings")
    page.locator("#frames-run").click()
    page.locator("#plane svg.ez-plane").first.wait_for()
    visit("embeddings")
    open_tab(page, "across")
    visit("across")
    open_tab(page, "ood")
    page.locator("#gallery button").first.click()
    page.wait_for_function("/[+-]\\d/.test(document.querySelector('#ood-faithfulness')?.innerText ?? '')")
    visit("ood")
    open_tab(page, "long")
    page.locator("#window input").fill("0.8")
    page.locator("#window-step input").fill("0.3")
    page.locator("#timeline-run").click()
    page.wait_for_function("document.querySelector('#timeline-status')?.innerText.includes('Done')")
    visit("long")
    open_tab(page, "workbench")
    visit("workbench")
    open_tab(page, "collection")
    visit("collection")
    open_tab(page, "models")
    visit("models")
    open_tab(page, "about")
    visit("about")


def ready(page: Page) -> None:
    """Wait for the elements of the page, which load one by one."""
    page.get_by_role("button", name="Analyse", exact=True).wait_for()
    page.locator("#stage canvas").first.wait_for(state="attached")
    page.locator("#status").wait_for(state="attached")


def open_tab(page: Page, tab: str) -> None:
    """Open a tab."""
    from app.texts import FIRST, TABS

    first = tab in FIRST
    page.locator("#choose-tab label", has_text=TABS[tab] if first else "More").click()
    if not first:
        page.locator("#choose-more label", has_text=TABS[tab]).click()
    page.wait_for_timeout(700)


def take(page: Page, name: str, tab: str) -> None:
    """Save a full-page screenshot as a small PNG."""
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    palette = shot.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3)  # rare colours keep their hue
    palette.save(ROOT / "docs" / f"{name}_{tab}.png", optimize=True)


if __name__ == "__main__":
    main()
