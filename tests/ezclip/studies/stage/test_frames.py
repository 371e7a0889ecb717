"""Shapley values of frames, for the stage."""

from types import SimpleNamespace

import numpy as np

from ezclip.explanation.shapley import FrameValues, Shapley
from ezclip.studies.stage.frames import MEANING, SOURCE, frame_values_update, summarise_any_frame


def test_values_and_the_any_frame_bound() -> None:
    values = Shapley(np.array([0.5, -0.25]), None, 0.25)
    values_of_models = {
        "base": FrameValues(values, None, ["a", "b"], "a"),
        "ezclip": FrameValues(Shapley(np.array([0.0, 1.0]), np.array([0.1, 0.2]), 1.0), None, ["b", "b"], "a"),
    }
    analysis = SimpleNamespace(target="a", clip=SimpleNamespace(source="s"))
    drawn = frame_values_update(analysis, values_of_models, "readout")
    frames = drawn["partial"]["frames"]
    assert drawn["key"] == "s" and (frames["label"], frames["meaning"]) == ("a", f"{MEANING['readout']} {SOURCE}")
    base, model = frames["models"]
    assert base["values"] == [0.5, -0.25] and base["margin"] is None and base["all"] == 0.25
    assert base["alone"] == [True, False] and model["alone"] == [False, False] and model["margin"] == [0.1, 0.2]
    assert summarise_any_frame(values_of_models).endswith("base yes (1 of 2 frames), ezclip no (0 of 2 frames).")
    assert values_of_models["base"].as_json()["removal"] is None
