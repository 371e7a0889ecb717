"""The stage in a real browser: drawing, playing and reading, and that it appears without a click."""

from concurrent.futures import Future
from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.services import Services
from app.stage import samples
from ezclip.errors import VideoError
from ezclip.progress import finish
from ezclip.studies.stage.reads import patch_reads
from ezclip.types import Document
from tests.app.pages import Opener, analyse, fits, name_classes, pause, stage, upload
from tests.app.test_stage import floats

# Gradio's server runs in this process; its warnings are not ours.
pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.filterwarnings("ignore")]


def test_the_first_screen_shows_the_point(open_page: Opener) -> None:
    page = open_page(viewport={"width": 1366, "height": 768})
    panels = page.locator("#stage figure canvas")
    expect(panels).to_have_count(4)
    for i in range(4):
        box = panels.nth(i).bounding_box()
        assert box and box["width"] >= 300 and box["y"] + box["height"] < 768
        drawn = panels.nth(i).evaluate(
            "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
        )
        assert drawn > 50
    page.locator("#stage [data-direction=reversed]").click()
    base, model = (page.locator(f"#stage .ezs-answer[data-model='{i}']") for i in range(2))
    expect(base.locator(".ezs-wrong")).to_have_count(1)
    expect(model.locator(".ezs-right")).to_have_count(1)
    turned = model.locator(".ezs-first .ezs-label").inner_text()
    page.locator("#stage [data-direction=forward]").click()
    expect(model.locator(".ezs-right")).to_have_count(1)
    assert model.locator(".ezs-first .ezs-label").inner_text() != turned
    words = page.evaluate("""() => { const words = [], walk = document.createTreeWalker(document.body, 4);
        while (walk.nextNode()) { const range = document.createRange(); range.selectNodeContents(walk.currentNode);
            const box = range.getBoundingClientRect(), around = walk.currentNode.parentElement;
            const top = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
            const there = top && (around.contains(top) || top.contains(around)) && box.width > 2;
            if (there && !around.closest('.ezs-spoken'))
                words.push(...walk.currentNode.data.split(/\\s+/).filter(Boolean)) }
        return words }""")
    assert len(words) <= 120, words
    assert fits(page)


def test_scrubbing_steps_and_keys(open_page: Opener) -> None:
    page = open_page()
    group = page.locator("#stage .ezs")
    pause(page)
    page.locator("#stage .ezs-track input").fill("0.5")
    seconds = stage(page, "stage.state.film.seconds")
    assert isinstance(seconds, list)
    nearest = min(range(len(seconds)), key=lambda i: abs(seconds[i] - (seconds[0] + seconds[-1]) / 2))
    assert abs(int(group.get_attribute("data-frame") or -1) - nearest) <= 1
    page.locator("#stage .ezs-thumbs button").nth(2).click()
    expect(group).to_have_attribute("data-slot", "2")
    group.press("ArrowRight")
    expect(group).to_have_attribute("data-slot", "3")
    group.press("ArrowLeft")
    expect(group).to_have_attribute("data-slot", "2")
    group.press("r")
    expect(group).to_have_attribute("data-shown", "reversed")
    group.press(" ")
    page.wait_for_function("document.querySelector('#stage .ezs-root').stage.state.playing")


def test_arrows_on_the_switch_choose_the_direction(open_page: Opener) -> None:
    page = open_page()
    pause(page)
    group, chosen = page.locator("#stage .ezs"), page.locator("#stage [role=radio][tabindex='0']")
    chosen.focus()
    ways = [("ArrowRight", d) for d in ("reversed", "shuffled", "static", "forward")]
    for key, direction in [*ways, ("ArrowLeft", "static"), ("ArrowUp", "shuffled"), ("ArrowDown", "static")]:
        page.keyboard.press(key)
        expect(group).to_have_attribute("data-shown", direction)
        expect(chosen).to_be_focused()
        expect(chosen).to_have_attribute("data-direction", direction)
        expect(chosen).to_have_attribute("aria-checked", "true")


def test_what_the_pointer_reads_is_the_map(open_page: Opener) -> None:
    page = open_page()
    pause(page)
    page.locator("#stage .ezs-thumbs button").nth(5).click()
    canvas = page.locator("#stage figure[data-panel='model-1'] canvas")
    first = samples()[0].stage
    grid, (left, top, right, bottom) = first["models"][1]["grid"], first["models"][1]["box"]
    row, column = 6, 7
    box = canvas.bounding_box()
    assert box
    x = (left + (right - left) * (column + 0.5) / grid) * box["width"]
    y = (top + (bottom - top) * (row + 0.5) / grid) * box["height"]
    canvas.hover(position={"x": x, "y": y})
    value = floats(first["results"]["forward"][1]["heat"]).reshape(8, grid, grid)[5, row, column]
    expect(page.locator("#stage .ezs-readout")).to_contain_text(f"frame 6, row 7, column 8: {value:.2f}")


def test_a_user_clip_has_guesses_in_all_orders(open_page: Opener, movie: Path) -> None:
    page = open_page()
    upload(page, movie)
    expect(page.locator("#stage .ezs-verdict")).to_contain_text("guesses")
    expect(page.locator("#stage .ezs-score").first).to_have_text("guess")
    page.locator("#stage [data-direction=shuffled]").click()
    expect(page.locator("#stage .ezs-answer .ezs-first")).to_have_count(2)
    page.wait_for_function(
        "Object.keys(document.querySelector('#stage .ezs-root').stage.state.doc.results).length == 4"
    )
    draws = page.evaluate("""() => new Promise(done => { let asked = 0, frames = 0;
        const own = window.requestAnimationFrame;
        window.requestAnimationFrame = f => { asked += f.name === 'tick'; return own(f) };
        const count = () => ++frames < 30 ? own(count) : (window.requestAnimationFrame = own, done(asked / frames));
        own(count) })""")
    assert 0.5 < draws < 1.5, "it is drawn once in a frame, however often its document was updated"


def test_a_film_that_takes_too_long_gives_way_to_the_sampled_frames(
    open_page: Opener, services: Services, movie: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Future[dict[str, Document]]()
    late.set_exception(VideoError("grey.mp4 takes longer than 10 s to decode."))
    monkeypatch.setattr(services, "films", lambda path: late)
    page = open_page()
    upload(page, movie)
    assert stage(page, "[stage.state.doc.clip, stage.state.film.seconds]") == [
        "grey.mp4",
        stage(page, "stage.state.doc.seconds"),
    ]


def test_a_sample_is_there_before_it_is_analysed(open_page: Opener) -> None:
    page = open_page()
    page.locator("#samples button", has_text="crowd").click()
    expect(page.locator("#stage figure[data-panel=clip] small")).to_have_text("14_crowd.mp4")
    assert len(stage(page, "Object.keys(stage.state.doc.results)")) == 4  # type: ignore[arg-type]


def test_the_address_restores_clip_direction_and_frame(open_page: Opener) -> None:
    page = open_page("?clip=14_crowd&direction=reversed&frame=3&labels=one%0Atwo")
    group = page.locator("#stage .ezs")
    expect(page.locator("#stage figure[data-panel=clip] small")).to_have_text("14_crowd.mp4")
    expect(page.locator("#status")).to_contain_text("Done")
    expect(page.locator("#ranking")).to_contain_text("two")
    expect(group).to_have_attribute("data-shown", "reversed")
    expect(group).to_have_attribute("data-slot", "2")
    page.locator("#stage .ezs-thumbs button").nth(4).click()
    page.wait_for_url("**clip=14_crowd&direction=reversed&frame=5**")
    group.press(" ")
    page.wait_for_url(lambda url: "clip=14_crowd&direction=reversed" in url and "frame" not in url)
    page.locator("#samples button", has_text="putting into").click()
    page.wait_for_url(lambda url: "clip=03_putting_into&direction=forward" in url and "frame" not in url)


def test_wipe_and_difference(open_page: Opener) -> None:
    page = open_page()
    page.get_by_text("Colours and speed").click()
    limit, apart = (stage(page, f"stage.state.{name}.toPrecision(2)") for name in ("limit", "apart"))
    scale = page.locator("#stage .ezs-scale")
    expect(scale).to_have_text(f"0{limit} × uniform, one scale for all models; difference −{apart}+{apart}")
    assert limit != apart
    page.get_by_role("button", name="Wipe").click()
    expect(page.locator("#stage figure[data-panel=wipe] canvas")).to_have_count(1)
    page.locator("#stage .ezs-more").get_by_text("Difference").click()
    expect(page.locator("#stage figure[data-panel=difference]")).to_have_count(0)
    expect(scale).to_have_text(f"0{limit} × uniform, one scale for all models")


def test_results_of_other_names_are_marked(open_page: Opener, movie: Path) -> None:
    page = open_page()
    upload(page, movie)
    name_classes(page, "waving, clapping")
    expect(page.locator("#status")).to_contain_text("Out of date: class names changed")
    assert float(page.locator("#stage").evaluate("e => getComputedStyle(e).opacity")) < 0.5
    analyse(page)
    expect(page.locator("#ranking")).to_contain_text("waving")
    expect(page.locator("#ranking .ez-pair")).not_to_contain_text("%")


def test_a_click_on_a_patch_shows_what_it_draws_on(open_page: Opener, services: Services) -> None:
    page = open_page()
    pause(page)
    page.locator("#stage .ezs-thumbs button").nth(3).click()
    canvas = page.locator("#stage figure[data-panel='model-1'] canvas")
    box = canvas.bounding_box()
    assert box
    canvas.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    expect(page.locator("#stage .ezs-readout")).to_contain_text("to other frames, through the prompts")
    t, patch, heat = stage(page, "[stage.state.reads.slot, stage.state.reads.patch, [...stage.state.reads.heat]]")
    sample = samples()[0]
    clip = finish(services.clip(sample.path, 8))
    expected = patch_reads(services, clip, "tabletop/ezclip", "forward", t, patch)
    assert t == 3 and heat == pytest.approx(floats(expected["heat"]).tolist())
    page.locator("#stage .ezs").press("Escape")
    assert stage(page, "stage.state.reads") is None


def test_values_of_the_frames_are_drawn_on_request(open_page: Opener, movie: Path) -> None:
    page = open_page()
    upload(page, movie)
    name_classes(page, "waving, clapping")
    analyse(page)
    page.locator("#frames-readout").click()
    expect(page.locator("#stage .ezs-bars > div")).to_have_count(8)
    expect(page.locator("#frames-told")).to_contain_text("any-frame bound")
    frames = stage(page, "stage.state.doc.frames")
    for one in frames["models"]:  # type: ignore[index]
        assert sum(one["values"]) == pytest.approx(one["all"])
    page.locator("#stage [data-direction=reversed]").click()
    expect(page.locator("#stage .ezs-values")).to_be_hidden()


def test_a_clip_does_not_fetch_the_converter_that_trims(open_page: Opener, movie: Path) -> None:
    page = open_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    upload(page, movie)
    assert not [url for url in requests if "/static/ffmpeg/" in url]
    with page.expect_request("**/static/ffmpeg/ffmpeg-core.js"):
        page.get_by_label("Trim video").click()
