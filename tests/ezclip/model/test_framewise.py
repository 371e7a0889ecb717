"""open_clip models that are no backbone of EZ-CLIP: tiny versions of SigLIP 2, PE-Core, EVA-02 and MobileCLIP 2."""

import json
import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from ezclip import load_model
from ezclip.checkpoints.gallery import find_offer
from ezclip.cli import main
from ezclip.errors import CheckpointError
from ezclip.explanation.maps import explain
from ezclip.explanation.rollout import roll_out
from ezclip.explanation.trace import compute_trace
from ezclip.model.framewise import FramewiseCLIP
from ezclip.model.interface import Video
from ezclip.predictor import Predictor
from ezclip.types import visible_box
from tests.towers import TAGS, towers

KINDS = tuple(TAGS)
SAMPLES = sorted((Path(__file__).parents[3] / "assets" / "samples").glob("*.mp4"))


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return towers(tmp_path_factory.getbasetemp())


def load(name: str) -> FramewiseCLIP:
    model = load_model(name)
    assert isinstance(model, FramewiseCLIP)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_open_clip_on_the_mean_of_the_frames(names: dict[str, str], kind: str) -> None:
    model, pixels = load(names[kind]), torch.randn(2, 3, 3, 32, 32)
    ids, _ = model.tokenize(["waving", "lifting something"])
    with torch.inference_mode():
        logits = model.scores(model.encode(pixels), model.encode_text(ids))
        frames = model.clip.encode_image(pixels.flatten(0, 1)).unflatten(0, (2, 3))
        text = model.clip.encode_text(ids, normalize=True)
        expected = model.clip.logit_scale.exp() * torch.nn.functional.normalize(frames.mean(1), dim=-1) @ text.T
        turned = model.scores(model.encode(pixels.flip(1)), model.encode_text(ids))
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(logits, turned)
    assert model.order_blind


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_those_of_open_clip(names: dict[str, str], kind: str) -> None:
    """Resized in 8 bits, by torchvision here and by Pillow in open_clip."""
    smooth = np.add.outer(np.arange(90), np.arange(120))[..., None].repeat(3, -1).astype(np.uint8)
    model, image = load(names[kind]), Image.fromarray(smooth)
    reference = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(
            size=32, **{"mean": model.preprocessing.mean, "std": model.preprocessing.std} | TAGS[kind]
        ),
        is_train=False,
    )(image)
    here = model.normalise(model.preprocess(smooth[None]))[0]
    assert float((here - reference).abs().max()) < 0.05
    left, top, right, bottom = visible_box(image.height, image.width, model.preprocessing)
    side = min(image.size)
    assert (right - left, bottom - top) == (
        image.size if kind in ("siglip", "pe") else pytest.approx((side, side), abs=8)
    )


def test_siglip_has_a_tokenizer_of_its_own(names: dict[str, str]) -> None:
    ids, cut = load(names["siglip"]).tokenize(["Waving, a of something something something", "lifting"])
    assert ids.tolist() == [[6, 7, 8, 5, 5, 1], [4, 1, 0, 0, 0, 0]]
    assert cut == ["Waving, a of something something something"]
    ids, cut = load(names["pe"]).tokenize(["waving " * 40])
    assert ids.shape == (1, 32) and len(cut) == 1 and load(names["siglip"]).tokenize([])[0].shape == (0, 6)


def test_a_missing_tokenizer_is_named(names: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", lambda *_, **__: Path("absent").stat())
    with pytest.raises(CheckpointError, match="The tokenizer of tiny-tower-siglip is not on this machine"):
        load_model(names["siglip"])


@pytest.mark.parametrize("kind", ["siglip", "pe", "eva"])
def test_attention_is_what_the_fused_kernel_takes(names: dict[str, str], kind: str) -> None:
    """The last block's values mixed by the traced probabilities give its output; a pool's row is checked by hand."""
    model, pixels = load(names[kind]), torch.randn(1, 2, 3, 32, 32)
    prefix, trunk = (0 if kind == "siglip" else 1), model.clip.visual.trunk
    entered: list[torch.Tensor] = []
    pool = getattr(trunk, "attn_pool", None)
    with torch.inference_mode():
        before = model.encode_video(pixels)
        if pool is not None:
            pool.register_forward_pre_hook(lambda module, inputs: entered.append(inputs[0]))
        trace = compute_trace(model, pixels)
        torch.testing.assert_close(model.encode_video(pixels), before)
    assert [a.shape for a in trace.frames] == 2 * [(2, 17, 17)] and trace.prompts == [None, None]
    torch.testing.assert_close(torch.stack(trace.frames).sum(-1), torch.ones(2, 2, 17))
    if pool is None:
        assert trace.pool is None
    else:
        x, d = entered[0], pool.head_dim
        q = pool.q(pool.latent).view(1, 1, pool.num_heads, d).transpose(1, 2)
        k = pool.kv(x)[..., : pool.num_heads * d].view(2, -1, pool.num_heads, d).transpose(1, 2)
        expected = (q @ k.transpose(-1, -2) * d**-0.5).softmax(-1).mean(1)[:, 0]
        torch.testing.assert_close(trace.pool[:, 1 - prefix :], expected)  # type: ignore[index]
    weights = roll_out(trace).weights
    torch.testing.assert_close(weights.sum(dim=(1, 2)), torch.ones(2))
    torch.testing.assert_close(roll_out(trace).influence, torch.eye(2))


@pytest.mark.parametrize("kind", KINDS)
def test_maps_that_it_has_and_why_it_lacks_others(names: dict[str, str], kind: str) -> None:
    model, pixels = load(names[kind]), torch.randn(1, 2, 3, 32, 32)
    text = torch.randn(64)
    for method in ("rollout", "last-layer", "occlusion", "legrad"):
        attribution = explain(model, pixels, np.arange(2.0), name="m", method=method, text=text)
        lacks = method == "legrad" or (kind == "mobile" and method != "occlusion")
        assert attribution.absent == lacks and (attribution.heat.max() > 0) != lacks
        assert attribution.note.endswith("own blocks." if method == "legrad" else "patches.") or not lacks
        assert attribution.heat.shape == (2, model.grid, model.grid)


@pytest.mark.slow
def test_a_file_is_scored_in_the_dtype_of_the_model(names: dict[str, str]) -> None:
    for name in names.values():
        scores = []
        for dtype in (torch.float32, torch.bfloat16):
            predictor = Predictor.load(name, device="cpu", dtype=dtype)
            predictor.set_video(SAMPLES[0])
            scores.append({p.label: p.score for p in predictor.score(["waving", "lifting something"])})
        assert scores[0] == pytest.approx(scores[1], abs=0.03)


def test_frames_alone_and_averaged() -> None:
    video = Video(torch.randn(2, 3, 4), torch.randn(2, 5, 4))
    alone = video.split_frames()
    assert alone.frames.shape == (6, 1, 4) and torch.equal(alone.frames[4, 0], video.frames[1, 1])
    assert alone.context is not None and video.context is not None and torch.equal(alone.context[4], video.context[1])
    both = Video.cat([video[:1], video[1:]])
    assert torch.equal(both.frames, video.frames) and torch.equal(both.context, video.context)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["siglip", "pe"])
def test_commands(names: dict[str, str], kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """predict, motion, embed, and classes of two models side by side."""
    name, labels, clip = names[kind], "waving, lifting something", str(SAMPLES[0])
    for command in (["predict", clip], ["motion", clip]):
        assert main([*command, "--labels", labels, "--model", name, "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer.get("model", name) == name
    assert "does not see the order of the frames, whatever the clip" in " ".join(answer["verdicts"])
    for i, label in enumerate(("waving", "lifting something")):
        (tmp_path / "clips" / label).mkdir(parents=True)
        shutil.copy(SAMPLES[i], tmp_path / "clips" / label / "a.mp4")
    data = str(tmp_path / "clips")
    assert main(["embed", data, "--out", str(tmp_path / "e"), "--model", name]) == 0
    capsys.readouterr()
    sides = ["--model", name, "--baseline", "tabletop/base"]
    assert main(["evaluate", "--data", data, *sides, "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["comparison"]["models"] == ["tabletop/base", name] and whole["n"] == 2
    assert main(["evaluate", "--data", str(tmp_path / "e"), "--model", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["top1"] == whole["top1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("offer", "S", "length", "layers"),
    [
        ("PE-Core-T-16-384/meta", 384, 32, 12),
        ("ViT-B-32-SigLIP2-256/webli", 256, 64, 12),
        ("EVA02-B-16/merged2b_s8b_b131k", 224, 77, 12),
        ("MobileCLIP2-B/dfndr2b", 224, 77, 12),
        ("MobileCLIP2-S0/dfndr2b", 256, 77, 0),
    ],
)
def test_real_architectures(
    names: dict[str, str], monkeypatch: pytest.MonkeyPatch, offer: str, S: int, length: int, layers: int
) -> None:
    """The smallest model of each family with random weights; SigLIP with the tokenizer of the tiny model."""
    from transformers import AutoTokenizer

    create, tokenizer = open_clip.create_model, AutoTokenizer.from_pretrained
    words = open_clip.get_model_config("tiny-tower-siglip")["text_cfg"]["hf_tokenizer_name"]  # type: ignore[index]
    monkeypatch.setattr(open_clip, "create_model", lambda arch, **_: create(arch))
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", lambda _, **options: tokenizer(words, **options))
    predictor = Predictor.load(f"clip:{offer}", device="cpu")
    model = predictor.model
    assert (model.image_size, model.context_length, model.layers) == (S, length, layers)
    assert ("attention" in model.unsupported_maps) == (find_offer(f"clip:{offer}").maps == "gradient, occlusion")
    predictor.set_video(SAMPLES[0])
    assert sum(p.score for p in predictor.score(["waving", "lifting something"])) == pytest.approx(1, abs=1e-5)
