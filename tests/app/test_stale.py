"""What makes a result out of date."""

from app.stale import changed
from ezclip.checkpoints.catalog import training_labels
from ezclip.studies.classes import Evaluate
from ezclip.studies.motion import ProbeMotion


def test_the_first_input_that_differs_is_named() -> None:
    before = ProbeMotion("a.mp4", "x, y")
    assert changed(before, before.replace(labels="x\ny")) == "", "the same names"
    assert changed(before, before.replace(labels="x")) == "class names"
    assert changed(before, before.replace(clip="b.mp4", labels="x")) == "clip"
    assert changed(before, before.replace(model="tabletop/motion")) == "model"
    assert changed(before, before.replace(opposite="z")) == "opposite"
    assert changed(before, before.replace(opposite="z"), only=("clip", "model")) == ""
    explicit = ProbeMotion("a.mp4", "\n".join(training_labels(before.model)))
    assert changed(ProbeMotion("a.mp4"), explicit) == "", "no names are the model's own"
    assert changed(Evaluate("x"), Evaluate("x", texts="names")) == "prompt text"
