"""The other tabs in a real browser: studies of many clips, long videos, the camera, and Cancel."""

import zipfile
from contextlib import nullcontext
from pathlib import Path
from zipfile import ZipFile

import pytest
from gradio_client import Client, handle_file
from gradio_client.utils import Status
from playwright.sync_api import expect

from app.events import JOBS
from app.services import Services
from docs.make_screenshots import open_tab
from tests.app.pages import Opener, analyse, fits, name_classes, upload
from tests.conftest import write_video

# Gradio's server runs in this process; its warnings are not ours.
pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.filterwarnings("ignore")]


def test_every_other_tab(open_page: Opener) -> None:
    page = open_page()
    page.get_by_text("pushing left to right").first.click()  # a sample is analysed immediately
    expect(page.locator("#status")).to_contain_text("Done")
    open_tab(page, "see")
    expect(page.locator("#faithfulness tbody, #faithfulness table").first).to_contain_text("+")
    expect(page.locator("#faithfulness")).not_to_contain_text("no ground truth")
    open_tab(page, "embeddings")
    page.locator("#frames-run").click()
    expect(page.locator("#plane svg.ez-plane")).to_have_count(2)
    expect(page.locator("#plane .ez-verdict")).to_contain_text("when nothing moves")
    page.get_by_text("Figure for a paper", exact=True).locator("visible=true").click()
    with page.expect_download() as download:
        page.locator("#frames-figure").click()
    assert {"figure8.pdf", "figure8.svg", "figure8.png", "figure8.tex"} <= set(
        ZipFile(download.value.path()).namelist()
    )
    page.locator("#plane .ez-point[data-t='6']").first.focus()
    expect(page.locator("#plane .ez-hover")).to_contain_text("frame 7 at")
    assert page.locator("#plane .ez-hover img").evaluate("image => image.naturalWidth") == 96
    page.keyboard.press("Enter")
    expect(page.locator("#plane .ez-point.ez-on")).to_have_count(2)
    assert page.locator("#plane .ez-on").first.get_attribute("data-t") == "6", "the stage is at this frame, too"
    open_tab(page, "motion")
    page.locator("#motion-run").click()
    expect(page.locator("#motion-result .ez-verdict li")).to_have_count(2)
    expect(page.locator("#motion-result svg.ez-slope")).to_have_count(2)
    expect(page.locator("#motion-result .ez-source img")).to_have_count(1)
    expect(page.locator("#motion-result table")).not_to_be_visible()
    open_tab(page, "ood")
    source = page.locator("#clip video").first.get_attribute("src")
    expect(page.locator("#gallery button")).to_have_count(18)
    page.locator("#gallery button", has_text="night").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#ood-clip")).to_contain_text("Measured on night")
    expect(page.locator("#ood-faithfulness tbody, #ood-faithfulness table").first).to_contain_text("+")
    expect(page.locator("#ood-stage .ezs-trust")).to_have_count(2)
    gains = page.locator("#ood-stage .ezs-trust").first.inner_text()
    assert gains.split("gain ")[1].split()[0] in page.locator("#ood-faithfulness").inner_text(), "of the same clip"
    assert page.locator("#clip video").first.get_attribute("src") == source, "the player keeps the user's clip"
    played = page.locator("#ood-stage figure[data-panel='model-1'] canvas")
    assert played.evaluate("c => getComputedStyle(c).cursor") == "crosshair"
    played.click()
    expect(page.locator("#ood-stage .ezs-readout")).to_contain_text("through the prompts")
    page.get_by_text("Corrupt your own clip").click()
    page.locator("#corrupt-darkness input[type=number]").fill("0.9")
    page.locator("#corrupt-darkness input[type=number]").press("Enter")
    expect(page.locator("#corrupted .ez-frames img")).to_have_count(8)
    open_tab(page, "long")
    page.locator("#window input").fill("0.8")
    page.locator("#window-step input").fill("0.4")
    page.locator("#timeline-run").click()
    expect(page.locator("#timeline-status")).to_contain_text("Done")
    expect(page.locator("#timeline-status .ez-source")).to_contain_text("01_pushing_left_to_right.mp4 · 31 class names")
    small = page.locator("#timeline img").evaluate_all(
        "all => all.filter(e => e.clientWidth < 70 || e.clientHeight < 70)"
    )
    assert small == [], "no thumbnail is squeezed"
    page.locator("#timeline button").nth(1).click()
    page.wait_for_function("document.querySelector('#clip video').currentTime > 0.2")
    open_tab(page, "about")
    expect(page.get_by_text("How to read the figures")).to_be_visible()
    assert fits(page)


RUNS = {  # tab -> control that runs its study, its result, and a part of the result
    "motion": ("#motion-run", "#motion-result", ".ez-slope"),
    "embeddings": ("#frames-run", "#plane", ".ez-plane"),
    "long": ("#timeline-run", "#timeline", ".ez-time"),
    "ood": ("#corrupt-darkness input[type=number]", "#corrupted", ".ez-frames"),
}


@pytest.mark.parametrize("tab", RUNS)
def test_a_result_of_other_inputs_is_marked_and_runs_again(open_page: Opener, tab: str) -> None:
    run, where, shown = RUNS[tab]
    page = open_page()
    page.get_by_text("pushing left to right").first.click()
    expect(page.locator("#status")).to_contain_text("Done")
    open_tab(page, tab)
    if tab == "ood":
        page.get_by_text("Corrupt your own clip").click()
        page.locator(run).fill("0.9")
        page.locator(run).press("Enter")
    else:
        page.locator(run).click()
    expect(page.locator(f"{where} {shown}").first).to_be_visible()
    mark = page.locator(".ez-stale .ez-outdated:visible")
    source = page.locator(".tabitem:visible .ez-source").first
    expect(source).to_contain_text("01_pushing_left_to_right.mp4")
    expect(mark).to_have_count(0)
    page.locator("#samples button", has_text="crowd").click()
    expect(mark).to_contain_text("Out of date: clip")
    page.wait_for_function(f"getComputedStyle(document.querySelector('{where}')).opacity < 0.5")
    expect(page.locator("#status")).to_contain_text("Done")
    mark.get_by_role("button", name="Run again").click()
    expect(source).to_contain_text("14_crowd.mp4")
    expect(mark).to_have_count(0)
    if tab != "embeddings":  # points without names
        name_classes(page, "waving, clapping")
        expect(mark).to_contain_text("Out of date: class names changed")


def test_frames_are_linked_with_the_matrix_and_the_windows(open_page: Opener) -> None:
    page = open_page()
    page.get_by_text("pushing left to right").first.click()
    expect(page.locator("#status")).to_contain_text("Done")
    page.locator("#stage .ezs-thumbs button").nth(2).click()
    expect(page.locator("#strip .ez-source")).to_contain_text(
        "01_pushing_left_to_right.mp4 · 31 class names · tabletop/ez"
    )
    open_tab(page, "across")
    expect(page.locator("#influence .ez-source")).to_contain_text("01_pushing_left_to_right.mp4 · 31 class names")
    row = page.locator("#influence .ez-matrix tr.ez-on")
    expect(row).to_have_attribute("data-t", "2")
    page.locator("#influence .ez-matrix tr[data-t='6'] td").nth(3).click()
    expect(row).to_have_attribute("data-t", "6")
    expect(page.locator("#influence .ez-strip td.ez-on")).to_have_attribute("data-t", "6")
    expect(page.locator("#stage .ezs")).to_have_attribute("data-slot", "6")
    page.locator("#layer input").click()
    page.get_by_role("option", name="Layer 2").click()
    expect(page.locator("#influence")).to_contain_text("Layer 2 of")
    expect(page.locator("#influence .ez-source")).to_contain_text("01_pushing_left_to_right.mp4 · 31 class names")
    expect(row).to_have_attribute("data-t", "6")
    open_tab(page, "long")
    page.locator("#window input").fill("0.5")
    page.locator("#window-step input").fill("0.25")
    page.locator("#timeline-run").click()
    expect(page.locator("#timeline-status")).to_contain_text("Done")
    seconds = page.evaluate("document.querySelector('#stage .ezs-root').stage.state.doc.seconds")
    windows = page.locator("#timeline tr").first.locator("td")
    spans = [
        (float(w.get_attribute("data-second") or -1), float(w.get_attribute("data-end") or -1)) for w in windows.all()
    ]
    assert len(spans) >= 3

    def nearest(t: int) -> int:
        holding = [i for i, (start, end) in enumerate(spans) if start <= seconds[t] <= end]
        return min(holding, key=lambda i: abs(sum(spans[i]) / 2 - seconds[t]))

    cells = page.locator("#timeline tr").first.locator("td.ez-on")
    expect(cells).to_have_attribute("data-second", f"{spans[nearest(6)][0]:.4f}")
    windows.nth(1).locator("button").click()
    slot = min(range(8), key=lambda t: abs(seconds[t] - sum(spans[1]) / 2))
    expect(page.locator("#stage .ezs")).to_have_attribute("data-slot", str(slot))
    expect(cells).to_have_attribute("data-second", f"{spans[nearest(slot)][0]:.4f}")
    expect(page.locator("#timeline tr").nth(1).locator("td.ez-on")).to_have_count(1)
    open_tab(page, "see")
    page.locator("#samples button", has_text="crowd").click()
    expect(page.locator("#stage figure[data-panel=clip] small")).to_have_text("14_crowd.mp4")
    expect(page.locator("#timeline td.ez-on")).to_have_count(0)


def test_clips_of_a_zip_open_from_the_map(open_page: Opener, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as packed:
        for label in ("<b>waving", "jumping"):
            for i in range(2):
                packed.write(write_video(tmp_path / f"{i}.mp4", count=10 + i), f"{label}/{i}.mp4")
    page = open_page()
    open_tab(page, "classes")
    page.get_by_text("Your own clips or predictions").click()
    page.locator("#zip input[type=file]").set_input_files(tmp_path / "clips.zip")
    page.locator("#zip .file-preview").wait_for()
    page.locator("#evaluate-order input").check()
    page.locator("#zip-run").click()
    expect(page.locator("#class-map .ez-point")).to_have_count(8)
    expect(page.locator("#class-evidence")).to_contain_text("frame order sensitivity")
    page.locator("#class-map .ez-point").first.focus()
    expect(page.locator("#class-map .ez-hover")).to_contain_text("<b>waving")
    expect(page.locator("#class-map .ez-hover .ez-film[style*=data]")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#class-clip")).to_contain_text("<b>waving")
    expect(page.locator("#class-clip img.ez-heat")).to_have_count(16)
    page.get_by_text("Confusion matrices").click()
    expect(page.locator("#class-table figure")).to_have_count(2)
    with page.expect_download() as download:
        page.locator("#classes-archive").click()
    assert download.value.suggested_filename == "ezclip-classes.zip"
    assert fits(page)


def test_shipped_results_and_their_clips(open_page: Opener) -> None:
    page = open_page()
    open_tab(page, "classes")
    page.locator("#shipped-show").click()
    expect(page.locator("#class-verdict")).to_contain_text("ezclip is ahead")
    expect(page.locator("#class-chart .ez-line[data-label]")).to_have_count(31)
    clips = page.locator("#class-chart .ez-clip:visible")
    expect(clips).to_have_count(16)
    expect(page.locator("#class-chart .ez-film[style*=data]")).to_have_count(16)
    assert "right" in clips.first.inner_text().split("ezclip:")[1], "at first those that the model fixes"
    page.get_by_role("button", name="Broken by ezclip").click()
    assert "right" in clips.first.inner_text().split("ezclip:")[0]
    confusion = page.locator("#class-chart .ez-confusions:visible button").first
    label, count = confusion.inner_text().rsplit(maxsplit=1)
    confusion.click()
    expect(clips).to_have_count(int(count))
    expect(page.locator("#class-chart .ez-which")).to_have_text(label)
    page.get_by_role("button", name="name", exact=True).click()
    first = page.locator("#class-chart .ez-line[data-label]").first
    expect(first).to_contain_text("Approaching something with your camera")
    first.click()
    expect(page.locator("#class-chart .ez-which")).to_have_text("Approaching something with your camera")
    point = page.locator("#class-map .ez-point").nth(3)
    point.scroll_into_view_if_needed()
    around = point.locator("circle").bounding_box()
    assert around is not None
    page.mouse.move(around["x"] + around["width"] / 2, around["y"] - 2)  # beside it
    card = page.locator("#class-map .ez-hover")
    expect(card).to_contain_text(page.locator("#class-map .ez-ringed").get_attribute("data-title") or "no ring")
    expect(card.locator(".ez-film[style*=data]")).to_be_visible()
    page.locator("#shipped-baseline input").click()
    page.get_by_role("option", name="prompts", exact=True).click()
    page.locator("#shipped-show").click()
    expect(page.locator("#class-map h2", has_text="prompts")).to_be_visible()
    page.locator("#class-map .ez-point").last.click()  # nothing lies above it
    expect(page.locator("#class-clip img.ez-heat")).to_have_count(16)
    expect(page.locator("#class-clip")).to_contain_text("tabletop/prompts")  # not the page's baseline
    expect(page.locator("#class-faithfulness")).not_to_contain_text("no ground truth")
    expect(page.locator("#class-stage figure canvas")).to_have_count(4)
    expect(page.locator("#clip video")).to_have_count(0)  # the player keeps the user's clip
    with page.expect_download() as download:  # faithfulness may be measured first
        page.locator("#class-clip-archive").click()
    assert download.value.suggested_filename == "ezclip-report.zip"
    point = page.locator("#class-map .ez-point").first
    point.press("Enter")
    expect(page.locator("#class-clip")).to_contain_text((point.get_attribute("aria-label") or "").split(":")[0])
    expect(page.locator("#class-faithfulness")).to_contain_text("measuring faithfulness")
    assert not page.locator("#zip-cancel").is_visible(), "it stops another job"
    page.locator("#class-clip-cancel").click()
    expect(page.locator("#class-faithfulness")).to_contain_text("not measured")
    expect(page.locator("#class-clip img.ez-heat")).to_have_count(16)


def test_tables_and_a_folder(open_page: Opener, tmp_path: Path) -> None:
    for name, right in (("first", 0.2), ("second", 0.9)):
        (tmp_path / f"{name}.csv").write_text(f"path,label,prediction,a,b\nx/1.mp4,a,a,{right},0.5\n")
    page = open_page()
    open_tab(page, "classes")
    page.get_by_text("Your own clips or predictions").click()
    page.locator("#tables-run").click()
    expect(page.locator("[data-testid=toast-text]").first).to_contain_text("No table yet")
    page.locator("#one input[type=file]").set_input_files(tmp_path / "first.csv")
    page.locator("#one .file-preview").wait_for()
    page.locator("#tables-run").click()
    expect(page.locator("#class-verdict")).to_contain_text("table has 0.0% top-1 on 1 clips")
    page.locator("#two input[type=file]").set_input_files(tmp_path / "second.csv")
    page.locator("#two .file-preview").wait_for()
    page.locator("#tables-run").click()
    expect(page.locator("#class-chart")).to_contain_text("Fixed by second table: 1")
    for label in ("waving", "jumping"):
        (tmp_path / "clips" / label).mkdir(parents=True)
        write_video(tmp_path / "clips" / label / "1.mp4", count=9)
    (tmp_path / "clips" / "notes.txt").write_text("no video")
    with page.expect_file_chooser() as chooser:
        page.locator("#folder").get_by_text("Click to Upload").click()
    chooser.value.set_files(tmp_path / "clips")
    page.locator("#folder .file-preview").wait_for()
    page.locator("#zip-run").click()
    expect(page.locator("#class-verdict")).to_contain_text("on 2 clips")


def test_every_job_can_be_cancelled(open_page: Opener, services: Services, tmp_path: Path) -> None:
    """The first two are short, so they are cancelled while another job holds the models."""
    film = write_video(tmp_path / "film.mp4", count=1200, rate=10)
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as packed:
        for label in ("waving", "jumping"):
            for i in range(60):
                packed.write(write_video(tmp_path / f"{i}.mp4", count=10), f"{label}/{i}.mp4")
    page = open_page()
    upload(page, film)
    name_classes(page, "a, b")
    for tab, run, cancel, where in (
        ("motion", "motion-run", "motion-cancel", "motion-result"),
        ("embeddings", "frames-run", "frames-cancel", "plane"),
        ("long", "timeline-run", "timeline-cancel", "timeline-status"),
    ):
        open_tab(page, tab)
        with nullcontext() if tab == "long" else services.computing:
            page.locator(f"#{run}").click()
            expect(page.locator(f"#{where} .ez-progress")).to_be_visible()
            page.locator(f"#{cancel}").click()
            expect(page.locator(f"#{where}")).to_contain_text("Cancelled")
    open_tab(page, "classes")
    page.get_by_text("Your own clips or predictions").click()
    page.locator("#zip input[type=file]").set_input_files(tmp_path / "clips.zip")
    page.locator("#zip .file-preview").wait_for()
    page.locator("#zip-run").click()
    expect(page.locator("#class-verdict .ez-progress")).to_contain_text("of 120 clips")
    page.locator("#zip-cancel").click()
    expect(page.locator("#class-verdict")).to_contain_text("are cached")
    analyse(page)


def test_a_waiting_job_shows_its_place(open_page: Opener, services: Services, url: str, movie: Path) -> None:
    """One more job than can run concurrently: the last one shows that others are ahead of it."""
    page = open_page()
    upload(page, movie)
    name_classes(page, "a, b")
    open_tab(page, "long")
    client = Client(url, verbose=False)
    with services.computing:
        jobs = [client.submit(handle_file(movie), "a, b", api_name="/predict") for _ in range(JOBS)]
        for job in jobs:
            while job.status().code not in (Status.PROCESSING, Status.IN_QUEUE):  # behind a job of a closed page
                assert not job.done(), job.exception()
                page.wait_for_timeout(100)
        page.locator("#timeline-run").click()
        expect(page.locator("#timeline-status, #timeline").get_by_text("queue").first).to_be_visible()
    for job in jobs:
        job.result(timeout=60)
    expect(page.locator("#timeline-status")).to_contain_text("Done")


def test_the_camera_is_scored_live(open_page: Opener) -> None:
    page = open_page(permissions=["camera"])
    name_classes(page, "a green field, something else")
    open_tab(page, "long")
    page.get_by_text("Camera", exact=True).first.click()
    page.locator("#camera").get_by_text("Click to Access Webcam").click()
    page.locator("#camera button.capture-button").click()
    expect(page.locator("#live .ez-bar").first).to_be_visible()
    expect(page.locator("#live")).to_contain_text("a green field")
    expect(page.locator("#live .ez-source")).to_have_text(
        "camera · a green field, something else · tabletop/ezclip against tabletop/base"
    )
