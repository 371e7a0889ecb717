"""VideoPrism in transformers' files: tiny, with random weights and a tokenizer of a few words."""

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from huggingface_hub import constants

from ezclip.checkpoints.catalog import check_model_name
from ezclip.checkpoints.fetch import fetch
from ezclip.checkpoints.gallery import find_offer
from ezclip.checkpoints.load import load_model
from ezclip.cli import main
from ezclip.errors import CheckpointError
from ezclip.explanation.maps import explain, missing_map_reason
from ezclip.model.interface import video_embeddings
from ezclip.predictor import Predictor
from ezclip.progress import finish
from tests.hosts import StandIn, stand_in

transformers = pytest.importorskip("transformers", minversion="5.13")
SAMPLE = min((Path(__file__).parents[3] / "assets" / "samples").glob("*.mp4"))
WORDS = [*"a video of waving clapping hands red box".split(), "."]


@pytest.fixture(scope="module")
def there() -> Any:
    heads = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    vision = heads | {"image_size": 36, "num_frames": 4, "tubelet_size": [1, 18, 18]}
    vision |= {"num_spatial_layers": 2, "num_temporal_layers": 1, "num_auxiliary_layers": 1}
    text = heads | {"vocab_size": 100, "num_hidden_layers": 2, "max_position_embeddings": 64}
    torch.manual_seed(0)
    model = transformers.VideoPrismClipModel(transformers.VideoPrismConfig(text_config=text, vision_config=vision))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


@pytest.fixture(scope="module")
def folder(there: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videoprism")
    there.save_pretrained(folder)
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    vocabulary += [("▁" + word, -3.0) for word in WORDS] + [(letter, -6.0) for letter in "abcdefghijklmnopqrstuvwxyz."]
    transformers.VideoPrismTokenizer(vocab=vocabulary, extra_ids=0).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def name(folder: Path) -> str:
    return f"videoprism:{folder}"


def test_parity_with_transformers(there: Any, name: str) -> None:
    """The mean of the frames is the video embedding; texts are encoded without padding."""
    model, pixels = load_model(name), torch.rand(2, 4, 3, 36, 36)
    sentences = ["a video of waving.", "red box"]
    ids, cut = model.tokenize([*sentences, "waving " * 70])
    assert ids.shape == (3, 64) and cut == ["waving " * 70] and model.tokenize([])[0].shape == (0, 64)
    with torch.no_grad():
        video, texts = model.encode(pixels), model.encode_text(ids[:2])
        expected = there.get_video_features(pixels).pooler_output[:, 0]
        torch.testing.assert_close(video.frames.mean(dim=1), expected, atol=1e-5, rtol=1e-5)
        assert video.frames.shape == (2, 4, 32) and video.frames.std(dim=1).max() > 1e-2
        for row, text in zip(ids[:2], texts, strict=True):
            alone = there.get_text_features(row[row != 0][None], torch.ones(1, int((row != 0).sum()))).pooler_output[0]
            torch.testing.assert_close(text, alone, atol=1e-5, rtol=1e-5)
        logits = model.scores(video, texts)
        torch.testing.assert_close(logits, 100 * F.normalize(expected, dim=-1) @ F.normalize(texts, dim=-1).T)
        turned = model.scores(model.encode(pixels.flip(1)), texts)
    assert (turned - logits).abs().max() > 1e-2, "order matters"
    with pytest.raises(ValueError, match="this videoprism model takes"):
        model.encode(pixels[:, :3])


def test_frames_are_what_the_pool_takes(there: Any, name: str) -> None:
    """Without a frame's tokens in the pool, the video embedding is the normalised part of the other frames."""
    model, pixels = load_model(name), torch.rand(1, 4, 3, 36, 36)
    with torch.no_grad():
        tokens, head = there.get_video_features(pixels).last_hidden_state, there.video_model.head
        weights = head(tokens)[1]
        values = head.v_proj(tokens).unflatten(-1, (4, -1)).transpose(1, 2)
        parts = [
            (weights[..., 4 * t : 4 * t + 4] @ values[:, :, 4 * t : 4 * t + 4]).flatten(1) @ head.o_proj.weight.T
            for t in range(4)
        ]
        x = torch.cat([4 * part + head.o_proj.bias for part in parts])
        mean, norm = x.mean(dim=0), there.video_model.head_layernorm
        y = (x - mean.mean()) / (mean.var(unbiased=False) + norm.eps).sqrt() * (norm.weight + 1) + norm.bias
        frames = model.encode_video(pixels)[0]
    torch.testing.assert_close(frames, y / y.mean(dim=0).norm(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(video_embeddings(frames[None])[0], F.normalize(y.mean(dim=0), dim=0))


def test_what_it_has_and_lacks(name: str) -> None:
    predictor = Predictor.load(name, device="cpu", dtype=torch.float32)
    model = predictor.model
    assert model.common_space and not model.order_blind and (model.num_frames, model.grid) == (4, 2)
    spec = model.preprocessing
    assert (spec.size, spec.short_side, spec.mean, spec.std) == (36, None, (0, 0, 0), (1, 1, 1))
    assert "its pool reads all frames at once" in missing_map_reason(model, "rollout")
    assert "own blocks" in missing_map_reason(model, "legrad")
    result = explain(
        model, torch.rand(1, 4, 3, 36, 36), np.arange(4.0), name="m", method="occlusion", text=torch.randn(32)
    )
    assert result.heat.shape == (4, 2, 2) and result.heat.max() > 0
    predictor.set_video(SAMPLE)
    assert sum(p.score for p in predictor.score(["a", "b", "c"])) == pytest.approx(1)
    assert predictor.identity.text == "a video of {}." and "VideoPrism" in predictor.identity.describe()


@pytest.mark.slow
def test_commands(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    sides = ["--labels", "waving, red box", "--model", name, "--json"]
    assert main(["predict", str(SAMPLE), *sides]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["model"] == name and len(answer["frames"]) == 4
    assert main(["motion", str(SAMPLE), *sides]) == 0
    logits = {probe["variation"]: probe["logit"] for probe in json.loads(capsys.readouterr().out)["models"][name]}
    assert abs(logits["reversed"] - logits["as it is"]) > 1e-3, "the order of frames matters"
    explained = ["explain", str(SAMPLE), *sides[:4], "--out", str(tmp_path / "maps")]
    assert main(explained) == 2
    assert "Choose another, such as --method occlusion" in capsys.readouterr().err
    assert main([*explained, "--method", "occlusion"]) == 0


def test_refused_files(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        CheckpointError, match="is not on this machine; fetch it with: python -m ezclip get videoprism:"
    ):
        load_model("videoprism:nobody/nothing")
    with pytest.raises(CheckpointError, match="is not videoprism:ORGANISATION/NAME"):
        check_model_name("videoprism:")
    shutil.copytree(folder, tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["num_spatial_layers"] = 3
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="tensors, first video_model.vision_model.spatial_layers.2"):
        load_model(f"videoprism:{tmp_path / 'other'}")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(CheckpointError, match="needs the package transformers, 5.13 or later"):
        load_model(f"videoprism:{folder}")


@pytest.fixture
def hosts() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


def test_a_fetched_model_loads(hosts: StandIn, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hosts.content.files |= {path.name: path.read_bytes() for path in folder.iterdir()}
    offer = replace(find_offer("videoprism:google/videoprism-lvt-base-f16r288"), mb=None)
    assert offer.name in finish(fetch(offer, hosts.hosts)).use and offer.is_local()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_model(offer.name).variant == "videoprism"
