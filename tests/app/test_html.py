"""Values as HTML: every text is escaped, and all parts are present."""

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import tensor

from app import html
from app.services import Services
from app.tabs.ood import chosen_clip
from ezclip.checkpoints.cards import STATIC_SHEET, shipped_accuracy, shipped_static_bias, shipped_variants
from ezclip.checkpoints.identity import Identity
from ezclip.data.manifest import Row
from ezclip.data.tabletop.generate import example_pictures
from ezclip.data.tabletop.scene import MOVING
from ezclip.data.tabletop.static_bias import VERSIONS
from ezclip.data.tabletop.truth import find_masks, sample_entry
from ezclip.evaluation.evidence import MEANING, annotate
from ezclip.evaluation.run import Evaluation
from ezclip.explanation.methods import METHODS
from ezclip.progress import finish
from ezclip.studies.analysis import Analyse
from ezclip.studies.analysis_report import Analysis
from ezclip.studies.classes import Classes, ClassStudy
from ezclip.studies.corruption import Corrupt
from ezclip.studies.explain import tokens_of, tokens_table
from ezclip.studies.frames import CompareFrames
from ezclip.studies.live import LiveScores, ScoreLive
from ezclip.studies.motion import MotionProbes, Probe, ProbeMotion
from ezclip.studies.timeline import Moment, ScoreTimeline, Timeline
from ezclip.types import Prediction
from ezclip.video.read import read_clip

SAMPLES = sorted((Path(__file__).parents[2] / "assets" / "samples").glob("*.mp4"))
LABELS = 'pushing something, "<b>lifting</b>, slowly"'


@pytest.fixture(scope="module")
def analysis(services: Services, movie: Path) -> Analysis:
    return finish(Analyse(str(movie), LABELS, faithfulness=True).run(services))


def test_methods_come_with_reasons() -> None:
    page = html.methods()
    assert all(f"<td>{name}</td>" in page for name in ("EZ-CLIP", "ViFi-CLIP", "ActionCLIP", "A5 (Efficient-Prompt)"))
    assert page.count("<li>") == 5 and "muzairkhattak/ViFi-CLIP" in page


def test_class_names_are_escaped(analysis: Analysis, services: Services) -> None:
    for page in (html.rankings(analysis), html.faithfulness(analysis), html.temporal(analysis), html.spread(analysis)):
        assert "<b>lifting" not in page
    assert "&lt;b&gt;lifting" in html.rankings(analysis)
    strip = html.strip(finish(analysis.study.replace(difference=True, faithfulness=False).run(services)))
    assert f"({METHODS[analysis.study['method']].source})" in strip
    assert strip.count("<tr>") == 5 and strip.count('class="ez-heat"') == 24


def test_the_progress_of_the_faithfulness_is_shown_once_above_the_table(services: Services, movie: Path) -> None:
    analysis = finish(Analyse(str(movie), LABELS).run(services))
    message = "Now measuring faithfulness: 52%"
    above, cells = html.faithfulness(analysis, message=message).split("<table")
    assert above.count(message) == 1 and "52%" not in cells and cells.count("<td>–</td>") == 2 * 6
    assert "not yet measured" in html.faithfulness(analysis)
    warned = replace(analysis.faithfulness[0], warning="a blank clip scores <90 %>")
    assert "blank clip" not in html.faithfulness(analysis)
    assert "a blank clip scores &lt;90 %&gt;" in html.faithfulness(replace(analysis, faithfulness=[warned] * 2))
    assert "not yet measured" not in html.faithfulness(finish(analysis.with_faithfulness(services)))


def test_what_moved_since_the_last_analysis(services: Services, movie: Path) -> None:
    before = finish(Analyse(str(movie), "one, two, three").run(services))
    last, first = before.model.predictions[-1].label, before.model.best.label
    after = finish(before.study.replace(sentences={last: first, first: last}).run(services))
    page = html.rankings(after, before)
    assert "▲ 2" in page and "▼ 2" in page and "▲" not in html.rankings(after)
    listed = html.custom_sentences({"<i>": "a <b> b"})
    assert "&lt;i&gt; → “a &lt;b&gt; b”" in listed


def test_tokens_of_high_norm(analysis: Analysis, services: Services) -> None:
    table = tokens_table(finish(services.in_turn(lambda host: tokens_of(host, analysis))))
    page = html.tokens(table)
    assert len(table.rows) == 4 * len(analysis.results) and page.count("<tr>") >= len(table.rows)
    assert "above 30 without prompts" in page and "even share" in page


def test_words_stand_by_their_relevance() -> None:
    page = html.words("a <b>", {"base": [("a", 0.0), ("<b>", 0.0)], "ezclip": [("a", 0.25), ("<b>", 0.75)], "x": []})
    assert "<b>&" not in page and "&lt;b&gt;<small>75%" in page and "a<small>25%" in page
    assert 'height:26px"></i>&lt;b&gt;' in page and 'height:9px"></i>a' in page  # 26 * 1/3
    assert page.count("no word contributes") == 1 and html.words("a", {"base": []}).strip() == ""


def test_the_temporal_prompts_of_a_layer(analysis: Analysis) -> None:
    assert html.temporal(analysis).count('class="ez-own"') == 8
    assert "Layer 2 of tabletop/ezclip" in html.temporal(analysis, 2)
    assert "no temporal prompts" in html.temporal(replace(analysis, view=None))


def test_a_result_names_its_inputs(services: Services, movie: Path) -> None:
    """Clip with a picture, names and models; for a clip that was not drawn, a note that answers are guesses."""
    result = finish(ProbeMotion(str(movie), "<script>, b").run(services))
    head = html.source(result)
    assert head.count('<img src="data:image/jpeg') == 1
    assert "grey.mp4 · &lt;script&gt;, b · tabletop/ezclip against tabletop/base" in head
    page = html.motion(result)
    assert page.index("These are guesses: the models were trained on drawn scenes") < page.index(
        '<ul class="ez-verdict"'
    )
    assert result.report().lead.startswith("These are guesses") and result.as_json()["caveat"].startswith("These are")
    assert "%" not in re.sub(r'"[^"]*"', "", page.partition("Standard measures")[0]), (
        "no percentages but in coordinates"
    )
    assert page.count("<td>guess</td>") == 2 * (5 + 7), "score of the answer and of its opposite, for every probe"
    assert "guess" in page and "%" not in "".join(page.split("<title>")[1].split("</title>")[0])
    drawn = finish(ProbeMotion(str(SAMPLES[0])).run(services))
    assert ">guess<" not in html.motion(drawn) and "<i>100%</i>" in html.motion(drawn)
    assert drawn.caveat == "" and "guesses" not in html.motion(drawn)
    assert "the model&#39;s own class names" in html.source(drawn)
    named = finish(ProbeMotion(str(SAMPLES[0]), "Closing something, waving").run(services))
    assert named.caveat == "These are guesses: 1 of 2 class names is new to tabletop/ezclip. "
    assert html.source(finish(Classes("base", "ezclip").run(services))) == "", "of no clip"


def test_studies_as_html(services: Services, movie: Path) -> None:
    pair = {"baseline": "tabletop/base", "model": "tabletop/ezclip"}
    assert "<script" not in html.motion(finish(ProbeMotion(str(movie), "<script>, b").run(services)))
    plane = finish(CompareFrames((str(movie), str(SAMPLES[0])), projection="PCA", **pair).run(services))
    page = html.frame_plane(plane)
    assert page.count("<circle") == 2 * page.count('r="8" fill="none"') == 64, "a hollow point for each frame"
    assert [int(t) for t in re.findall(r'data-t="(\d)"', page)] == [*range(8)] * 2, "only of the clip in the player"
    assert page.index(plane.verdict) < page.index("ez-linked") < page.index('data-t="0"')
    assert set(re.findall(r'data-picture="([^"]+)"', page)) == set(re.findall(r'data-key="([^"]+)"', page))
    assert page.count('data-picture="1-4"') == 2 * (8 + 1), "the middle frame, in every place of the static copy"
    page = html.corrupted(finish(Corrupt(str(movie), "a, b").run(services)))
    assert page.count("<img") == 8 and page.index("These are guesses") < page.index("<img")
    assert page.count('"ez-number">guess') == 4 and '"ez-number">guess' not in html.corrupted(
        finish(Corrupt(str(SAMPLES[0])).run(services))
    )
    ranked = {"base": [Prediction("<b>", 0.75, 1.0)]}
    assert "75%" in html.live(LiveScores(ScoreLive(), [], ranked))
    page = html.live(LiveScores(ScoreLive(), [], ranked, caveat="These are guesses: x. "))
    assert "These are guesses: x." in page and '"ez-number">guess' in page and "75%" not in page


def test_a_long_timeline_is_drawn_in_part(services: Services) -> None:
    study = ScoreTimeline("film.mp4", "a, b", baseline="tabletop/base")
    picture, heat = np.zeros((96, 96, 3), np.uint8), np.ones((12, 12))
    scores = {name: np.array([[0.6, 1.0], [0.4, 0.5]]) for name in study.models()}
    moments = [Moment(float(i), i + 2.0, ["a", "b"], scores, picture, heat) for i in range(1000)]
    identities = [services.predictor(name).identity for name in study.models()]
    page = html.timeline(Timeline(study, identities, moments), "digest")
    assert page.count("<button") == 200 and "200 of 1000 windows are drawn" in page
    assert 'data-second="0.0000" data-end="2.0000"' in page and 'data-second="999.0000"' in page
    assert 'data-film="digest"' in page and "guess" not in page
    page = html.timeline(Timeline(study, identities, moments, "These are guesses: x. "))
    assert page.count("guess</td>") == 2 * 200 and "%" not in re.sub("style=.*?>", "", page)
    assert page.index("These are guesses: x.") < page.index("<table")


def test_shipped_classes_as_html(services: Services) -> None:
    study = finish(Classes("base", "ezclip").run(services))
    assert html.class_plane(study, study.class_map).count("data-row=") == 2 * len(study.class_map.rows)
    assert html.class_tables(study).count("<figure>") == 2
    page = html.class_tables(study)
    assert "<img" not in page, "a picture would not follow the page's light and dark"
    counts = [int(n) for n in re.findall(r": (\d+) taken for ", page)]
    assert sum(counts) == 2 * len(study.model.rows)
    page = html.class_chart(study)
    assert page.count('data-change="fixed" data-label') > 200 and page.count('class="ez-clip" data-row=') == 221 + 16
    alone = finish(Classes("ezclip").run(services))
    assert html.class_tables(alone).count("<figure>") == 1
    page = html.class_chart(alone)
    assert page.count('class="ez-line"') == 31 and "data-filter" not in page and 'class="ez-first"' not in page


def evaluated(model: str, scores: list[list[float]], truth: list[str]) -> Evaluation:
    return Evaluation(model, ["a", "<b>"], [Row(Path(f"c/{i}.mp4"), t) for i, t in enumerate(truth)], tensor(scores))


def test_dumbbells_and_clips_by_hand() -> None:
    """Class a: 1 of 2 right, then 2 of 2; class <b>: 2 of 2, then 1 of 2."""
    truth = ["a", "a", "<b>", "<b>"]
    first = evaluated("base", [[0.9, 0.1], [0.3, 0.7], [0.2, 0.8], [0.1, 0.9]], truth)
    second = evaluated("ezclip", [[0.8, 0.2], [0.75, 0.25], [0.6, 0.4], [0.1, 0.9]], truth)
    page = html.class_chart(ClassStudy(None, [], [first, second]))
    gained = page.split('data-label="a" data-gain="0.5000" data-n="2"')[1].split("ez-told")[0]
    assert (
        'x1="50.0%" x2="100.0%"' in gained and 'ez-first" cx="50.0%"' in gained and 'ez-second" cx="100.0%"' in gained
    )
    lost = page.split('data-label="&lt;b&gt;" data-gain="-0.5000" data-n="2"')[1].split("ez-told")[0]
    assert "ez-lost" in lost and 'x1="100.0%" x2="50.0%"' in lost
    bands = [float(x) for x in re.findall(r'class="ez-band" x="([\d.]+)%"', page)]
    assert len(bands) == 3 and all(0 <= x <= 100 for x in bands), "an interval does not leave the axis"
    assert "1 of 2 classes gain, 1 lose" in page and "Fixed by ezclip: 1" in page and "Broken by ezclip: 1" in page
    cards = re.findall(r'class="ez-clip" (.*?)>', page)
    assert cards == [
        'data-change="fixed" data-label="a" data-answer="&lt;b&gt;" data-margin="0.900"',  # (0.75 - 0.25) - (0.3 - 0.7)
        'data-change="broken" data-label="&lt;b&gt;" data-answer="a" data-margin="-0.800" hidden',  # -0.2 - 0.6
    ]
    confusions = re.findall(r'data-change="(\w+)" data-label="(\S+)" data-answer="(\S+)" aria-pressed', page)
    assert confusions == [("fixed", "a", "&lt;b&gt;"), ("broken", "&lt;b&gt;", "a")]
    assert "<b><b>" not in page and "taken for</i> &lt;b&gt;" in page


def test_the_evidence_of_two_models() -> None:
    evaluations = [evaluated(name, [[0.9, 0.1], [0.3, 0.7]], ["a", "<b>"]) for name in ("base", "<ezclip>")]
    assert html.class_evidence(ClassStudy(None, [], evaluations)).strip() == "", "no partners, no orders"
    page = html.class_evidence(ClassStudy(None, [], evaluations, orders={"base": ORDERS, "<ezclip>": ORDERS}))
    assert page.count("0.250") == 2 and page.count(">–<") == 4 and "<ezclip>" not in page
    assert all(text in page for text in ("multi frame gain", *MEANING["reverse_drop"]))


def test_a_film_strip_has_eight_frames_from_first_to_last() -> None:
    images = np.zeros((15, 32, 32, 3), np.uint8) + np.arange(15, dtype=np.uint8)[:, None, None, None] * 10
    strip = np.asarray(Image.open(io.BytesIO(base64.b64decode(html.film_strip(images).partition(",")[2]))))
    assert strip.shape == (96, 768, 3)
    assert strip[48, 48::96, 0].tolist() == pytest.approx([20 * i for i in range(8)], abs=3)


def test_the_gallery_names_every_family() -> None:
    entries = [(str(path), entry) for path in SAMPLES if (entry := sample_entry(path) or {}).get("family")]
    accuracy, static = {v: shipped_accuracy(v)["families"] for v in shipped_variants()}, shipped_static_bias()
    page = html.gallery(entries, accuracy, {})
    assert page.count("<button") == len(entries) == 12 and "Static bias" not in page
    expected = shipped_accuracy("ezclip")["families"]["night"]["top1"]
    assert "night" in page and f"{expected:.0%}" in page
    before, versions = html.gallery(entries, accuracy, static).split("<h2>Static bias")
    assert before.strip() == page.strip()
    assert re.findall(r'data-row="(\d+)"', versions) == [str(12 + i) for i in range(len(VERSIONS))]
    for variant, measures in static.items():
        shares = [one["top1"] for one in (measures["versions"][version] for version in VERSIONS)]
        shares.append(measures["single_frames"]["any_frame"])
        percents = re.findall(rf'<span>{variant}</span><span class="ez-number">(\d+%)', versions)
        assert percents == [f"{share:.0%}" for share in shares]
    assert versions.count("100 clips.") == len(VERSIONS) + 1 and "(chance 3%)" in versions


def test_a_version_is_one_of_the_clips_that_were_measured(tmp_path: Path) -> None:
    entries = [("a.mp4", {"label": "Closing something", "family": "night"})]
    assert chosen_clip(entries, 0, lambda: tmp_path) == ("a.mp4", "Closing something", "night")
    pictures = example_pictures(Image.open(STATIC_SHEET))
    for version in ("background_only", "still_stripes", "action_swap"):
        path, label, family = chosen_clip(entries, 1 + list(VERSIONS).index(version), lambda: tmp_path)
        assert label == "Opening something" and family == version
        middle = read_clip(path, lambda total: [total // 2]).images[0]
        off = {name: np.abs(picture - middle.astype(float)).mean() for name, picture in pictures.items()}
        assert min(off, key=off.__getitem__) == version and off[version] < 6, "the picture is of this clip"
        moving = find_masks(path)
        assert moving is not None and (moving == MOVING).any() == (version != "background_only")


ORDERS = {
    name: {"top1": top1} for name, top1 in (("as it is", 1), ("reversed", 0.75), ("static", 0.5), ("shuffled", 0.5))
}


def probe(variation: str, answer: str, score: float, against: float) -> Probe:
    return Probe(variation, answer, score, 1.0, 1.0, 0.1, 0.1, float("nan"), "Closing something", against)


def test_slopes_and_dots_stand_where_the_scores_are() -> None:
    blind = [probe("as it is", "<a>", 0.5, 0.45), probe("reversed", "<a>", 0.5, 0.45), probe("shuffled", "<a>", 0, 0)]
    sees = [probe("as it is", "Opening something", 1, 0), probe("reversed", "Closing something", 0.25, 0.75)]
    sees.append(probe("shuffled", "Opening something", 0.5, 0))
    study = ProbeMotion("x.mp4", "a, b")
    both = {"base": blind, "ezclip": sees}
    measured = [{"any_frame": 0.25, "curvature": 90.0}, {"any_frame": 1.0, "curvature": float("nan")}]
    evidence = dict(zip(both, map(annotate, measured), strict=True))
    models = [Identity("base"), Identity("ezclip")]
    page = html.motion(MotionProbes(study, models, both, "Opening something", "<closing>", evidence))
    first, second = page.split("<figure")[1:]
    assert 'y1="111.0" x2="270" y2="111.0"' in first and "best other answer" in first  # 26 + 170 * (1 - 0.5)
    assert 'y="110.8"' in first and 'y="127.8"' in first, "the numbers 50 and 45 keep 17 apart around y = 115.25"
    assert 'y1="26.0" x2="270" y2="153.5"' in second and 'y1="196.0" x2="270" y2="68.5"' in second
    assert "the opposite" in second and "<a>" not in page and "&lt;a&gt;" in page
    dots, measures = second.split("ez-probes")[1].split("ez-evidence")
    assert 'cx="25.0%"' in measures and 'cx="100.0%"' in measures and "&lt;closing&gt;" in measures
    assert measures.count('cx="50.0%"') == 1, "90 of 180 degrees; the other has no curvature"
    assert 'ez-first"><line x1="0" x2="50.0%"' in measures, "in the colour of the base"
    assert all(text in measures for text in ("any frame", "90°<br>–", MEANING["any_frame"][1]))
    assert dots.count("ez-hollow") == 1 and 'ez-second ez-hollow"><line x1="0" x2="25.0%"' in dots
    assert dots.count('cx="50.0%"') == 3, "two of the blind model, one of the other"
    assert page.index("ez-verdict") < page.index("<svg") < page.index("<details>") < page.index("<table")
