"""Reports: every form is written, user text is escaped, and nothing points outside."""

import json
import re
from pathlib import Path

import numpy as np

from ezclip.figures import charts
from ezclip.figures.report import Picture, Report, Table

NASTY = '<script>alert("x")</script>'


def test_all_forms(tmp_path: Path) -> None:
    table = Table("numbers", "Numbers", ["class", "top-1"], [[NASTY, 0.5], ["b", np.float32(1.0)]], "How to read it.")
    hidden = Table("every", "Every clip", ["path"], [["secret.mp4"]], on_page=False)
    figure = charts.differences([(NASTY, (0.2, 0.1, 0.3)), ("b", (-0.1, -0.2, 0.0))], title="t")
    report = Report("A report", NASTY, {"n": 2}, {"model": NASTY}, [table, hidden, Picture("chart", "Chart", figure)])
    files = report.write(tmp_path / "out")
    forms = {"report", "page", "numbers", "numbers.json", "every", "every.json", "chart", "chart.svg"}
    assert set(files) == forms
    assert json.loads(files["numbers.json"].read_text())[1] == {"class": "b", "top-1": 1.0}
    assert "<svg" in files["chart.svg"].read_text()
    assert json.loads(files["report"].read_text()) == {"n": 2}
    assert files["numbers"].read_text().splitlines()[0] == "class,top-1"
    assert files["chart"].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    page = files["page"].read_text()
    assert NASTY not in page and "&lt;script&gt;" in page and "0.500" in page
    assert "secret.mp4" not in page
    assert not re.search(r'(src|href)\s*=\s*"(?!data:)', page), "the page points outside"


def test_charts_show_what_they_are_given() -> None:
    figure = charts.differences([(str(i), (i / 100, 0.0, 0.5)) for i in range(40)], title="t", limit=20)
    (axis,) = figure.axes
    assert len(axis.patches) == 20
    assert [label.get_text() for label in axis.get_yticklabels()][-1] == "39"

    nan = float("nan")
    figure = charts.grouped(["a", "b"], {"x": [(0.5, 0.4, 0.6), (nan, nan, nan)]}, title="t", axis_label="y")
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights[0] == 50 and np.isnan(heights[1])

    figure = charts.confusion(np.array([[3, 1], [0, 4]]), ["a", "b"], title="t")
    assert figure.axes[0].images[0].get_array().tolist() == [[0.75, 0.25], [0.0, 1.0]]

    points = np.arange(16.0).reshape(8, 2)
    figure = charts.plane(points, ["m"] * 4 + ["n"] * 4, ["c", "c", "d", "d"] * 2, title="t", trajectories=True)
    assert [axis.get_title() for axis in figure.axes] == ["m", "n"]
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()


def test_confusions_of_many_classes_stay_a_picture_of_usual_size() -> None:
    figure = charts.confusion(np.eye(2000, dtype=int), [str(i) for i in range(2000)], title="t")
    width, height = figure.get_size_inches()
    assert max(width, height) < 16


def test_dumbbells_go_from_the_first_value_to_the_second() -> None:
    rows = [("gains", 0.5, (0.25, -0.75, 0.75)), ("loses", 0.5, (-0.25, -0.5, 0.0)), ("stays", 1.0, (0.0, 0.0, 0.0))]
    axis = charts.dumbbells(rows, ("base", "ezclip"), title="t", limit=2).axes[0]
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["loses", "gains"], "from below; the largest on top"
    first, second = (collection.get_offsets()[:, 0].tolist() for collection in axis.collections[-2:])
    assert first == [50, 50] and second == [25, 75]
    assert [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axis.patches] == [(0, 50), (0, 100)], "in the axis"


def test_slopes_have_a_dashed_line_for_the_opposite() -> None:
    series = {"base": [("a", 0.5, 0.5)], "ezclip": [("a", 1.0, 0.25), ("b", 0.0, 0.75)]}
    figure = charts.slopes(series, ends=("forward", "reversed"), title="t")
    lines = [axis.get_lines() for axis in figure.axes]
    assert [[list(line.get_ydata()) for line in group] for group in lines] == [[[50, 50]], [[100, 25], [0, 75]]]
    assert [line.get_linestyle() for line in lines[1]] == ["-", "--"]
