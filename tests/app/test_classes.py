"""The tabs Classes and Out of distribution without Gradio: zips, folders, tables, and what ships."""

import json
import threading
import zipfile
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch

from app import widgets
from app.actions import classes
from app.services import Services
from ezclip.data.manifest import Row
from ezclip.data.tabletop.truth import find_masks, sample_entry
from ezclip.errors import UserError
from ezclip.evaluation.embed import embed
from ezclip.evaluation.run import evaluate
from ezclip.evaluation.shipped import draw_test_clip, measured, shipped_report, shipped_study, shipped_variants
from ezclip.evaluation.summary import class_accuracies
from ezclip.progress import Step
from ezclip.studies.analysis import finish
from ezclip.studies.classes import read_predictions, study_tables
from tests.conftest import write_video

SAMPLES = sorted((Path(__file__).parents[2] / "assets" / "samples").glob("*.mp4"))
PAIR = ("tabletop/base", "tabletop/ezclip")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "clips.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for label in ("waving", "jumping"):
            for i in range(6):
                video = write_video(tmp_path / f"{label}{i}.mp4", count=10 + i)
                packed.write(video, f"clips/{label}/{i}.mp4")
        packed.writestr("clips/waving/notes.txt", f"not a video, and another zip for each test: {path}")
        packed.writestr("../outside.mp4", b"x")
    return path


def test_classes_of_a_zip(services: Services, archive: Path) -> None:
    folder = classes.unpacked_zip(services, str(archive))
    study = finish(classes.evaluate_classes(services, folder, *PAIR))
    assert study.comparison.overall.n == 12 and [len(e.rows) for e in study.evaluations] == [12, 12]
    scratch = Path(services._scratch.name)
    assert not any((folder / "outside.mp4").exists() for folder in (scratch, scratch.parent))
    page = widgets.class_tables(study) + widgets.class_pictures(study) + widgets.class_plane(study.class_map)
    assert page.count("data-row=") == 24 and page.count("<figure>") == 2
    alone = finish(classes.evaluate_classes(services, folder, PAIR[0], PAIR[0]))
    assert alone.comparison is None and alone.class_map is None
    assert widgets.class_pictures(alone).count("<figure>") == 1 and "waving" in widgets.class_tables(alone)
    with pytest.raises(UserError, match="not a zip"):
        classes.unpacked_zip(services, str(SAMPLES[0]))


def test_classes_of_an_uploaded_folder(services: Services, tmp_path: Path) -> None:
    """The browser sends files without their folders; the page sends the names beside them."""
    files, names = [], []
    for label in ("waving", "jumping"):
        (tmp_path / label).mkdir()
        files.append(str(write_video(tmp_path / label / "1.mp4", count=9)))
        names.append(f"clips/{label}/1.mp4")
    (tmp_path / "notes.txt").write_text("no video")
    folder = classes.uploaded_folder(services, [*files, str(tmp_path / "notes.txt")], [*names, "clips/notes.txt"])
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*")) == ["jumping/1.mp4", "waving/1.mp4"]
    assert classes.uploaded_folder(services, files, names) == folder, "the same content, the same place"
    study = finish(classes.evaluate_classes(services, folder, *PAIR))
    assert study.comparison.overall.n == 2
    strange = [
        "clips/../../waving/1.mp4",
        "/etc/1.mp4",
        "..\\..\\1.mp4",
        "C:x/1.mp4",
        "a\0/1.mp4",
        "..",
        "a//1.mp4",
        "",
    ]
    for bad in (names[:1], *([name, names[1]] for name in strange)):
        with pytest.raises(UserError, match="did not arrive whole"):
            classes.uploaded_folder(services, files, bad)


def test_a_cancelled_zip_goes_on_where_it_stopped(
    services: Services, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = []
    monkeypatch.setattr(
        "ezclip.evaluation.embed.embed", lambda p, rows, **how: encoded.extend(rows) or embed(p, rows, **how)
    )
    folder = classes.unpacked_zip(services, str(archive))
    first = classes.evaluate_classes(services, folder, *PAIR)
    while len(encoded) < classes.BATCH:
        assert isinstance(next(first), Step)
    first.close()  # type: ignore[attr-defined]
    study = finish(classes.evaluate_classes(services, folder, *PAIR))
    assert study.comparison.overall.n == 12
    again = finish(classes.evaluate_classes(services, folder, *PAIR, texts="a video of {}"))
    assert not torch.equal(again.model.scores, study.model.scores)
    assert len(encoded) == 24, "every clip once under each model, also for other texts"


def test_a_batch_that_ends_after_its_cancel_counts_once(
    services: Services, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancel frees the queue while a batch is still at work; the next run must not add it again."""
    begun, let_go = threading.Event(), threading.Event()

    def slow(*arguments, **options):  # type: ignore[no-untyped-def]
        if not begun.is_set():
            begun.set()
            let_go.wait(30)
        return embed(*arguments, **options)

    monkeypatch.setattr("ezclip.evaluation.embed.embed", slow)
    folder = classes.unpacked_zip(services, str(archive))
    first = classes.evaluate_classes(services, folder, *PAIR)
    next(first)
    cancelled = threading.Thread(target=lambda: next(first))
    cancelled.start()
    assert begun.wait(30)
    second = classes.evaluate_classes(services, folder, *PAIR)
    assert isinstance(next(second), Step)
    let_go.set()
    cancelled.join(30)
    study = finish(second)
    assert [len(e.rows) for e in study.evaluations] == [12, 12] and study.comparison.overall.n == 12


def test_tables_of_predictions(tmp_path: Path) -> None:
    good = tmp_path / "good.csv"
    good.write_text("path,label,prediction,a,b\nx/1.mp4,a,a,0.9,0.1\nx/2.mp4,b,a,0.8,0.2\n")
    found = read_predictions(str(good), "first")
    assert found.labels == ["a", "b"] and found.scores.argmax(dim=1).tolist() == [0, 0]
    (tmp_path / "bad.csv").write_text("path,label,prediction,a,b\nx/1.mp4,c,a,0.9,0.1\n")
    with pytest.raises(UserError, match="row 2"):
        read_predictions(str(tmp_path / "bad.csv"), "first")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="does not start with"):
        read_predictions(str(tmp_path / "other.csv"), "first")


def test_one_table_alone(tmp_path: Path) -> None:
    table = tmp_path / "one.csv"
    table.write_text("path,label,prediction,a,b\nx/1.mp4,a,a,0.9,0.1\nx/2.mp4,b,a,0.8,0.2\nx/3.mp4,b,b,0.1,0.9\n")
    study = study_tables([table])
    assert study.comparison is None and study.verdict == "table is right on 66.7% of 3 clips of 2 classes."
    low, high = class_accuracies(study.model)["b"][1:]
    # Wilson by hand for 1 of 2: (1/2 + z²/4) / (1 + z²/2) ± z/(1 + z²/2) sqrt(1/8 + z²/16), z = 1.96
    assert (low, high) == (pytest.approx(0.0945, abs=1e-3), pytest.approx(0.9055, abs=1e-3))
    files = study.report({}).write(tmp_path / "out")
    assert {"classes", "classes_chart", "confusion_table", "predictions"} <= set(files)
    assert "classwise" not in files


def test_shipped_results() -> None:
    report = shipped_report()
    assert set(shipped_variants()) >= {"base", "motion", "prompts", "ezclip"}
    study = shipped_study(["base", "ezclip"])
    assert json.dumps(study.comparison.as_json()) == json.dumps(report["comparisons"]["base->ezclip"])
    told = report["class_maps"]["base->ezclip"]
    assert study.class_map.as_json() == told
    assert widgets.class_plane(study.class_map).count("data-row") == 2 * len(told["clips"])
    for pair in permutations(shipped_variants(), 2):
        mapped = shipped_study(pair).class_map
        assert mapped.models == list(mapped.silhouette) == list(pair) and mapped.points.shape == (
            2,
            len(mapped.rows),
            2,
        )
    turned = shipped_study(["ezclip", "base"]).class_map
    assert np.array_equal(turned.points, study.class_map.points[::-1])
    assert measured("ezclip")["families"]["night"]["n"] > 0 and measured("x") == {}
    with pytest.raises(UserError, match="No answers of 'x' ship"):
        shipped_study(["x", "base"])


def test_a_shipped_test_clip_can_be_drawn_again(services: Services, tmp_path: Path) -> None:
    row = shipped_study(["base", "ezclip"]).class_map.rows[0]
    drawn = draw_test_clip(row, tmp_path)
    assert f"{drawn.parent.name}/{drawn.name}" == row.short_name and find_masks(drawn) is not None
    known = shipped_study(["ezclip"]).model
    then = dict(zip(known.labels, known.scores[[r.short_name for r in known.rows].index(row.short_name)].tolist()))
    now = evaluate(services.predictor("tabletop/ezclip"), [Row(drawn, row.label)], known.labels)
    again = dict(zip(known.labels, now.scores[0].tolist()))
    assert max(again, key=again.get) == max(then, key=then.get)
    assert max(abs(again[label] - then[label]) for label in then) < 0.03, "the clip that was measured"
    for bad in (Row(Path("x/1.mp4"), "waving"), Row(Path("x/y.mp4"), row.label)):
        with pytest.raises(UserError, match="no clip of Tabletop Motion"):
            draw_test_clip(bad, tmp_path)


def test_the_gallery_names_every_family() -> None:
    entries = [(str(path), entry) for path in SAMPLES if (entry := sample_entry(path) or {}).get("family")]
    page = widgets.gallery(entries, {v: measured(v)["families"] for v in shipped_variants()})
    assert page.count("<button") == len(entries) == 9
    told = measured("ezclip")["families"]["night"]["top1"]
    assert "night" in page and f"{told:.0%}" in page
