"""Windows over a long video."""

from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

import ezclip.studies.timeline as timeline
from ezclip.errors import UserError
from ezclip.model.interface import Video
from ezclip.progress import Watch, finish
from ezclip.studies.host import Host
from ezclip.studies.timeline import ScoreTimeline, Timeline
from ezclip.types import Clip
from tests.conftest import write_video
from tests.ezclip.studies.conftest import SAMPLES


def test_windows_over_a_long_video(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "long.mp4", count=120, rate=12)  # 10 seconds
    study = ScoreTimeline(str(path), "a, b", baseline="tabletop/base")
    watch = Watch(study.run(host))
    shares = [step.fraction for step in watch if step.message.startswith("window")]
    assert len(shares) == 9 and shares == sorted(shares) and 0.9 < shares[-1] <= 1
    result = watch.result
    starts = [m.start for m in result.moments]
    assert len(starts) == 9 and np.allclose(np.diff(starts), 1.0, atol=0.1)
    assert all(m.end - m.start < 2.0 for m in result.moments)
    assert result.text().startswith("These are guesses") and "%" not in result.text()
    assert result.text().count("   guess  ") == 2 * 9 and result.report().lead.startswith(f"{result.caveat}9 windows")
    monkeypatch.setattr("ezclip.studies.timeline.Windows", lambda *_, **__: pytest.fail("decoded again"))
    other = finish(replace(study, labels="c, b, d").run(host))
    assert other.moments[0].labels == ["c", "b", "d"]
    for name in result.moments[0].scores:
        for one, two in zip(result.moments, other.moments, strict=True):
            assert one.scores[name][1, 1] == pytest.approx(two.scores[name][1, 1]), "the logit of b"


def test_a_long_timeline_is_drawn_ever_more_rarely(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("tabletop/base", "tabletop/ezclip")
    videos = {name: Video(host.predictor(name).encode_texts(["b"])[None]) for name in names}  # those of the text "b"
    picture = np.zeros((timeline.SIDE, timeline.SIDE, 3), np.uint8)
    clip = Clip("long", np.zeros((8, 4, 4, 3), np.uint8), np.arange(8), np.arange(8.0), total=8)
    clips, starts = iter([clip] * 1000), count()

    class ThousandWindows:
        def __init__(self, *_: object, **__: object):
            pass

        def next(self, _: object) -> Clip | None:
            return next(clips, None)

        def close(self) -> None:
            pass

    def window(*_: object) -> timeline.Window:
        start = float(next(starts))
        return timeline.Window(start, start + 2.0, videos, picture, np.ones((12, 12)))

    monkeypatch.setattr(timeline, "Windows", ThousandWindows)
    monkeypatch.setattr(timeline, "observe", window)
    study = ScoreTimeline(str(SAMPLES[0]), "a, b", baseline=names[0], texts="names", seconds=3.0, step=0.5)
    watch = Watch(study.run(host))
    drawn = [len(step.partial.moments) for step in watch if isinstance(step.partial, Timeline)]
    assert drawn[:3] == [1, 2, 3] and len(watch.result.moments) == 1000 and sum(drawn) < 15_000
    assert len(watch.result.report().data["windows"]) == 1000
    assert [p.label for p in watch.result.moments[0].ranked(names[0])] == ["b", "a"]


@pytest.mark.parametrize("wrong", [{"seconds": 0}, {"step": 0.01}, {"top_k": 0}])
def test_lengths_out_of_range(wrong: dict) -> None:
    with pytest.raises(UserError, match="at least|between"):
        ScoreTimeline("a.mp4", **wrong)
