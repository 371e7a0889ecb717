"""How the stage plays in a real browser: in step, looping, speed, colours, and text for screen readers."""

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from app.stage import samples
from tests.app.pages import Opener, pause, stage
from tests.app.test_stage import floats

# Gradio's server runs in this process; its warnings are not ours.
pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.filterwarnings("ignore")]

# For some repaints while it plays: how far each panel is, in frames of the film, from the clip's position by the time
# bar, read from the pixels with the maps at zero strength; and the distance of the drawn map from the expected slot.
IN_STEP = """async direction => {
    const {stage} = document.querySelector('#stage .ezs-root'), {state} = stage, {film, doc} = state;
    const sheet = new Image(), small = Object.assign(document.createElement('canvas'), {width: 24, height: 24});
    sheet.src = film.picture;
    await sheet.decode();
    const draw = small.getContext('2d', {willReadFrequently: true});
    const read = (image, ...part) => { draw.drawImage(image, ...part, 0, 0, 24, 24);
        return draw.getImageData(0, 0, 24, 24).data };
    const tiles = film.seconds.map((_, i) => read(sheet, i % film.columns * film.width,
        Math.floor(i / film.columns) * film.height, film.width, film.height));
    const apart = (a, b) => a.reduce((sum, v, i) => sum + Math.abs(v - b[i]), 0);
    const [start, end] = [film.seconds[0], film.seconds.at(-1)], order = doc.orders[direction], found = [];
    state.strength = 0;
    while (found.length < 12) {
        await new Promise(requestAnimationFrame);
        const at = +document.querySelector('#stage .ezs-track input').value;
        const second = direction === 'reversed' ? end - at * (end - start) : start + at * (end - start);
        const gone = order.filter(t => direction === 'reversed' ? doc.seconds[t] >= second : doc.seconds[t] <= second);
        const slot = +document.querySelector('#stage .ezs').dataset.slot;
        for (const canvas of document.querySelectorAll('#stage figure canvas')) {
            const shown = read(canvas, 0, 0, canvas.width, canvas.height);
            const misfits = tiles.map(tile => apart(tile, shown)), best = Math.min(...misfits);
            const like = film.seconds.filter((_, i) => misfits[i] <= 1.2 * best + 1);
            const frame = (end - start) / (film.seconds.length - 1);
            found.push([Math.min(...like.map(time => Math.abs(time - second))) / frame,
                slot - Math.max(0, gone.length - 1)]);
        }
        await new Promise(done => setTimeout(done, 60));
    }
    return [state.playing, found] }"""


@pytest.mark.parametrize("direction", ["forward", "reversed"])
def test_every_panel_is_in_step_while_it_plays(open_page: Opener, direction: str) -> None:
    page = open_page()
    pause(page)
    page.get_by_role("button", name="Play", exact=True).click()
    page.locator(f"#stage [data-direction={direction}]").click()
    playing, offsets = page.evaluate(IN_STEP, direction)
    assert playing and len({round(frames, 6) for frames, _ in offsets}) > 1
    assert all(frames <= 1 for frames, _ in offsets), offsets
    assert all(slots == 0 for _, slots in offsets), offsets


def by_hand(page: Page) -> None:
    """Make the page repaint only on ``paintAfter(milliseconds)``, with a simulated clock."""
    page.evaluate("""() => { let asked = [], clock = 1e6;
        window.requestAnimationFrame = f => asked.push(f);
        window.paintAfter = time => { const now = asked; asked = []; clock += time; now.forEach(f => f(clock)) } }""")


def test_it_loops_or_stops_at_the_end(open_page: Opener) -> None:
    page = open_page()
    pause(page)
    page.get_by_text("Colours and speed").click()
    by_hand(page)
    for loops in (True, False):
        page.get_by_label("Loop").set_checked(loops)
        page.locator("#stage .ezs-track input").fill("0.999")
        page.get_by_role("button", name="Play", exact=True).click()
        page.evaluate("[1000, 100].forEach(paintAfter)")
        assert stage(page, "[stage.state.at < 0.5, stage.state.playing]") == [loops, loops]
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    assert stage(page, "stage.state.at") == 1


def test_the_speed_is_what_was_chosen(open_page: Opener) -> None:
    page = open_page()
    pause(page)
    page.get_by_text("Colours and speed").click()
    by_hand(page)
    moved = {}
    for speed in ("0.25×", "1×", "2×"):
        page.get_by_label("Speed").select_option(speed)
        page.locator("#stage .ezs-track input").fill("0")
        page.get_by_role("button", name="Play", exact=True).click()
        page.evaluate("paintAfter(1000)")
        before = stage(page, "stage.state.at")
        page.evaluate("paintAfter(50)")
        moved[speed] = stage(page, "stage.state.at") - before
        page.get_by_role("button", name="Pause", exact=True).click()
    seconds = samples()[0].stage["films"][samples()[0].stage["film"]]["seconds"]
    assert moved["1×"] == pytest.approx(0.05 / max(1, seconds[-1] - seconds[0]))
    assert moved["2×"] == pytest.approx(8 * moved["0.25×"])


def test_colours_and_where_the_scale_ends(open_page: Opener) -> None:
    page = open_page()
    pause(page)
    page.get_by_text("Colours and speed").click()
    pixels = "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].reduce((a, b) => a + b)"
    panel, ramp = page.locator("#stage figure[data-panel='model-1'] canvas"), page.locator("#stage .ezs-ramp").first
    document = samples()[0].stage
    distinct = set()
    for colours in document["maps"]:
        page.get_by_label("Colours").select_option(colours["name"])
        drawn = ramp.evaluate("e => e.style.background").replace(" ", "")
        assert all("rgb({},{},{})".format(*colours["colours"][end]) in drawn for end in (0, -1))
        distinct.add(panel.evaluate(pixels))
    assert len(distinct) == 3, "each is drawn on the panel, too"
    heats = [floats(one["heat"]) for results in document["results"].values() for one in results]
    every = np.sort(np.concatenate(heats))
    for percentile in (95, 100):
        page.get_by_label("Scale ends at percentile").select_option(str(percentile))
        end = every[int(np.ceil(len(every) * percentile / 100)) - 1]
        assert stage(page, "stage.state.limit") == pytest.approx(end)
        scale = page.locator("#stage .ezs-scale").inner_text()
        assert float(scale.split("×")[0].split()[-1].removeprefix("0\n")) == pytest.approx(end, rel=0.05)
        distinct.add(panel.evaluate(pixels))
    assert len(distinct) == 5


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_who_wants_less_motion_starts_it(open_page: Opener, motion: str) -> None:
    page = open_page(reduced_motion=motion)
    still = motion == "reduce"
    expect(page.get_by_role("button", name="Play" if still else "Pause", exact=True)).to_be_visible()
    if still:
        page.wait_for_timeout(3000)  # on loading, the stage moves once to the first sampled frame
    before = stage(page, "stage.state.at")
    page.wait_for_timeout(400)
    assert (stage(page, "stage.state.at") == before) == still
    sample = page.locator("#samples button").first
    sample.hover()
    name = sample.locator("span").evaluate("e => getComputedStyle(e).animationName")
    assert name == ("none" if still else "ez-play")
    if still:
        page.get_by_role("button", name="Play", exact=True).click()
        page.wait_for_function("document.querySelector('#stage .ezs-root').stage.state.at > 0.05")


def test_the_text_for_screen_readers_has_what_the_panels_show(open_page: Opener) -> None:
    page = open_page()
    pause(page)
    document = samples()[0].stage
    sentences = page.locator("#stage .ezs-spoken li")
    expect(sentences).to_have_count(4)
    for direction in ("forward", "reversed", "shuffled", "static"):
        page.locator(f"#stage [data-direction={direction}]").click()
        text = sentences.filter(has_text=direction.capitalize()).text_content() or ""
        for i in range(2):
            panel = page.locator(f"#stage .ezs-answer[data-model='{i}']")
            labels, scores = (panel.locator(f".ezs-{part}").all_inner_texts() for part in ("label", "score"))
            answers = [f"{label.lstrip('✓✗ ')} {score}" for label, score in zip(labels, scores, strict=True)]
            marks = [mark.get_attribute("title") for mark in panel.locator(".ezs-right, .ezs-wrong").all()]
            answers[0] = ", ".join([*map(str, marks), answers[0]])
            assert f"{document['models'][i]['name']}: {'; '.join(answers)}." in text
            if direction == "forward":
                assert panel.locator(".ezs-trust").inner_text().removeprefix("Faithfulness: ") in text
        happens = page.locator("#stage .ezs-truth").inner_text()
        assert happens in text
    page.locator("#stage .ezs-thumbs button").nth(5).click()
    frame = page.locator("#stage .ezs-spoken p")
    expect(frame).to_contain_text("Frame 6 of 8")
    for i, one in enumerate(document["results"]["static"]):
        grid = document["models"][i]["grid"]
        heat = floats(one["heat"]).reshape(8, grid, grid)[5]
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        expect(frame).to_contain_text(f"brightest in row {row + 1}, column {column + 1} of {grid}, {heat.max():.2f}")
