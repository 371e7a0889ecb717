"""The words of a class's text with their relevance, in a browser."""

from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.app.pages import FAINT, Opener, analyse, describe, fits, name_classes, upload

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.filterwarnings("ignore")]

SAMPLE = next(Path(__file__).parents[2].glob("assets/samples/01_*.mp4"))


def drawn(row: Locator) -> dict[str, tuple[int, float]]:
    """Each word of a model's row with its percent and the height of its bar in pixels."""
    words = row.locator("span:has(i)")
    expect(words.first).to_be_visible()
    measured = words.evaluate_all(
        "all => all.map(one => [one.childNodes[1].data, parseInt(one.querySelector('small').innerText),"
        " one.querySelector('i').getBoundingClientRect().height])"
    )
    return {word: (percent, height) for word, percent, height in measured}


def test_words_stand_in_the_ranking_and_in_the_workbench(open_page: Opener) -> None:
    page = open_page(viewport={"width": 393, "height": 851})
    upload(page, SAMPLE)
    name_classes(page, "pushing something slowly, lifting something quickly")
    analyse(page)
    for place in ("#ranking", "#workbench-words"):
        if place == "#workbench-words":
            describe(page, "sliding a box quickly")
            expect(page.locator(f"{place} .ez-words p")).to_contain_text("Grad-ECLIP")
            expect(page.locator(place)).to_contain_text("sliding")
        rows = page.locator(f"{place} .ez-words > div")
        expect(rows).to_have_count(2)
        for row in rows.all():
            words = drawn(row)
            assert " ".join(words) in ("pushing something slowly", "lifting something quickly", "sliding a box quickly")
            assert abs(sum(percent for percent, _ in words.values()) - 100) <= 2
            highest = max(words.values())
            for percent, height in words.values():
                assert abs(height - 26 * percent / highest[0]) <= 1.5
    expect(page.locator("#ranking")).to_contain_text("sliding a box quickly".split()[0])
    other = (
        "lifting something quickly"
        if "pushing" in page.locator("#edited input").input_value()
        else "pushing something slowly"
    )
    page.locator("#edited input").click()
    page.get_by_role("option", name=other).click()
    expect(page.locator("#workbench-words")).to_contain_text(other.split()[0])
    assert " ".join(drawn(page.locator("#workbench-words .ez-words > div").first)) == other
    assert fits(page) and not page.evaluate(FAINT)
