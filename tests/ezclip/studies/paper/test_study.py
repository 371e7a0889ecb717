"""Figures like the paper's: contents, file formats, and provenance."""

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text
from PIL import Image

from ezclip.errors import UserError
from ezclip.figures.paper import DPI, WIDTHS, Look, frames_that_fit
from ezclip.files import sha256_of
from ezclip.progress import finish
from ezclip.studies.analysis import Analyse
from ezclip.studies.analysis_report import Analysis
from ezclip.studies.classes import Classes
from ezclip.studies.frames import CompareFrames
from ezclip.studies.host import Host
from ezclip.studies.paper.caption import escaped
from ezclip.studies.paper.study import DrawnFigure, PaperFigure, _parse_numbers, figure_of
from tests.ezclip.studies.conftest import SAMPLES

ADAPTER = Path("checkpoints/tabletop/ezclip/adapter.safetensors")


@pytest.fixture(scope="module")
def analysis(host: Host) -> Analysis:
    return finish(Analyse(str(SAMPLES[0]), "one, two_$3", difference=True).run(host))


def words(drawn: DrawnFigure) -> set[str]:
    return {text.get_text() for text in drawn.figure.findobj(Text)}


def pictures(drawn: DrawnFigure) -> int:
    return sum(len(axis.images) for axis in drawn.figure.axes)


def test_frame_numbers() -> None:
    assert _parse_numbers("1, 3,5 - 7", 8) == [0, 2, 4, 5, 6] and _parse_numbers("", 8) == []
    for wrong in ("0", "9", "7-9", "5-3", "a", "1.5"):
        with pytest.raises(UserError, match="from 1 to 8"):
            _parse_numbers(wrong, 8)


def test_frames_have_half_an_inch() -> None:
    assert frames_that_fit(8, 1, Look(columns=2)) == list(range(8))
    assert frames_that_fit(8, 2, Look(columns=2)) == [0, 1, 3, 4, 6, 7], "6 of 8, evenly spaced"
    assert len(frames_that_fit(8, 1, Look(columns=1))) == 5


def test_maps_of_an_analysis(analysis: Analysis, tmp_path: Path) -> None:
    drawn = figure_of(analysis, rows=("input", "tabletop/ezclip", "difference"), frame_numbers="1,8", columns=1)
    assert pictures(drawn) == 3 * 2
    seconds = analysis.clip.seconds
    assert {f"{seconds[0]:.2f} s", f"{seconds[7]:.2f} s", "difference", "heat, × uniform"} <= words(drawn)
    files = drawn.write(tmp_path)
    assert {path.name for path in files.values()} == {
        *(f"figure4.{kind}" for kind in ("pdf", "svg", "png", "tex")),
        "names.txt",
    }
    assert Image.open(files["png"]).size[0] == round(WIDTHS[1] * DPI)
    assert "difference</text>" in files["svg"].read_text("utf-8"), "its text is text"
    assert b"/FontFile2" in files["pdf"].read_bytes(), "its fonts are TrueType"
    source = files["tex"].read_text("utf-8")
    for provenance in (sha256_of(ADAPTER), sha256_of(SAMPLES[0]), "--frame-numbers 1,8", "--columns 1"):
        assert provenance in source.split("\\begin")[0]
    assert escaped(analysis.verdict) in source


def test_all_rows_are_those_of_the_analysis(analysis: Analysis) -> None:
    drawn = figure_of(analysis)
    assert pictures(drawn) == 3 * 8 and drawn.study.look == Look()
    with pytest.raises(UserError, match="There is no row 'tabletop/motion'"):
        figure_of(analysis, rows=("tabletop/motion",))
    with pytest.raises(UserError, match="cannot be subtracted"):
        figure_of(replace(analysis, study=analysis.study.replace(difference=False)), rows=("difference",))


@pytest.mark.slow
def test_a_command_draws_what_the_page_exports(host: Host) -> None:
    """The same parameters give the same picture, with or without a precomputed result."""
    analysis = finish(Analyse(str(SAMPLES[1])).run(host))
    expected = figure_of(analysis, rows=("input", "tabletop/ezclip"), frame_numbers="2-4")
    again = finish(
        PaperFigure("4", (str(SAMPLES[1]),), rows=("input", "tabletop/ezclip"), frame_numbers="2-4").run(host)
    )
    assert again.caption == expected.caption
    for one, other in zip(again.figure.axes, expected.figure.axes, strict=True):
        for a, b in zip(one.images, other.images, strict=True):
            assert (a.get_array() == b.get_array()).all()  # type: ignore[union-attr]


@pytest.mark.slow
def test_samples_are_the_default_clips(host: Host) -> None:
    drawn = finish(PaperFigure("7", look=Look(columns=1)).run(host))
    assert pictures(drawn) == 4 * 2 * 5 and "(d) 17_drawing" in words(drawn)
    assert "tabletop/base" not in drawn.caption, "the paper's Fig. 7 has one model"
    assert len(drawn.clips) == 4


def test_classes_with_their_videos(host: Host) -> None:
    drawn = finish(PaperFigure("5").run(host))
    result = finish(Classes("base", "ezclip").run(host))
    assert len(drawn.figure.findobj(Axes)) == 3
    assert {"Pulling something from right to left", "base", "ezclip", "top-1, %"} <= words(drawn)
    assert sha256_of(ADAPTER) in drawn.made_of["model tabletop/ezclip"]
    assert figure_of(result, columns=1).study.command() == "python -m ezclip figure 5 --baseline tabletop/base " + (
        "--columns 1 --out figure"
    )
    with pytest.raises(UserError, match="compares two models"):
        figure_of(finish(Classes("base").run(host)))


def test_frames_in_a_plane(host: Host) -> None:
    result = finish(CompareFrames((str(SAMPLES[0]), str(SAMPLES[1])), projection="PCA").run(host))
    drawn = figure_of(result, font="sans")
    assert {"tabletop/prompts", "tabletop/ezclip", f"A. {SAMPLES[0].stem}"} <= words(drawn)
    assert result.verdict in drawn.caption and len(drawn.clips) == 2
    assert "--projection PCA" in drawn.made_of["command"] and "--font sans" in drawn.made_of["command"]


def test_a_clip_given_twice_keeps_the_other_ones_hash(host: Host) -> None:
    """The frames of a repeated clip are projected once."""
    first, second = SAMPLES[:2]
    result = finish(CompareFrames(clips=(str(first), str(first), str(second))).run(host))
    drawn = PaperFigure(figure="8").from_frames(result)
    assert drawn.clips == {Path(path).name: sha256_of(Path(path)) for path in (first, second)}


def test_clips_of_one_name_in_two_folders_keep_both_hashes(host: Host, tmp_path: Path) -> None:
    clips = [tmp_path / folder / "clip.mp4" for folder in ("a", "b")]
    for clip, sample in zip(clips, SAMPLES):
        clip.parent.mkdir()
        clip.write_bytes(sample.read_bytes())
    result = finish(CompareFrames(clips=tuple(map(str, clips))).run(host))
    drawn = PaperFigure(figure="8").from_frames(result)
    assert drawn.clips == {f"{n}. clip.mp4": sha256_of(sample) for n, sample in zip((1, 2), SAMPLES)}
