"""Zips and folders of classes from a browser, evaluated."""

import threading
import zipfile
from pathlib import Path

import pytest
import torch

from app.actions import uploads
from app.services import Services
from ezclip.errors import UserError
from ezclip.evaluation.embed import Encoder, embed
from ezclip.progress import Progress, Steps, finish
from ezclip.studies.classes import ClassStudy, Evaluate
from tests.conftest import write_video

SAMPLES = sorted((Path(__file__).parents[2] / "assets" / "samples").glob("*.mp4"))
PAIR = ("tabletop/base", "tabletop/ezclip")


def evaluate(services: Services, folder: Path, baseline: str, model: str, texts: str = "trained") -> Steps[ClassStudy]:
    return Evaluate(str(folder), model=model, baseline=baseline, texts=texts).run(services)


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
    folder = uploads.unpack_zip(services, str(archive))
    study = finish(evaluate(services, folder, *PAIR))
    assert study.comparison.overall.n == 12 and [len(e.rows) for e in study.evaluations] == [12, 12]
    scratch = Path(services._scratch.name)
    assert not any((folder / "outside.mp4").exists() for folder in (scratch, scratch.parent))
    assert len(study.class_map.rows) == 12
    alone = finish(evaluate(services, folder, PAIR[0], PAIR[0]))
    assert alone.comparison is None and alone.class_map is None
    with pytest.raises(UserError, match="not a zip"):
        uploads.unpack_zip(services, str(SAMPLES[0]))


def test_classes_of_an_uploaded_folder(services: Services, tmp_path: Path) -> None:
    """The browser sends files without their folders; the page sends the names alongside."""
    files, names = [], []
    for label in ("waving", "jumping"):
        (tmp_path / label).mkdir()
        files.append(str(write_video(tmp_path / label / "1.mp4", count=9)))
        names.append(f"clips/{label}/1.mp4")
    (tmp_path / "notes.txt").write_text("no video")
    folder = uploads.copy_uploaded_folder(services, [*files, str(tmp_path / "notes.txt")], [*names, "clips/notes.txt"])
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*")) == ["jumping/1.mp4", "waving/1.mp4"]
    assert uploads.copy_uploaded_folder(services, files, names) == folder, "the same content, the same place"
    study = finish(evaluate(services, folder, *PAIR))
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
        with pytest.raises(UserError, match="upload is incomplete"):
            uploads.copy_uploaded_folder(services, files, bad)


def test_a_cancelled_zip_goes_on_where_it_stopped(
    services: Services, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded, start = [], Encoder.start
    monkeypatch.setattr(Encoder, "start", lambda self, clips, *rest: encoded.extend(clips) or start(self, clips, *rest))
    folder = uploads.unpack_zip(services, str(archive))
    first = evaluate(services, folder, *PAIR)
    while not encoded:
        next(first)
    next(first)
    first.close()
    study = finish(evaluate(services, folder, *PAIR))
    assert study.comparison.overall.n == 12
    again = finish(evaluate(services, folder, *PAIR, texts="a video of {}"))
    assert not torch.equal(again.model.scores, study.model.scores)
    assert len(encoded) == 24, "every clip once under each model, also for other texts"


def test_a_batch_that_ends_after_its_cancel_counts_once(
    services: Services, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancel frees the queue while a batch is still running; the next run must not add it again."""
    begun, let_go = threading.Event(), threading.Event()

    def slow(*arguments, **options):  # type: ignore[no-untyped-def]
        if not begun.is_set():
            begun.set()
            let_go.wait(30)
        return embed(*arguments, **options)

    monkeypatch.setattr("ezclip.evaluation.embed.embed", slow)
    folder = uploads.unpack_zip(services, str(archive))
    first = evaluate(services, folder, *PAIR)

    def run_until_cancelled() -> None:
        for _ in first:
            if let_go.is_set():
                return

    cancelled = threading.Thread(target=run_until_cancelled)
    cancelled.start()
    assert begun.wait(30)
    second = evaluate(services, folder, *PAIR)
    assert isinstance(next(second), Progress)
    let_go.set()
    cancelled.join(30)
    study = finish(second)
    assert [len(e.rows) for e in study.evaluations] == [12, 12] and study.comparison.overall.n == 12
