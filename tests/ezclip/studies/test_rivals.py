"""Rival methods in the studies, from a folder on disk; tiny, with random weights."""

from pathlib import Path

import pytest
import torch

from ezclip.checkpoints.catalog import read_config
from ezclip.checkpoints.store import save_backbone, save_model
from ezclip.model.backbone import Backbone
from ezclip.model.rivals.build import build_rival
from ezclip.progress import finish
from ezclip.studies.analysis import Analyse
from ezclip.studies.frames import CompareFrames
from ezclip.studies.host import Host
from ezclip.studies.motion import ProbeMotion
from ezclip.types import Rival

SETTINGS: dict[Rival, dict[str, int]] = {
    "vificlip": {"vision_tokens": 2, "vision_depth": 2, "text_tokens": 3, "text_depth": 1},
    "actionclip": {"positions": 77, "layers": 2},
    "a5": {"layers": 1, "heads": 2, "prefix": 4, "postfix": 4},
}
TEXTS: dict[str, str] = {"vificlip": "{}.", "actionclip": "templates", "a5": "names"}


@pytest.fixture
def folders(backbone: Backbone, tmp_path: Path) -> dict[str, str]:
    save_backbone(backbone, tmp_path / "backbone.safetensors")
    for method, settings in SETTINGS.items():
        torch.manual_seed(2)
        model = build_rival(method, backbone, 8, settings)
        with torch.no_grad():
            for parameter in model.trainable_parameters().values():
                parameter.normal_(std=0.3)
        save_model(model, backbone, tmp_path / method, summary={"text": TEXTS[method]})
    return {method: str(tmp_path / method) for method in SETTINGS}


@pytest.mark.slow
def test_motion_and_analysis(folders: dict[str, str], movie: Path) -> None:
    host = Host("cpu")
    for method, folder in folders.items():
        assert read_config(folder).variant == method and read_config(folder).settings == SETTINGS[method]
        probes = finish(ProbeMotion(str(movie), "a, b, c", baseline="", model=folder).run(host))
        blind = "does not see the order of the frames, whatever the clip: it encodes them one by one"
        assert (blind in probes.verdicts[0]) == (method == "vificlip")
        analysis = finish(Analyse(str(movie), "a, b, c", baseline="tabletop/base", model=folder).run(host))
        assert analysis.model.attribution.heat.shape == (8, 4, 4)
        assert sum(p.score for p in analysis.model.predictions) == pytest.approx(1, abs=1e-3)
        assert analysis.as_json() and analysis.report().title


def test_frames_of_two_methods(folders: dict[str, str], movie: Path) -> None:
    study = CompareFrames((str(movie),), model=folders["a5"], baseline=folders["actionclip"], projection="PCA")
    result = finish(study.run(Host("cpu")))
    assert result.difference == "the two are of the methods actionclip and a5"


def test_a_rival_of_another_number_of_frames_fails(backbone: Backbone, folders: dict[str, str], movie: Path) -> None:
    other = Path(folders["a5"]).parent / "four"
    save_model(build_rival("a5", backbone, 4, SETTINGS["a5"]), backbone, other, summary={})
    study = Analyse(str(movie), "a, b", baseline=str(other), model=folders["a5"])
    with pytest.raises(Exception, match="takes 4 frames and another model 8"):
        finish(study.run(Host("cpu")))
