"""X-CLIP in transformers' layout reproduces the outputs of ``XCLIPModel``."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ezclip.checkpoints.load import load_model
from ezclip.checkpoints.xclip import to_authors_names
from ezclip.collection.index import build
from ezclip.errors import CheckpointError, ConfigError
from ezclip.explanation.maps import missing_map_reason
from ezclip.explanation.rollout import roll_out
from ezclip.explanation.trace import compute_trace
from ezclip.predictor import Predictor
from ezclip.progress import finish

transformers = pytest.importorskip("transformers")
SAMPLE = min((Path(__file__).parents[3] / "assets" / "samples").glob("*.mp4"))


@pytest.fixture(scope="module")
def reference() -> Any:
    sides = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 1}
    mit = {f"mit_{key}": 1 if key == "num_hidden_layers" else value for key, value in sides.items()}
    config = transformers.XCLIPConfig(
        text_config=sides | {"vocab_size": 49408, "max_position_embeddings": 77},
        vision_config=sides | mit | {"image_size": 32, "patch_size": 8, "num_frames": 4},
        projection_dim=64,
        prompt_layers=2,
        prompt_num_attention_heads=1,
    )
    torch.manual_seed(0)
    model = transformers.XCLIPModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


@pytest.fixture(scope="module")
def name(reference: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("xclip")
    reference.save_pretrained(folder)
    normalisation = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    (folder / "preprocessor_config.json").write_text(json.dumps(normalisation))
    return f"xclip:{folder}"


def test_parity_with_transformers(reference: Any, name: str) -> None:
    model, pixels = load_model(name), torch.randn(2, 4, 3, 32, 32)
    ids, _ = model.tokenize(["waving", "opening a red box", "lifting"])
    with torch.no_grad():
        expected = reference(input_ids=ids, pixel_values=pixels)
        video, texts = model.encode(pixels), model.encode_text(ids)
        read = torch.nn.functional.normalize(model.texts_for(video, texts), dim=-1)
        torch.testing.assert_close(read, expected.text_embeds, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(model.scores(video, texts), expected.logits_per_video, atol=1e-4, rtol=1e-5)
        assert (
            float((model.scores(model.encode(pixels.flip(1)), texts) - model.scores(video, texts)).abs().max()) > 1e-3
        )
    with pytest.raises(ValueError, match="xclip model takes"):
        model.encode(pixels[:, :3])


def test_rollout_passes_through_the_messages(name: str) -> None:
    """One block by hand: the message of frame t is half its class token, half attention over the frames."""
    model, pixels = load_model(name), torch.randn(1, 4, 3, 32, 32)
    trace = compute_trace(model, pixels)
    assert trace.messages and [a.shape for a in trace.frames] == 2 * [(4, 18, 18)]
    trace.temporal.clear()
    trace.frames, trace.prompts = trace.frames[-1:], trace.prompts[-1:]
    weights, A, P = roll_out(trace).weights, trace.frames[0], trace.prompts[0]
    assert P is not None
    frames = (torch.eye(4) + torch.eye(4)) / 2  # the skip around the transformer over frames, which is left out here
    expected = torch.zeros(4, 4, 17)
    for t in range(4):
        expected[t, t] += A[t, 0, :17] / 2
        expected[t, t, 0] += 0.5
        for s in range(4):
            expected[t, s, 0] += A[t, 0, 17] / 2 * ((t == s) + P[0, t, s]) / 2
    torch.testing.assert_close(weights, torch.einsum("ut,tsi->usi", frames, expected))
    torch.testing.assert_close(roll_out(compute_trace(model, pixels)).weights.sum(dim=(1, 2)), torch.ones(4))


def test_what_it_has_and_lacks(name: str) -> None:
    predictor = Predictor.load(name, device="cpu", dtype=torch.float32)
    model = predictor.model
    assert not model.common_space and not model.order_blind and model.num_frames == 4
    assert missing_map_reason(model, "rollout") == missing_map_reason(model, "occlusion") == ""
    assert "texts depend on the patches" in missing_map_reason(model, "legrad")
    predictor.set_video(SAMPLE)
    assert sum(p.score for p in predictor.score(["a", "b", "c"])) == pytest.approx(1)
    assert predictor.identity.text == "names" and model.preprocessing.mean == (0.485, 0.456, 0.406)


def test_no_index_of_texts_that_depend_on_the_video(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be indexed"):
        finish(build(Predictor.load(name, device="cpu"), SAMPLE.parent, tmp_path))


def test_refused_files(reference: Any, name: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not on this machine; fetch it with: python -m ezclip get"):
        load_model("xclip:nobody/nothing")
    folder = Path(name.removeprefix("xclip:"))
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text()) | {"prompt_num_attention_heads": 2}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="has 2 prompt heads on a width of 64"):
        load_model(f"xclip:{tmp_path}")
    assert len(to_authors_names(reference.state_dict())) == len(reference.state_dict()) - 2 * 2 * (2 + 2 + 2 + 1)
