"""The page in a real browser: all kinds of clips, errors, keyboard, phone, dark mode; no external requests."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from app.texts import FIRST, TABS
from docs.make_screenshots import open_tab, walk
from tests.app.pages import FAINT, Opener, advanced, analyse, describe, fits, name_classes, unfold_names, upload
from tests.conftest import write_video

LONG = "Putting something that cannot actually stand upright upright on the table, so it falls on its side"
# Gradio's server runs in this process; its warnings are not ours.
pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.filterwarnings("ignore")]


def test_user_clip(open_page: Opener, movie: Path) -> None:
    page = open_page()
    expect(page.locator("#ranking")).to_contain_text("appear here")
    upload(page, movie)
    foreign = "![x](http://example.org/x.png)"  # rendered as an image it would be a request to another host
    name_classes(page, f"waving, <img src=x onerror=alert(1)>, {foreign}, " + "very " * 40 + "long")
    analyse(page)
    describe(page, foreign)
    expect(page.locator("#own-sentences")).to_contain_text("http://example.org")
    expect(page.locator("#ranking h2")).to_have_count(2)
    expect(page.locator("#ranking")).to_contain_text("<img src=x onerror=alert(1)>")
    assert fits(page)
    open_tab(page, "see")
    expect(page.locator("#strip tbody tr")).to_have_count(3)
    expect(page.locator("#strip img.ez-heat")).to_have_count(16)
    expect(page.locator("#faithfulness")).to_contain_text("no ground truth")
    for name, suffix in (("png", ".png"), ("npz", ".npz"), ("mp4", ".mp4")):
        with page.expect_download() as download:
            page.locator(f"#download-{name}").click()
        assert download.value.suggested_filename.endswith(suffix)
    open_tab(page, "across")
    expect(page.locator("#influence td.ez-own")).to_have_count(8)
    expect(page.locator("#spread")).to_contain_text("static copy")
    page.locator("#layer input").click()
    page.get_by_role("option", name="Layer 1", exact=True).click()
    expect(page.locator("#influence")).to_contain_text("goes to the prompts of other frames")
    page.locator("#tokens-run").click()
    expect(page.locator("#tokens")).to_contain_text("above 30 without prompts")
    assert "tab=across" in page.url and "waving" in page.url


def test_label_change_and_workbench(open_page: Opener, movie: Path) -> None:
    page = open_page()
    upload(page, movie)
    name_classes(page, "one, two")
    analyse(page)
    name_classes(page, "three, four")
    page.get_by_role("button", name="Analyse", exact=True).click()
    expect(page.locator("#ranking")).to_contain_text("three")
    describe(page, "something else entirely")
    expect(page.locator("#own-sentences")).to_contain_text("something else entirely")


def test_settings_of_the_maps(open_page: Opener, movie: Path) -> None:
    page = open_page()
    upload(page, movie)
    name_classes(page, "one, two")
    open_tab(page, "see")
    analyse(page)
    page.locator("#opacity input[type=number]").fill("0.2")
    page.locator("#opacity input[type=number]").press("Enter")
    page.wait_for_function("document.querySelector('.ez-strip').style.getPropertyValue('--heat') == '0.2'")
    page.locator("#strip tbody td[data-t='7']").first.click()
    expect(page.locator("#strip td.ez-on")).to_have_count(4)  # the time, the input and both maps
    expect(page.locator("#stage .ezs-thumbs .ezs-on")).to_have_attribute("data-slot", "7")
    advanced(page)
    discard = page.locator("#discard input[type=number]")
    assert discard.evaluate(
        "e => { e.value = '0.9'; const all = e.scrollWidth <= e.clientWidth; e.value = '0'; return all }"
    )
    page.locator("#all-variants input").check()
    expect(page.locator("#strip tbody tr")).to_have_count(5)
    page.locator("#difference input").check()
    expect(page.locator("#strip")).to_contain_text("the baseline has more")
    page.locator("#start-layer input").click()
    expect(page.get_by_role("option", name="layer")).to_have_count(4)  # the number of blocks of the shipped models
    page.get_by_role("option", name="from layer 3 of 4").click()
    expect(page.locator("#status")).to_contain_text("Done")
    expect(page.locator("#start-layer input")).to_have_value("from layer 3 of 4")
    page.get_by_text("Export", exact=True).first.click()
    expect(page.locator("#command")).to_contain_text("--start-layer 2")
    expect(page.locator("#command")).to_contain_text("--opacity 0.2")
    with page.expect_download() as download:  # it measures the faithfulness of four maps
        page.locator("#report").click()
    report = download.value.path().read_text("utf-8")
    assert "--opacity 0.2" in report and "not measured" not in report
    page.locator("#method input").click()
    page.get_by_role("option", name="Grad-CAM").click()
    for setting in ("#start-layer input", "#fusion input", "#discard input[type=number]"):
        expect(page.locator(setting)).to_be_disabled()
    page.locator("#method input").click()
    page.get_by_role("option", name="Gradient rollout").click()
    expect(page.locator("#start-layer input")).to_be_enabled()
    expect(page.locator("#fusion input")).to_be_disabled()


def test_names_from_sets_and_files(open_page: Opener, tmp_path: Path) -> None:
    page = open_page()
    unfold_names(page)
    page.locator("#set input").click()
    page.get_by_role("option", name="HMDB-51").click()
    page.wait_for_function("document.querySelector('#labels textarea').value.split('\\n').length == 51")
    (tmp_path / "names.csv").write_text("id,name\n0,one thing\n1,another\n2,One thing\n")
    advanced(page)
    page.locator("#names input[type=file]").set_input_files(tmp_path / "names.csv")
    expect(page.locator("#labels textarea")).to_have_value("one thing\nanother")
    expect(page.locator("[data-testid=toast-text]").first).to_contain_text("duplicate")


def test_a_model_is_typed(open_page: Opener, movie: Path) -> None:
    """On this machine any loadable model may be named; an unavailable one gives an error message."""
    page = open_page()
    upload(page, movie)
    advanced(page)
    page.locator("#model input").fill("clip:ViT-B-16-quickgelu/nowhere")
    page.locator("#model input").press("Enter")
    expect(page.locator("#banner")).to_contain_text("plain CLIP")
    page.get_by_role("button", name="Analyse", exact=True).click()
    expect(page.locator("#status")).to_contain_text("nowhere")
    page.locator("#model input").fill("/etc/passwd")
    page.locator("#model input").press("Enter")
    expect(page.locator("[data-testid=toast-text]").last).to_contain_text("This app offers")


def test_a_gif(open_page: Opener, tmp_path: Path) -> None:
    write_video(tmp_path / "grey.gif", codec="gif", pix_fmt="rgb8")
    page = open_page()
    dropped = page.evaluate_handle(
        """bytes => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], 'grey.gif', {type: 'image/gif'})); return data }""",
        list((tmp_path / "grey.gif").read_bytes()),
    )
    page.locator("#clip .upload-container, #clip").first.dispatch_event("drop", {"dataTransfer": dropped})
    page.locator("#clip video").first.wait_for()
    analyse(page)
    page.get_by_text("Export", exact=True).first.click()
    expect(page.locator("#command")).to_contain_text("grey.gif")
    for name, file in (("report", "ezclip-report.html"), ("archive", "ezclip-report.zip")):
        with page.expect_download() as download:
            page.locator(f"#{name}").click()
        assert download.value.suggested_filename == file


def test_cancel_stops_a_redraw(open_page: Opener, movie: Path) -> None:
    page = open_page()
    upload(page, movie)
    name_classes(page, "a, b")
    analyse(page)
    open_tab(page, "see")
    advanced(page)
    page.locator("#method input").click()
    page.get_by_role("option", name="Occlusion").click()
    expect(page.locator("#status")).to_contain_text("occlusion")
    expect(page.locator("#strip")).to_have_css("opacity", "0.4")  # the maps are still those of the previous method
    page.locator("#cancel").click()
    expect(page.locator("#status")).to_contain_text("Cancelled")
    expect(page.locator("#strip")).to_have_css("opacity", "1")
    expect(page.get_by_role("button", name="Analyse", exact=True)).to_be_enabled()


def test_cancel_leaves_the_page_usable(open_page: Opener, movie: Path) -> None:
    page = open_page()
    name_classes(page, "one, two")
    advanced(page)
    page.locator("#method input").click()
    page.get_by_role("option", name="Occlusion").click()
    page.locator("#clip input[type=file]").set_input_files(movie)
    expect(page.locator("#status")).to_contain_text("occlusion")
    expect(page).to_have_url(re.compile("labels=one"))  # a reload during an analysis keeps the names
    page.locator("#cancel").click()
    expect(page.locator("#status")).to_contain_text("Cancelled")
    expect(page.get_by_role("button", name="Analyse", exact=True)).to_be_enabled()


def test_address_brings_settings_back(open_page: Opener) -> None:
    page = open_page("?labels=one%0Atwo&model=tabletop/prompts&tab=evidence")
    unfold_names(page)
    advanced(page)
    expect(page.locator("#labels textarea")).to_have_value("one\ntwo")
    expect(page.locator("#motion-run")).to_be_visible()
    expect(page.locator("#model input")).to_have_value("tabletop/prompts")
    open_tab(page, "about")
    page.wait_for_url("**tab=about**")
    for _ in range(2):  # "More" opened its first tab
        page.go_back()
    expect(page.locator("#motion-run")).to_be_visible()
    page.go_forward()
    expect(page.locator("#frames-run")).to_be_visible()
    again = open_page("?labels=set:HMDB-51")
    unfold_names(again)
    again.wait_for_function("document.querySelector('#labels textarea').value.split('\\n').length == 51")
    again.get_by_text("pushing left to right").first.click()
    again.wait_for_url("**labels=set%3AHMDB-51**model=tabletop%2Fezclip**")


def test_what_is_known_of_the_models(open_page: Opener) -> None:
    page = open_page()
    advanced(page)
    expect(page.locator("#banner")).to_contain_text("trained only on drawn scenes")
    page.get_by_text("About these models").click()
    for fact in ("tabletop-clip", "T = 8", "top-1", "trained on"):
        expect(page.locator("#cards")).to_contain_text(fact)


NAMELESS = """() => [...document.querySelectorAll('input, textarea, button, select')].filter(e => e.checkVisibility()
    && !(e.getAttribute('aria-label') || e.title || e.labels?.length || e.textContent.trim() || e.placeholder
        || e.closest('label')?.textContent.trim() || e.getAttribute('aria-labelledby')))
    .map(e => e.outerHTML.slice(0, 200))"""


def test_every_control_has_a_name(open_page: Opener) -> None:
    page = open_page()
    for tab in TABS:
        open_tab(page, tab)
        assert page.evaluate(NAMELESS) == [], tab


def test_texts_are_chosen(open_page: Opener, movie: Path) -> None:
    page = open_page()
    upload(page, movie)
    name_classes(page, "one, two, " + "very " * 90 + "long")
    advanced(page)
    page.locator("#texts input").click()
    page.get_by_role("option", name="16 templates").click()
    analyse(page)
    expect(page.locator("#ranking")).to_contain_text("longer than 77 tokens")
    page.get_by_text("Export", exact=True).first.click()
    expect(page.locator("#command")).to_contain_text("--texts templates")
    open_tab(page, "see")
    page.locator("#method input").click()
    page.get_by_role("option", name="Integrated gradients").click()
    expect(page.locator("#strip")).to_contain_text("onvergence delta")


def test_keyboard_changes_tabs(open_page: Opener) -> None:
    page = open_page()
    page.locator("#choose-tab input").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#motion-run")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#ranking")).to_be_visible()


def test_keyboard_reaches_the_analysis(open_page: Opener, movie: Path) -> None:
    page = open_page()
    upload(page, movie)
    page.locator("#clip").locator("button").last.focus()
    reached = []
    for _ in range(24):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.innerText"))
        if "analyse" in reached[-1].lower():
            break
    assert "analyse" in reached[-1].lower(), reached
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text("Done")


def test_an_mkv_of_few_frames_and_names_with_commas(open_page: Opener, tmp_path: Path) -> None:
    page = open_page()
    upload(page, write_video(tmp_path / "a.mkv", count=3))
    name_classes(page, "waving,,,\n,,,\nclapping")
    analyse(page)
    expect(page.locator("#status")).to_contain_text("8 frames of 3")
    expect(page.locator("#ranking")).to_contain_text("The clip has 3 frames, fewer than the 8 of the model: some are")
    expect(page.locator("#ranking .ez-row")).to_have_count(2 * 2)


def test_a_clip_that_browsers_cannot_play_is_shown_and_analysed(open_page: Opener, avi: Path) -> None:
    page = open_page()
    upload(page, avi)
    page.wait_for_function("document.querySelector('#clip video')?.readyState >= 2")
    expect(page.get_by_text("Video not playable")).to_have_count(0, timeout=3_000)  # default: ten seconds
    analyse(page)
    expect(page.locator("#status")).to_contain_text("8 frames of 30")


def test_sample_on_a_phone(open_page: Opener) -> None:
    page = open_page(viewport={"width": 393, "height": 851}, is_mobile=True, has_touch=True, device_scale_factor=2)
    assert fits(page)
    page.get_by_text("pushing left to right").first.click()
    page.locator("#clip video").first.wait_for()
    expect(page.locator("#status")).to_contain_text("Done")
    expect(page.locator("#choose-tab")).to_be_in_viewport()
    assert fits(page)
    expect(page.locator("#strip tbody tr")).to_have_count(3)
    page.locator("#strip tbody td[data-t='4']").first.click()
    hidden = """() => { const row = document.querySelector('#strip tbody tr'), name = row.querySelector('th');
        document.querySelector('.ez-strip').scrollLeft = 0;
        return row.querySelector('td').getBoundingClientRect().left < name.getBoundingClientRect().right - 1 }"""
    assert not page.evaluate(hidden), "the names of rows cover the first frame"


def severe(page: Page) -> list[tuple[str, str]]:
    """Serious findings of axe, once results have faded in."""
    findings: list[tuple[str, str]] = []
    for _ in range(6):
        violations = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
        findings = [(v["id"], v["nodes"][0]["html"]) for v in violations if v["impact"] in ("serious", "critical")]
        if not findings:
            break
        page.wait_for_timeout(500)
    return findings


def test_a_wide_page_has_no_serious_finding(open_page: Opener) -> None:
    page = open_page(viewport={"width": 1366, "height": 768})
    page.get_by_text("pushing left to right").first.click()
    expect(page.locator("#status")).to_contain_text("Done")
    for tab in ("see", "across"):
        open_tab(page, tab)
        assert not (findings := severe(page)), (tab, findings[:5])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_tab_fits_a_phone_and_can_be_read(open_page: Opener, theme: str) -> None:
    page = open_page(f"?__theme={theme}", viewport={"width": 393, "height": 851}, is_mobile=True, has_touch=True)
    tabs = []

    def look(tab: str) -> None:
        tabs.append(tab)
        assert fits(page), tab
        faint = page.evaluate(FAINT)
        assert not faint, (tab, faint[:5])
        if tab in FIRST:
            assert not (findings := severe(page)), (tab, findings[:5])

    walk(page, look, LONG)
    assert tabs == list(TABS)


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
