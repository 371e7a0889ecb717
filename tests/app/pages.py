"""Actions of the browser tests on a page."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from docs.make_screenshots import open_tab

Opener = Callable[..., Page]

# Texts of our widgets whose contrast with the background is below 4.5 (WCAG AA).
FAINT = """() => {
    const parse = c => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .04045 ? v / 12.92
        : ((v + .055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
    const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
        if (c.length < 4 || c[3] > .9) return c } return [255, 255, 255] };
    const own = document.querySelectorAll('[class^=ez-], [class^=ez-] *, #banner, #status');
    return [...own].filter(e => e.checkVisibility() && !e.closest('svg')
        && [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())).map(e => {
        const a = light(parse(getComputedStyle(e).color)), b = light(behind(e));
        return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), e.textContent.trim().slice(0, 40)] })
        .filter(([ratio]) => ratio < 4.5) }"""


def upload(page: Page, clip: Path) -> None:
    """Upload a clip, which starts its analysis."""
    page.locator("#clip input[type=file]").set_input_files(clip)
    page.locator("#clip video").first.wait_for()
    expect(page.locator("#status")).to_contain_text("Done")


def unfold_names(page: Page) -> None:
    """Unfold the box of class names."""
    if not page.locator("#labels textarea").is_visible():
        page.locator("#names-box button").first.click()


def name_classes(page: Page, names: str) -> None:
    unfold_names(page)
    page.locator("#labels textarea").fill(names)


def advanced(page: Page) -> None:
    """Unfold the models, prompt texts, model cards and settings of the maps."""
    page.get_by_text("Advanced", exact=True).click()


# Sets window.analysing as soon as the button is disabled, however briefly.
WATCH_BUTTON = """() => { window.analysing = false;
    new MutationObserver((changes, observer) => { if (document.querySelector("#analyse").disabled) {
        window.analysing = true; observer.disconnect() } })
    .observe(document.body, {subtree: true, attributeFilter: ["disabled"]}) }"""


def analyse(page: Page) -> None:
    button = page.get_by_role("button", name="Analyse", exact=True)
    page.evaluate(WATCH_BUTTON)
    button.click()
    page.wait_for_function("window.analysing")  # until then the status is that of the previous analysis
    expect(button).to_be_enabled()
    expect(page.locator("#status")).to_contain_text("Done")


def describe(page: Page, sentence: str) -> None:
    """Replace the sentence of the explained class, once the box shows it."""
    open_tab(page, "workbench")
    box = page.locator("#sentence textarea, #sentence input").first
    expect(box).to_have_value(re.compile(".+"))
    box.fill(sentence)
    box.press("Enter")


def stage(page: Page, expression: str) -> Any:
    """Evaluate a JavaScript expression on the page's ``stage``."""
    return page.evaluate(
        f"(() => {{ const stage = document.querySelector('#stage .ezs-root').stage; return {expression} }})()"
    )


def pause(page: Page) -> None:
    """Stop the stage at its first frame, forward."""
    page.get_by_role("button", name="Pause").click()
    page.locator("#stage [data-direction=forward]").click()  # meanwhile it may play in the other direction


def fits(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
