"""The shipped predictions against the shipped report, and the study's clips drawn again."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ezclip.checkpoints.cards import STATIC_SHEET, shipped_report
from ezclip.data.manifest import Row
from ezclip.data.tabletop.generate import example_pictures
from ezclip.data.tabletop.scene import MOVING
from ezclip.data.tabletop.truth import find_masks
from ezclip.errors import UserError
from ezclip.evaluation.run import evaluate
from ezclip.evaluation.shipped import (
    draw_test_clip,
    draw_test_images,
    draw_version,
    shipped_evaluations,
    shipped_map,
)
from ezclip.predictor import Predictor
from ezclip.progress import finish
from ezclip.video.read import read_clip


def test_predictions_have_the_accuracies_of_the_report() -> None:
    """16 clips of each of 31 classes, of which 28 have a twin."""
    evaluations = shipped_evaluations(["base", "ezclip"])
    assert [e.model for e in evaluations] == ["base", "ezclip"]
    for e in evaluations:
        assert set(Counter(row.label for row in e.rows).values()) == {16} and len(e.rows) == 31 * 16
        partners = {row.label: row.partner for row in e.rows}
        assert partners["Opening something"] == "Closing something" and partners["Holding something"] is None
        assert sum(partner is not None for partner in partners.values()) == 28
        reported = shipped_report()["test"][e.model]
        for name in ("n", "top1", "within_pairs"):
            assert e.report()[name] == pytest.approx(reported[name], abs=1e-6), name


def test_the_map_is_of_two_variants_in_the_order_asked_for() -> None:
    there, back = shipped_map(["base", "ezclip"]), shipped_map(["ezclip", "base"])
    assert there is not None and back is not None
    assert (there.models, back.models) == (["base", "ezclip"], ["ezclip", "base"])
    assert np.array_equal(there.points, back.points[::-1]) and not np.array_equal(there.points, back.points)
    assert shipped_map(["base"]) is None and shipped_map(["base", "x"]) is None


def test_a_shipped_test_clip_can_be_drawn_again(tmp_path: Path) -> None:
    mapped = shipped_map(["base", "ezclip"])
    assert mapped is not None
    row = mapped.rows[0]
    drawn = draw_test_clip(row, tmp_path)
    assert f"{drawn.parent.name}/{drawn.name}" == row.short_name and find_masks(drawn) is not None
    (saved,) = shipped_evaluations(["ezclip"])
    then = dict(zip(saved.labels, saved.scores[[r.short_name for r in saved.rows].index(row.short_name)].tolist()))
    predictor = Predictor.load("tabletop/ezclip", device="cpu")
    now = finish(evaluate(predictor, [Row(drawn, row.label)], saved.labels))
    again = dict(zip(saved.labels, now.scores[0].tolist()))
    assert max(again, key=again.get) == max(then, key=then.get)
    assert max(abs(again[label] - then[label]) for label in then) < 0.03, "the clip that was measured"
    for bad in (Row(Path("x/1.mp4"), "waving"), Row(Path("x/y.mp4"), row.label)):
        with pytest.raises(UserError, match="Tabletop Motion"):
            draw_test_clip(bad, tmp_path)


def test_the_images_of_a_twin_are_those_of_the_file_backwards(tmp_path: Path) -> None:
    row = Row(Path("Opening_something/00003.mp4"), "Opening something")
    images = draw_test_images(row)
    twin = draw_test_images(Row(Path("Closing_something/00003.mp4"), "Closing something"))
    assert np.array_equal(images, twin[::-1]) and not np.array_equal(images, twin)
    written = read_clip(draw_test_clip(row, tmp_path), lambda total: [*range(total)]).images
    assert written.shape == images.shape and np.abs(written.astype(float) - images).mean() < 6, "but for the encoding"
    with pytest.raises(UserError, match="waving/1.mp4 is not a clip of Tabletop Motion"):
        draw_test_images(Row(Path("waving/1.mp4"), "waving"))


@pytest.mark.parametrize(
    ("version", "number", "moves", "still"),
    [("original", 6, True, False), ("background_only", 7, False, False), ("still_stripes", 9, True, True)],
)
def test_a_version_of_the_example(version: str, number: int, moves: bool, still: bool, tmp_path: Path) -> None:
    """Scene 1 of six versions starts at clip 6; the camera always moves a little, except in the repeated frame."""
    path = draw_version(version, tmp_path)
    assert path == tmp_path / f"static/Opening_something/{number:05d}.mp4"
    masks = find_masks(path)
    assert masks is not None and (masks == MOVING).any() == moves and (masks == masks[0]).all() == still
    middle = read_clip(path, lambda total: [total // 2]).images[0].astype(float)
    off = {
        name: np.abs(picture - middle).mean() for name, picture in example_pictures(Image.open(STATIC_SHEET)).items()
    }
    assert min(off, key=off.__getitem__) == version and off[version] < 6, "the clip of the shipped picture"
