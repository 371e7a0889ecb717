"""What the buttons do, without Gradio."""

from pathlib import Path

import pytest

from app import actions, widgets
from app.actions import Analysis, Step, analyse, preview_pair, set_text, wanted_labels
from app.services import Services
from ezclip.errors import LabelError, UserError, VideoError
from ezclip.text.labels import label_set, label_sets
from tests.conftest import write_video

LABELS = 'pushing something, "<b>lifting</b>, slowly"'


@pytest.fixture(scope="module")
def analysis(services: Services, movie: Path) -> Analysis:
    steps = list(analyse(services, str(movie), LABELS, "tabletop/base", "tabletop/ezclip"))
    assert [s.done for s in steps[:-1] if isinstance(s, Step)] == [0, 1, 2, 3, 4, 5]
    assert isinstance(steps[-1], Analysis)
    return steps[-1]


def test_both_models_answer_on_the_same_frames(analysis: Analysis, services: Services) -> None:
    assert [r.name for r in (analysis.baseline, analysis.model)] == ["tabletop/base", "tabletop/ezclip"]
    for result in (analysis.baseline, analysis.model):
        assert sum(p.score for p in result.predictions) == pytest.approx(1, abs=1e-5)
        assert 0 < result.attribution.heat.max()
    base, ezclip = (services.predictor(n).model for n in ("tabletop/base", "tabletop/ezclip"))
    assert base.vision.conv1.weight.data_ptr() == ezclip.vision.conv1.weight.data_ptr()


def test_a_clip_is_decoded_and_encoded_once(
    services: Services, movie: Path, analysis: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.read_clip", lambda *_: pytest.fail("decoded again"))
    model = services.predictor("tabletop/ezclip").model
    monkeypatch.setattr(type(model), "encode_video", _only_traced(type(model).encode_video))
    *_, again = analyse(services, str(movie), "other, names", "tabletop/base", "tabletop/ezclip")
    assert isinstance(again, Analysis)
    assert [p.label for p in again.model.predictions] != [p.label for p in analysis.model.predictions]


def _only_traced(encode):  # type: ignore[no-untyped-def]
    def encode_video(self, pixels):  # type: ignore[no-untyped-def]
        assert self.vision.blocks[0].mix._forward_hooks, "encoded again"
        return encode(self, pixels)

    return encode_video


def test_class_names_are_escaped(analysis: Analysis) -> None:
    html = widgets.rankings(analysis)
    assert "&lt;b&gt;lifting" in html and "<b>lifting" not in html
    strip = widgets.strip(analysis, 0.6)
    assert strip.count("<tr>") == 4 and strip.count('class="ez-heat"') == 16


def test_nothing_given_says_what_to_do(services: Services, movie: Path) -> None:
    with pytest.raises(VideoError, match="drop a video"):
        list(analyse(services, None, "a", "tabletop/base", "tabletop/ezclip"))
    with pytest.raises(LabelError, match="No class name"):
        list(analyse(services, str(movie), ", ,", "tabletop/base", "tabletop/ezclip"))
    with pytest.raises(UserError, match="no longer there"):
        list(analyse(services, str(movie) + "x", "a", "tabletop/base", "tabletop/ezclip"))


def test_empty_names_mean_the_models_own(services: Services) -> None:
    names, _ = wanted_labels(services, " ", "tabletop/ezclip")
    assert sorted(names) == sorted(label_set("tabletop"))
    assert set_text(services, "UCF-101", "tabletop/ezclip").count("\n") == 100
    assert set(actions.SET_TITLES.values()) - {None} <= set(label_sets())


def test_only_the_last_clips_are_kept(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = services.clip(str(write_video(tmp_path / "a.mp4", count=8)), 8).images.nbytes
    monkeypatch.setattr("app.services.CLIP_BYTES", 3 * one)
    for i in range(6):
        services.clip(str(write_video(tmp_path / f"{i}.mp4", count=9 + i)), 8)
    assert len(services._clips) == 3


def test_files_made_for_users_are_removed(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    old = services.scratch()
    monkeypatch.setattr("app.services.SCRATCH_SECONDS", -1)
    assert services.scratch().exists() and not old.exists()


def test_preview_only_where_the_browser_needs_one(services: Services, movie: Path, avi: Path) -> None:
    assert preview_pair(services, str(movie)) == (str(movie), (str(movie), str(movie)))
    shown, pair = preview_pair(services, str(avi))
    assert shown is not None and Path(shown).name.startswith("preview-") and pair == (shown, str(avi))
    assert preview_pair(services, None) == (None, None)
