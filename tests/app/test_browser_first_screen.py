"""The first screen in a real browser: gallery, enabled controls, phone, report; regressions."""

import threading
import time
from pathlib import Path

import gradio as gr
import gradio.routes
import pytest
from playwright.sync_api import Browser, Page, expect

from app.services import Services
from app.stage import SAMPLES, samples
from app.stale import changed
from docs.make_screenshots import open_tab
from ezclip.progress import finish
from ezclip.studies.analysis import Analyse
from tests.app.pages import Opener, advanced, analyse, name_classes, unfold_names, upload
from tests.conftest import write_video

# Gradio's server runs in this process; its warnings are not ours.
pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.filterwarnings("ignore")]

DOWNLOADS = ("png", "npz", "mp4")
LATER = ["frames-readout", "frames-removal", "target", "opacity", *(f"download-{kind}" for kind in DOWNLOADS), "export"]


def test_what_works_on_a_result_is_there_once_there_is_one(open_page: Opener) -> None:
    page = open_page()
    expect(page.locator("#ranking")).to_contain_text("appear here")
    for one in LATER:
        expect(page.locator(f"#{one}")).to_be_hidden()
    expect(page.locator("#method")).to_be_hidden()
    advanced(page)
    expect(page.locator("#method")).to_be_visible()
    open_tab(page, "workbench")
    expect(page.locator("#workbench-ranking")).to_contain_text("Analyse a clip first")
    expect(page.locator("#sentence")).to_be_hidden()
    open_tab(page, "motion")
    expect(page.locator("#motion-archive")).to_be_hidden()
    page.locator("#samples button").first.click()
    expect(page.locator("#status")).to_contain_text("Done")
    page.locator("#motion-run").click()
    expect(page.locator("#motion-archive")).to_be_visible()
    open_tab(page, "workbench")
    expect(page.locator("#sentence")).to_be_visible()
    expect(page.locator("#workbench-ranking .ez-pair h2")).to_have_count(2)
    open_tab(page, "see")
    for one in LATER:
        expect(page.locator(f"#{one}")).to_be_visible()


def test_the_stored_result_has_its_faithfulness(open_page: Opener) -> None:
    page = open_page(viewport={"width": 1366, "height": 768})
    trust = page.locator("#stage .ezs-trust")
    expect(trust).to_have_count(2)
    stored = samples()[0].stage["faithfulness"]
    page.get_by_role("button", name="Pause").click()
    page.locator("#stage [data-direction=forward]").click()
    assert trust.all_inner_texts() == [f"Faithfulness: {gain}" for gain in stored]
    page.locator("#stage [data-direction=reversed]").click()
    assert trust.all_inner_texts() == [f"Faithfulness forward {gain.removeprefix('gain ')}" for gain in stored]
    player = page.locator("#stage .ezs-play").bounding_box()
    assert player and player["y"] + player["height"] <= 768, "the time bar is on the first screen"


def test_progress_of_the_faithfulness_stands_above_its_table(open_page: Opener, movie: Path) -> None:
    page = open_page()
    upload(page, movie)
    expect(page.locator("#faithfulness [role=status]")).to_contain_text("measuring faithfulness")
    assert page.locator("#faithfulness td", has_text="measuring").count() == 0
    assert page.locator("#faithfulness td", has_text="%").count() == 0
    cancel = page.locator("#frame-values-cancel")
    assert not cancel.is_visible(), "it does not stop this measurement"
    expect(page.locator("#faithfulness [role=status]")).to_have_count(0)
    expect(page.locator("#faithfulness td.ez-n").first).to_contain_text("to")
    page.locator("#frames-removal").click()
    expect(cancel).to_be_visible()
    expect(page.locator("#frames-told")).to_contain_text("any-frame bound")
    expect(cancel).not_to_be_visible()


def test_the_gallery_plays_on_hover_and_says_where_it_fails(open_page: Opener) -> None:
    page = open_page()
    gallery = samples()
    one = page.locator("#samples button").nth(2)
    playing = "e => e.querySelector('span').getAnimations().filter(a => a.playState === 'running').length"
    assert one.evaluate(playing) == 0
    one.hover()
    assert one.evaluate(playing) == 1
    page.mouse.move(0, 0)
    assert one.evaluate(playing) == 0
    failing = page.locator("#samples .ez-samples-wrong")
    expect(failing).to_have_text("Where it fails")
    after = failing.evaluate("e => { const all = []; while (e = e.nextElementSibling) all.push(e.title); return all }")
    assert after == [sample.title for sample in gallery if not sample.correct[1]] and after
    assert page.locator("#samples button").count() == len(gallery)


def test_the_time_bar_stays_on_a_phone(open_page: Opener) -> None:
    page = open_page(viewport={"width": 393, "height": 851}, is_mobile=True, has_touch=True)
    panels = page.locator("#stage figure canvas")
    for i in range(3):
        panels.nth(i).evaluate("e => e.scrollIntoView({block: 'center'})")
        bar = page.locator("#stage .ezs-player").bounding_box()
        assert bar and bar["y"] >= 0 and bar["y"] + bar["height"] <= 851, i
    boxes = [panels.nth(i).bounding_box() for i in range(3)]
    assert all(a and b and b["y"] >= a["y"] + a["height"] for a, b in zip(boxes, boxes[1:], strict=False)), "stacked"


def test_the_report_is_small_and_plays_offline(browser: Browser, services: Services, tmp_path: Path) -> None:
    clip = max(SAMPLES.glob("*.mp4"), key=lambda path: path.stat().st_size)
    analysis = finish(Analyse(str(clip), orders=True, faithfulness=True).run(services))
    report = analysis.write(tmp_path)["page"]
    assert report.stat().st_size <= 15e6
    context = browser.new_context(offline=True, viewport={"width": 1366, "height": 900})
    page, requests = context.new_page(), []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: requests.append(str(error)))
    page.goto(report.as_uri())
    expect(page.locator(".ezs figure canvas")).to_have_count(4)
    expect(page.locator(".ezs-trust")).to_have_count(2)
    frame = page.locator(".ezs").get_attribute("data-frame")
    page.wait_for_function(f"document.querySelector('.ezs').dataset.frame !== '{frame}'")
    for direction in ("shuffled", "reversed"):
        page.locator(f"[data-direction={direction}]").click()
        expect(page.locator(".ezs")).to_have_attribute("data-shown", direction)
        expect(page.locator(".ezs-answer .ezs-first")).to_have_count(2)
    assert [url[:60] for url in requests if not url.startswith("data:")] == [report.as_uri()[:60]]
    context.close()


def test_names_stay_out_of_the_address_until_they_are_used(open_page: Opener, movie: Path) -> None:
    """The address has the names of the current result; a reload soon after Analyse keeps them."""
    page = open_page()
    upload(page, movie)
    unfold_names(page)
    before = page.locator("#labels textarea").input_value()
    name_classes(page, "waving, clapping")
    expect(page.locator("#status")).to_contain_text("Out of date: class names changed")
    assert "waving" not in page.url
    name_classes(page, before)
    expect(page.locator("#status")).to_contain_text("Done")
    name_classes(page, "waving, clapping")
    page.get_by_role("button", name="Analyse", exact=True).click()
    page.wait_for_url("**waving**")
    again = open_page("?" + page.url.partition("?")[2])
    unfold_names(again)
    expect(again.locator("#labels textarea")).to_have_value("waving, clapping")


def test_a_check_that_ends_after_the_analysis_does_not_call_it_out_of_date(
    open_page: Opener, movie: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks, answer = list[str](), threading.Event()

    def slow(*arguments: object) -> str:
        checks.append(changed(*arguments))  # type: ignore[arg-type]
        if len(checks) == 1:
            answer.wait(60)
        return checks[-1]

    page = open_page()
    upload(page, movie)
    name_classes(page, "one, two")
    expect(page.locator("#status")).to_contain_text("Out of date: class names changed")
    monkeypatch.setattr("app.main.changed", slow)
    name_classes(page, "three, four")
    page.locator("#labels textarea").blur()
    while not checks:
        page.wait_for_timeout(50)
    analyse(page)
    answer.set()
    deadline = time.monotonic() + 60
    while len(checks) < 2 and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    page.wait_for_timeout(1_000)
    expect(page.locator("#status")).to_contain_text("Done")
    assert checks == ["class names", ""]


def test_windows_of_a_wide_clip_are_not_squeezed(open_page: Opener, tmp_path: Path) -> None:
    page = open_page()
    upload(page, write_video(tmp_path / "wide.mp4", count=60, size=(340, 256)))
    name_classes(page, "arm wrestling, cooking")
    open_tab(page, "long")
    page.locator("#window input").fill("0.8")
    page.locator("#window-step input").fill("0.2")
    page.locator("#timeline-run").click()
    expect(page.locator("#timeline-status")).to_contain_text("Done")
    times = page.locator("#timeline tr").first.locator("td")
    assert times.count() > 8
    for one in page.locator("#timeline td img").all():
        box = one.bounding_box()
        assert box and box["width"] >= 70 and box["height"] >= 70
    lines = (
        "e => { const r = document.createRange(); r.selectNodeContents(e.lastChild); return r.getClientRects().length }"
    )
    for seconds in page.locator("#timeline td button").all():
        assert seconds.evaluate(lines) == 1, seconds.inner_text()
    last = times.last
    last.scroll_into_view_if_needed()
    box = last.bounding_box()
    assert box and box["x"] + box["width"] <= 1280, "the last column can be seen whole"


def test_a_cancel_of_an_event_that_ends_meanwhile_succeeds(
    open_page: Opener, demo: gr.Blocks, movie: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a page is reloaded while maps are switched on: Gradio itself answers 500."""
    page = open_page()
    analyse_with_occlusion(page, movie)
    aclose, closed, answers = gradio.routes.safe_aclose_iterator, [], []
    page.on("response", lambda r: answers.append(r.status) if r.url.endswith("/gradio_api/cancel") else None)

    async def ended(iterator: object, *options: object) -> None:
        await aclose(iterator, *options)  # type: ignore[arg-type]
        for event in [name for name, one in demo.app.iterators.items() if one is iterator]:
            closed.append(demo.app.iterators.pop(event))

    async def not_awaited(events: object) -> None:
        """Gradio finds the event still running."""

    monkeypatch.setattr(gradio.routes, "safe_aclose_iterator", ended)
    monkeypatch.setattr(gradio.routes, "cancel_tasks", not_awaited)
    page.locator("#cancel").click()
    expect(page.locator("#status")).to_contain_text("Cancelled")
    page.wait_for_function("!document.querySelector('#analyse').disabled")
    assert closed and set(answers) == {200}
    monkeypatch.undo()
    page.reload()
    analyse_with_occlusion(page, movie)


def analyse_with_occlusion(page: Page, movie: Path) -> None:
    advanced(page)
    page.locator("#method input").click()
    page.get_by_role("option", name="Occlusion").click()
    page.locator("#clip input[type=file]").set_input_files(movie)
    expect(page.locator("#status")).to_contain_text("occlusion")
