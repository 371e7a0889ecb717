"""Rivals' checkpoints reproduce the outputs of their official code, before and after conversion."""

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ezclip.checkpoints.convert import convert, export_official
from ezclip.checkpoints.hub import push
from ezclip.checkpoints.layouts import read_layout
from ezclip.checkpoints.load import load_model
from ezclip.checkpoints.rivals import build_from_layout
from ezclip.checkpoints.store import save_backbone
from ezclip.errors import CheckpointError
from ezclip.model.backbone import build_backbone
from ezclip.model.ezclip import EZCLIP
from ezclip.model.interface import class_scores
from ezclip.model.rivals.build import build_rival
from tests.conftest import external

TOLERANCE = {"actionclip": 1e-4, "a5": 2e-5, "vificlip": 2e-5, "xclip": 2e-5}  # at scales of about 100 and 14

NAMES = ["actionclip_transf", "actionclip_meanp", "vificlip", "vificlip_prompt", "a5", "xclip", "xclip_heads"]


def fixture_of(name: str) -> tuple[Path, dict[str, Any]]:
    return external(f"parity/rivals/{name}_official.pt"), torch.load(
        external(f"parity/rivals/{name}_expected.pt"), weights_only=True
    )


def token_table(expected: dict[str, Any], out: Path) -> str:
    """A folder with a backbone of random weights and the token table of the fixture."""
    table = expected["token_embedding.weight"]
    config: dict[str, Any] = {
        "embed_dim": 64,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "head_width": 64, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": len(table), "width": table.shape[1], "heads": 1, "layers": 1},
    }
    backbone = build_backbone("table", config)
    backbone.text.token_embedding.weight.data.copy_(table)
    save_backbone(backbone, out / "backbone.safetensors")
    return str(out)


def without_placeholders(tokens: Tensor, count: int) -> Tensor:
    """Ids of the texts after the learned vectors: ours insert those, theirs have placeholders."""
    return torch.cat([tokens[:, :1], tokens[:, 1 + count :]], dim=1)


def build(name: str, tmp_path: Path) -> tuple[EZCLIP, dict[str, Any]]:
    official, expected = fixture_of(name)
    framing = {key: expected[key] for key in ("prefix", "postfix") if key in expected}
    plain = {key: expected[key] for key in expected if key == "token_embedding.weight"}
    model, *_ = build_from_layout(read_layout(official), num_frames=expected["T"], clip=lambda _: plain, **framing)
    return model, expected


def compare(model: EZCLIP, expected: dict[str, Any]) -> None:
    tokens = without_placeholders(expected["tokens"], expected.get("text_prompt_tokens", 0))
    with torch.no_grad():
        video = model.encode(expected["frames"].unflatten(0, (-1, expected["T"])))
        texts = model.encode_text(tokens)
        logits = model.scores(video, texts)
        if "patch_context" in expected:
            read = model.texts_for(video, texts)
            torch.testing.assert_close(video.context, expected["patch_context"], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(read, expected["prompted_text_embeddings"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(video.frames.mean(dim=1), expected["video_embeddings"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(texts, expected["text_embeddings"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits, expected["logits"], atol=TOLERANCE[model.variant], rtol=0)
    if "probabilities" in expected:  # the rows of tokens are template-major, ours class-major
        by_class = logits.unflatten(1, (expected["templates"], -1)).transpose(1, 2).flatten(1)
        probabilities = class_scores(by_class, expected["classes"])
        torch.testing.assert_close(probabilities, expected["probabilities"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_parity_with_the_official_code(name: str, tmp_path: Path) -> None:
    compare(*build(name, tmp_path))


@pytest.mark.parametrize("name", NAMES)
def test_converted_models_load_and_agree(name: str, tmp_path: Path) -> None:
    official, expected = fixture_of(name)
    options = {key: expected[key] for key in ("prefix", "postfix") if key in expected}
    if "token_embedding.weight" in expected:
        options["clip"] = token_table(expected, tmp_path / "table")
    converted = convert(official, tmp_path / "model", num_frames=expected["T"], **options)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["method"] == converted["method"] and "variant" not in config
    model = load_model(tmp_path / "model")
    assert model.num_frames == expected["T"] == converted["T"]
    compare(model, expected)  # the fixtures' weights are exact in half precision


def test_plain_clip(tmp_path: Path) -> None:
    """OpenAI's layout, with the three integers of its files; logits of the mean of raw frame embeddings."""
    official, expected = fixture_of("clip")
    convert(official, tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert model.variant == "clip"
    with torch.no_grad():
        frames = model.encode_video(expected["frames"].unflatten(0, (-1, expected["T"])))
        logits = model.logits(frames, model.encode_text(expected["tokens"]))
    torch.testing.assert_close(logits, expected["logits"], atol=1e-4, rtol=0)


def test_a_file_of_actionclips_layout(tmp_path: Path) -> None:
    """Without the external test data: a file with ActionCLIP's key names gives the same outputs as its model."""
    config: dict[str, Any] = {
        "embed_dim": 64,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 64, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 300, "width": 64, "heads": 1, "layers": 1},
    }
    torch.manual_seed(4)
    backbone = build_backbone("made here", config)
    model = build_rival("actionclip", backbone, 4, {"positions": 77, "layers": 3}).eval()
    with torch.no_grad():
        for parameter in [*backbone.clip.parameters(), *model.trainable_parameters().values()]:
            parameter.copy_(parameter.half())  # exact on disk
    theirs = {"positions": "frame_position_embeddings.weight", "blocks.": "transformer.resblocks."}
    fusion = {}
    for name, tensor in model.trainable_parameters().items():
        name = name.removeprefix("temporal.")
        part = next(part for part in theirs if name.startswith(part))
        fusion[f"module.{theirs[part]}{name.removeprefix(part)}"] = tensor.detach()
    outer = {"epoch": 1, "model_state_dict": backbone.clip.state_dict(), "fusion_model_state_dict": fusion}
    torch.save(outer | {"optimizer_state_dict": {}}, tmp_path / "o.pt")
    meta = convert(tmp_path / "o.pt", tmp_path / "model", num_frames=4)
    assert (meta["method"], meta["T"], meta["settings"]) == ("actionclip", 4, {"positions": 77, "layers": 3})
    pixels, tokens = torch.randn(2, 4, 3, 32, 32), torch.tensor([[298, 5, 9, 299, 0], [298, 7, 299, 0, 0]])
    with torch.no_grad():
        official, ours = (
            m.logits(m.encode_video(pixels), m.encode_text(tokens)) for m in (model, load_model(tmp_path / "model"))
        )
    torch.testing.assert_close(official, ours, atol=1e-4, rtol=0)


def test_order_matters_where_the_method_has_a_temporal_part(tmp_path: Path) -> None:
    blind_ones = {"actionclip_meanp": True, "vificlip": True, "vificlip_prompt": True}
    for name, blind in ({"actionclip_transf": False, "a5": False, "xclip": False} | blind_ones).items():
        model, expected = build(name, tmp_path)
        pixels = expected["frames"].unflatten(0, (-1, expected["T"]))
        with torch.no_grad():
            there, back = (model.encode_video(p).mean(dim=1) for p in (pixels, pixels.flip(1)))
        assert model.order_blind == blind == bool((there - back).abs().max() < 1e-5)


def edited(official: Path, tmp_path: Path, where: str, change: dict[str, Tensor | None]) -> Path:
    with torch.serialization.safe_globals([(OrderedDict, "yacs.config.CfgNode")]):
        loaded = torch.load(official, weights_only=True)
    loaded.pop("config", None)
    for key, tensor in change.items():
        loaded[where].pop(key, None)
        if tensor is not None:
            loaded[where][key] = tensor
    torch.save(loaded, tmp_path / "edited.pt")
    return tmp_path / "edited.pt"


@pytest.mark.parametrize(
    ("name", "where", "change", "message"),
    [
        (
            "actionclip_transf",
            "fusion_model_state_dict",
            {"module.transformer.resblocks.2.ln_1.bias": None},
            "1 tensors missing, first temporal.blocks.2.ln_1.bias",
        ),
        (
            "actionclip_transf",
            "fusion_model_state_dict",
            {"module.transformer.resblocks.0.net.shift": torch.ones(2)},
            "1 tensors unknown, first temporal.blocks.0.net.shift",
        ),
        ("actionclip_transf", "model_state_dict", {"time_embedding": torch.ones(2)}, "unknown, first time_embedding"),
        ("a5", "state_dict", {"head.weight": torch.ones(2)}, "unknown, first head.weight"),
        ("a5", "state_dict", {"embedding.weight": torch.ones(70, 64)}, "another shape, first text.learned"),
        ("a5", "state_dict", {"temporalEmbedding.weight": torch.tensor(1.0)}, "tensors of unexpected shapes"),
        ("vificlip", "model", {"module.text_encoder.ln_final.weight": None}, "tensors of unexpected shapes"),
        ("vificlip", "model", {"module.prompt_learner.meta_net": torch.ones(1)}, "first prompt_learner.meta_net"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    name: str, where: str, change: dict[str, Tensor | None], message: str, tmp_path: Path
) -> None:
    official, expected = fixture_of(name)
    table = {"clip": token_table(expected, tmp_path / "table")} if name == "vificlip" else {}
    with pytest.raises(CheckpointError, match=message.replace(".", r"\.")):
        convert(edited(official, tmp_path, where, change), tmp_path / "out", **table)
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_converted_is_refused_with_its_method(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="a MoTE checkpoint, which has no text tower"):
        convert(fixture_of("mote")[0], tmp_path / "out")
    with pytest.raises(CheckpointError, match="a ViFi-CLIP checkpoint, which has no token table"):
        convert(fixture_of("vificlip")[0], tmp_path / "out")
    other = fixture_of("vificlip")[1]
    other["token_embedding.weight"] = torch.zeros(300, 64)
    with pytest.raises(CheckpointError, match="start token differs"):
        convert(fixture_of("vificlip")[0], tmp_path / "out", clip=token_table(other, tmp_path / "table"))
    with pytest.raises(CheckpointError, match="learned positions for T = 4 frames; it cannot take 8"):
        convert(fixture_of("a5")[0], tmp_path / "out", num_frames=8)


def test_rivals_models_are_neither_exported_nor_uploaded(tmp_path: Path) -> None:
    convert(fixture_of("actionclip_meanp")[0], tmp_path / "model")
    with pytest.raises(CheckpointError, match="only models of EZ-CLIP can be written"):
        export_official(tmp_path / "model", tmp_path / "back.pt")
    with pytest.raises(CheckpointError, match="state no licence for its weights"):
        push(tmp_path / "model", "a/b", private=True)


def test_one_head_more_or_less_is_detected(tmp_path: Path) -> None:
    """The comparison can fail: other numbers of heads over the frames, or no fusion, change the logits by far more."""
    model, expected = build("actionclip_transf", tmp_path)
    assert model.temporal is not None
    for block in model.temporal.blocks:
        block.attn.num_heads = 1  # pyright: ignore
    with pytest.raises(AssertionError):
        compare(model, expected)
