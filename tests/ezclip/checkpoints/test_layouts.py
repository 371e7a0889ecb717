"""Files are recognised by their keys; unknown layouts are refused with the name of the file."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from ezclip.checkpoints.layouts import read_layout
from ezclip.errors import CheckpointError

FIXTURES = Path(__file__).parents[2] / "fixtures"
OFFICIAL = FIXTURES / "none_official.pt"
RIVALS = Path(os.environ.get("EZCLIP_TEST_DATA", "/nonexistent")) / "parity" / "rivals"
needs_rivals = pytest.mark.skipif(not RIVALS.is_dir(), reason="EZCLIP_TEST_DATA names no folder with parity/rivals")
FILES = {
    "clip": "clip",
    "actionclip_transf": "actionclip",
    "actionclip_meanp": "actionclip",
    "vificlip": "vificlip",
    "vificlip_prompt": "vificlip",
    "xclip": "xclip",
    "a5": "a5",
    "mote": "mote",
}


@needs_rivals
@pytest.mark.parametrize(("name", "method"), FILES.items())
def test_methods_are_recognised(name: str, method: str) -> None:
    assert read_layout(RIVALS / f"{name}_official.pt").method == method


def changed(tmp_path: Path, **outer: Any) -> Path:
    inner = torch.load(OFFICIAL, weights_only=True)
    inner = inner.get("model_state_dict", inner)
    torch.save({"epoch": 1, "model_state_dict": inner} | outer, tmp_path / "o.pt")
    return tmp_path / "o.pt"


@pytest.mark.parametrize(
    ("outer", "message"),
    [
        (
            {"ema": {}, "head": {}},
            "also holds 'ema', an unsupported entry that conversion would drop; this is an EZ-CLIP",
        ),
        ({"fusion_model_state_dict": {"x": torch.ones(1)}}, "holds fusion_model_state_dict with x, which EZ-CLIP does"),
    ],
)
def test_unknown_parts_are_refused_by_name(tmp_path: Path, outer: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_layout(changed(tmp_path, **outer))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("cls_token", "an ActionCLIP checkpoint with the header Transf_cls"),
        ("lstm_visual.weight_ih_l0", "header LSTM"),
        ("shift.weight", "header Conv_1D"),
        ("vid_mlp.weight", "with vid_mlp.weight, which is no part of ActionCLIP"),
    ],
)
def test_other_modules_on_frames_are_refused(tmp_path: Path, key: str, message: str) -> None:
    state = {"token_embedding.weight": torch.ones(2, 2)}
    torch.save({"model_state_dict": state, "fusion_model_state_dict": {f"module.{key}": torch.ones(1)}}, tmp_path / "a")
    with pytest.raises(CheckpointError, match=message):
        read_layout(tmp_path / "a")


def test_the_state_of_a_training_is_ignored(tmp_path: Path) -> None:
    layout = read_layout(changed(tmp_path, optimizer_state_dict={"state": {}}, fusion_model_state_dict={}))
    assert layout.method == "ezclip" and not layout.fusion
    assert layout.state.keys() == read_layout(OFFICIAL).state.keys()


def test_code_beside_the_allowed_configuration_is_refused(tmp_path: Path) -> None:
    class Boom:
        def __reduce__(self):  # type: ignore[no-untyped-def]
            return (Path.touch, (tmp_path / "canary",))

    torch.save({"model": {"image_encoder.x": torch.ones(1)}, "config": Boom()}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match="Only tensors are loaded"):
        read_layout(tmp_path / "evil.pt")
    assert not (tmp_path / "canary").exists()
