"""The files of an analysis, and the command that repeats it."""

import csv
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ezclip.cli import main
from ezclip.explanation.faithfulness import measure_maps
from ezclip.explanation.methods import MapSettings
from ezclip.figures.overlay_video import BAND, SIDE
from ezclip.progress import finish
from ezclip.studies.analysis import Analyse
from ezclip.studies.analysis_report import HOLD, Analysis, commands, save_maps, save_overlay
from ezclip.studies.host import Host
from ezclip.video.read import read_clip
from tests.conftest import assert_same, write_video
from tests.ezclip.studies.test_analysis import LABELS


@pytest.fixture(scope="module")
def analysis(host: Host, movie: Path) -> Analysis:
    return finish(Analyse(str(movie), LABELS).run(host))


def test_maps_and_overlay(analysis: Analysis, tmp_path: Path) -> None:
    with np.load(save_maps(tmp_path / "maps.npz", analysis)) as arrays:
        assert arrays["heat"].shape[:2] == (2, 8) and list(arrays["models"]) == ["tabletop/base", "tabletop/ezclip"]
        assert arrays["prompts"].shape == (4, 8, 8)
    still = replace(analysis, clip=replace(analysis.clip, images=analysis.clip.images[:1].repeat(8, axis=0)))
    overlay = read_clip(save_overlay(tmp_path / "o.mp4", still), lambda n: [0, n - 1])
    assert overlay.images.shape[1:] == (SIDE + 2 * BAND, 3 * SIDE, 3) and overlay.total == 8 * HOLD
    first, last = overlay.images.astype(int)
    above, below = first[:BAND], first[-BAND:]
    assert all(above[:, i * SIDE : (i + 1) * SIDE].max() > 200 for i in range(3)), "a title above each panel"
    assert below[:, 60:].max() > 200, "the colour scale"
    assert np.abs(above - last[:BAND]).max() < 40, "the names stay"
    assert np.abs(below - last[-BAND:])[:, :60].max() > 100, "the time is another one"


@pytest.mark.slow
def test_everything_is_written(analysis: Analysis, tmp_path: Path) -> None:
    files = analysis.write(tmp_path)
    text = files["page"].read_text()
    assert "&lt;b&gt;lifting" in text and "sha256" in text and "python -m ezclip analyse" in text
    assert not re.search(r'(src|href)\s*=\s*"(?!data:)', text)
    inside = {"report.json", "report.html", "strip.png", "spread.csv", "names.txt", "maps.npz", "overlay.mp4"}
    names = {path.name for path in tmp_path.iterdir()}
    assert inside | {"influence_matrix.csv", "prompts.svg", "prompts_by_layer.csv"} <= names
    rows = list(csv.reader((tmp_path / "prompts_by_layer.csv").read_text().splitlines()))[1:]
    rounding = 2**-9  # of probabilities in bfloat16
    assert len(rows) == 4 * 8 and all(sum(map(float, row[2:])) == pytest.approx(1, abs=rounding) for row in rows)


@pytest.mark.slow
def test_the_command_in_the_report_repeats_it(
    host: Host, movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command runs on the exported files next to the clip and gives the same numbers."""
    monkeypatch.setitem(measure_maps.__kwdefaults__, "orders", 4)  # their number does not matter here
    study = Analyse(
        str(movie), LABELS, texts="templates", sentences={"pushing something": "A hand, pushing; slowly."},
        method="gradient-rollout", target="pushing something", settings=MapSettings(discard=0.5), difference=True,
        further=("tabletop/prompts",), opacity=0.3, faithfulness=True,
    )  # fmt: skip
    result = finish(study.run(host))
    result.write(tmp_path)
    (tmp_path / movie.name).write_bytes(movie.read_bytes())
    command = next(line for line in commands(result).splitlines() if line.startswith("python -m ezclip"))
    monkeypatch.chdir(tmp_path)
    assert main([*shlex.split(command)[3:], "--device", "cpu"]) == 0
    here, there = (json.loads((tmp_path / name).read_text()) for name in ("report.json", "analyse/report.json"))
    assert_same(here, there)
    assert here["proof"][0]["deletion"] is not None and len(here["models"]) == 3
    assert (tmp_path / "analyse" / "sentences.csv").read_text() == (tmp_path / "sentences.csv").read_text()
    code, names = commands(result).partition("# Python")[2], {}
    exec(code, names)
    for here, there in zip(result.results, names["result"].results, strict=True):
        assert here.name == there.name and [p.label for p in here.predictions] == [p.label for p in there.predictions]
        assert np.allclose(here.attribution.heat, there.attribution.heat, rtol=0.05, atol=1e-5)


@pytest.mark.slow
def test_a_folder_of_frames_is_analysed_and_reported(host: Host, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "frames").mkdir()
    clip = read_clip(write_video(tmp_path / "a.mp4", count=9), lambda n: list(range(n)))
    for i, image in enumerate(clip.images):
        Image.fromarray(image).save(tmp_path / "frames" / f"img_{i:05d}.png")
    files = finish(Analyse(str(tmp_path / "frames"), "one, two").run(host)).write(tmp_path / "out")
    assert "frames, sha256" in files["page"].read_text()
