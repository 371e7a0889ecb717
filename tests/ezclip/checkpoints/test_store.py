"""Saving, loading and refusing model folders."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ezclip.checkpoints import catalog
from ezclip.checkpoints.convert import (
    convert,
    export_official,
    interpolate_prompts,
    load_official,
    read_official,
)
from ezclip.checkpoints.load import load_model
from ezclip.checkpoints.store import load_backbone, save_backbone, save_model
from ezclip.errors import CheckpointError
from ezclip.files import write_atomically
from ezclip.model.backbone import Backbone
from ezclip.predictor import Predictor
from ezclip.text.templates import descriptions
from tests.conftest import FIXTURES, make_model

OFFICIAL = FIXTURES / "none_official.pt"


@pytest.fixture
def folder(tmp_path: Path, backbone: Backbone) -> Path:
    save_backbone(backbone, tmp_path / "backbone.safetensors")
    for variant in ("base", "ezclip"):
        save_model(make_model(backbone, variant), backbone, tmp_path / variant, summary={"preset": "paper"})
    return tmp_path


def test_round_trip_is_exact(folder: Path, backbone: Backbone) -> None:
    model, again = make_model(backbone, "ezclip"), load_model(folder / "ezclip")
    assert (again.variant, again.num_frames, again.training) == ("ezclip", 8, False)
    assert again.trainable_parameters().keys() == model.trainable_parameters().keys()
    for name, parameter in model.trainable_parameters().items():
        assert torch.equal(again.trainable_parameters()[name], parameter)
    assert set(load_file(folder / "ezclip" / "adapter.safetensors")) == set(model.trainable_parameters())


def test_two_variants_share_one_backbone(folder: Path) -> None:
    backbones: dict[str, Backbone] = {}
    a, b = (load_model(folder / name, backbones=backbones) for name in ("base", "ezclip"))
    assert a.vision.conv1.weight.data_ptr() == b.vision.conv1.weight.data_ptr()
    assert len(backbones) == 1


def test_the_fingerprint_survives_saving(folder: Path, backbone: Backbone) -> None:
    assert load_backbone(folder / "backbone.safetensors").sha256 == backbone.sha256


def edit(path: Path, change) -> None:  # type: ignore[no-untyped-def]
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("text.blocks.0.adapter.up.bias"), "1 tensors missing, first text.blocks.0.adapter.up.bias"),
        (lambda t: t.update(extra=torch.zeros(1)), "1 tensors unknown, first extra"),
        (lambda t: t.update({"text.blocks.0.adapter.up.bias": torch.zeros(3)}), "of another shape, first text"),
        (lambda t: t["text.blocks.0.adapter.up.bias"].fill_(float("nan")), "not finite, first text"),
    ],
)
def test_wrong_tensors_are_named(folder: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    edit(folder / "ezclip" / "adapter.safetensors", change)
    with pytest.raises(CheckpointError, match=message.replace(".", r"\.")) as caught:
        load_model(folder / "ezclip")
    assert str(folder) not in str(caught.value)


def test_another_backbone_is_refused(folder: Path, backbone: Backbone) -> None:
    state = {k: v + 0.1 if k == "visual.class_embedding" else v for k, v in backbone.clip.state_dict().items()}
    from ezclip.model.backbone import build_backbone

    save_backbone(build_backbone("other", backbone.config, state), folder / "backbone.safetensors")
    with pytest.raises(CheckpointError, match="was not found: put its backbone"):
        load_model(folder / "ezclip")


def test_damaged_and_foreign_files(folder: Path, tmp_path: Path) -> None:
    adapter = folder / "ezclip" / "adapter.safetensors"

    class Boom:
        def __reduce__(self):  # type: ignore[no-untyped-def]
            return (Path.touch, (tmp_path / "canary",))

    adapter.write_bytes(pickle.dumps(Boom()))
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load_model(folder / "ezclip")
    torch.save({"model_state_dict": Boom()}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match="Only tensors are loaded"):
        load_official(tmp_path / "evil.pt")
    assert not (tmp_path / "canary").exists()
    (folder / "ezclip" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is damaged"):
        load_model(folder / "ezclip")
    with pytest.raises(CheckpointError, match="no model 'nowhere'"):
        load_model("nowhere")
    with pytest.raises(CheckpointError, match="clip:ARCH/TAG"):
        load_model("clip:ViT-B-16")


def test_writing_is_atomic(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(target, fail)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert target.read_text() == "old"


def test_converted_equals_loaded(tmp_path: Path) -> None:
    converted = convert(OFFICIAL, tmp_path / "out")
    assert {k: converted[k] for k in ("variant", "T", "prompts", "width", "layers", "patch", "image_size")} == {
        "variant": "base", "T": 8, "prompts": "none", "width": 128, "layers": 2, "patch": 16, "image_size": 64,
    }  # fmt: skip
    pixels = torch.load(FIXTURES / "none_expected.pt", weights_only=True)["frames"][None, :8]
    with torch.no_grad():
        there, here = (m.encode_video(pixels) for m in (load_official(OFFICIAL), load_model(tmp_path / "out")))
    torch.testing.assert_close(there, here, atol=2e-3, rtol=0)  # half precision on disk


def test_converted_files_are_asked_with_descriptions(tmp_path: Path) -> None:
    """All recipes of the release train with a description of each class (use_llm)."""
    convert(OFFICIAL, tmp_path / "out")
    predictor = Predictor.load(tmp_path / "out", device="cpu", dtype=torch.float32)
    texts = predictor.sentences(["Biking", "no such class"])
    assert texts == {"Biking": [descriptions("ucf101")["Biking"]], "no such class": ["no such class"]}
    assert len(predictor.sentences(["Biking"], "templates")["Biking"]) == 16


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {f"module.{k}": v for k, v in s.items()}])
def test_bare_and_parallel_state_dicts_load(tmp_path: Path, wrap) -> None:  # type: ignore[no-untyped-def]
    state = torch.load(OFFICIAL, weights_only=True)["model_state_dict"]
    torch.save(wrap(state), tmp_path / "bare.pt")
    official, bare = load_official(OFFICIAL).state_dict(), load_official(tmp_path / "bare.pt").state_dict()
    assert all(torch.equal(official[k], bare[k]) for k in official)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("visual.ln_post.bias"), "visual.ln_post.bias"),
        (lambda s: s.pop("transformer.resblocks.0.Adapter.D_fc1.bias"), "adapter tensors missing"),
        (lambda s: s.update({"visual.extra": torch.zeros(2)}), "visual.extra"),
        (lambda s: s.update({"visual.Adapter.other": torch.zeros(2)}), "visual.Adapter.other"),
        (lambda s: s["visual.temporal_embedding"].fill_(0.1), "temporal embedding that is not zero"),
    ],
)
def test_official_files_that_do_not_match_are_refused_by_name(tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    state = torch.load(OFFICIAL, weights_only=True)["model_state_dict"]
    change(state)
    torch.save({"model_state_dict": state}, tmp_path / "o.pt")
    with pytest.raises(CheckpointError, match=message.replace(".", r"\.")):
        load_official(tmp_path / "o.pt")


def test_other_sizes_T_and_prompts_are_inferred(tmp_path: Path) -> None:
    """Shallow prompts at T = 16 on wider towers, in the fixture's layout."""
    state = torch.load(OFFICIAL, weights_only=True)["model_state_dict"]
    state["visual.transformer.T_prompt_embeddings"] = torch.randn(1, 16, 128)
    state["visual.temporal_embedding"] = torch.zeros(1, 16, 128)
    torch.save(state, tmp_path / "o.pt")
    model = load_official(tmp_path / "o.pt")
    assert (model.variant, model.num_frames) == ("ezclip", 16)
    assert [n for n in model.trainable_parameters() if "prompt" in n] == ["vision.blocks.0.prompt.embedding"]


def test_catalogue_lists_what_ships() -> None:
    entries = {entry.name: entry for entry in catalog.entries()}
    for name, variant in ((catalog.DEFAULT, "ezclip"), (catalog.BASELINE, "base")):
        entry = entries[name]
        assert entry.config is not None and (entry.source, entry.available) == ("shipped", True)
        assert (entry.config.variant, entry.config.num_frames) == (variant, 8)
        assert json.loads(json.dumps(entry.as_json()))["bytes"] > 0


def test_a_model_is_available_only_with_its_own_backbone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "roots", lambda: [tmp_path])
    assert {e.name: e.available for e in catalog.entries()} == {"base": True, "ezclip": True}
    config = tmp_path / "base" / "config.json"
    config.write_text(config.read_text().replace(catalog.read_config(tmp_path / "base").backbone_sha256, "0" * 64))
    assert {e.name: e.available for e in catalog.entries()} == {"base": False, "ezclip": True}


@pytest.mark.parametrize("name", ["none", "deep"])
def test_round_trip_to_the_release(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ezclip.checkpoints.catalog.ROOT", tmp_path)
    source = FIXTURES / f"{name}_official.pt"
    convert(source, tmp_path / "model")
    export_official(tmp_path / "model", tmp_path / "back.pt")
    source_state, exported = read_official(source), read_official(tmp_path / "back.pt")
    assert set(source_state) == set(exported)
    for key, tensor in source_state.items():
        trained = "prompt" in key or "dapter" in key  # the rest is the backbone, in half precision
        torch.testing.assert_close(exported[key], tensor if trained else tensor.half().float(), atol=0, rtol=0, msg=key)


def test_a_backbone_is_stored_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ezclip.checkpoints.catalog.ROOT", tmp_path)
    first, second = (convert(OFFICIAL, tmp_path / name) for name in ("one", "two"))
    assert (len(first["files"]), len(second["files"])) == (3, 2)
    assert not (tmp_path / "two" / "backbone.safetensors").exists()
    there, here = (load_model(tmp_path / name).state_dict() for name in ("one", "two"))
    assert all(torch.equal(there[key], here[key]) for key in there)


def test_prompts_for_another_number_of_frames(tmp_path: Path) -> None:
    prompts = torch.arange(8.0)[None, :, None].expand(2, 8, 3)
    # centres of 4 segments lie half-way between those of 8
    assert interpolate_prompts(prompts, 4)[0, :, 0].tolist() == [0.5, 2.5, 4.5, 6.5]
    assert torch.equal(interpolate_prompts(prompts, 8), prompts)
    with pytest.raises(CheckpointError, match="between 1 and 64"):
        interpolate_prompts(prompts, 65)
    converted = convert(FIXTURES / "deep_official.pt", tmp_path / "out", num_frames=16)
    assert converted["T"] == 16 and load_model(tmp_path / "out").num_frames == 16


def test_the_backbone_is_compared_with_openais(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small architecture stands in for ViT-B/16: registered with open_clip, its weights a local file."""
    from open_clip.factory import _MODEL_CONFIGS
    from open_clip.pretrained import _PRETRAINED

    def comparison(name: str) -> str:
        convert(OFFICIAL, tmp_path / name)
        return json.loads((tmp_path / name / "config.json").read_text())["openai"]

    assert comparison("alone") == "of other sizes than OpenAI's"
    backbone = load_backbone(tmp_path / "alone" / "backbone.safetensors")
    weights = tmp_path / "openai.safetensors"
    monkeypatch.setitem(_MODEL_CONFIGS, "small-quickgelu", backbone.config)
    tags = {"openai": {"file": str(weights), "quick_gelu": True}}
    monkeypatch.setitem(_PRETRAINED, "small-quickgelu", tags)
    assert comparison("none").startswith("not compared: OpenAI's small-quickgelu")
    state = {name: tensor.clone() for name, tensor in backbone.clip.state_dict().items()}
    save_file(state, weights)
    assert comparison("same") == "equal to OpenAI's small-quickgelu"
    state["visual.proj"][0, 0] += 1
    save_file(state, weights)
    assert comparison("other") == "not equal to OpenAI's small-quickgelu"
