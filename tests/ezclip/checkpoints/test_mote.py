"""MoTE: its checkpoints, the text tower of another CLIP, and what its scores depend on."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ezclip.checkpoints.convert import convert
from ezclip.checkpoints.layouts import read_layout
from ezclip.checkpoints.load import load_model
from ezclip.checkpoints.rivals import build_from_layout
from ezclip.checkpoints.store import save_backbone
from ezclip.cli import main
from ezclip.errors import CheckpointError, UserError
from ezclip.model.backbone import Backbone, build_backbone
from ezclip.model.rivals.mote import MoTE
from ezclip.text.templates import OPEN_VCLIP
from ezclip.text.tokens import tokenize
from tests.conftest import external, write_video

SIZES: dict[str, Any] = {
    "embed_dim": 64,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 64, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 1},
}


def started_from(config: dict[str, Any], seed: int = 5, image: dict[str, Tensor] | None = None) -> Backbone:
    """A CLIP with random weights and these tensors in its image tower."""
    torch.manual_seed(seed)
    backbone = build_backbone(f"clip {seed}", config)
    backbone.clip.load_state_dict(backbone.clip.state_dict() | (image or {}))
    return backbone


def written(path: Path, bank: Tensor | None = None, sizes: dict[str, Any] = SIZES) -> dict[str, dict[str, Tensor]]:
    """Write random weights in MoTE's layout with this bank of training texts; returns the tensors."""
    image = {
        key: tensor
        for key, tensor in started_from(sizes, seed=6).clip.state_dict().items()
        if key.startswith("visual.") or key == "logit_scale"
    }
    E, layers, experts = sizes["embed_dim"], 2, 3
    shapes = {"frame_position_embeddings.weight": (77, E)}
    for k in range(layers):
        block = f"transformer.resblocks.{k}."
        shapes |= {f"{block}attn.in_proj_weight": (3 * E, E), f"{block}attn.in_proj_bias": (3 * E,)}
        shapes |= {f"{block}attn.out_proj.weight": (E, E), f"{block}attn.out_proj.bias": (E,)}
        shapes |= {f"{block}{ln}.{part}": (E,) for ln in ("ln_1", "ln_2") for part in ("weight", "bias")}
        shapes[f"{block}mlp.mote_fusion_weight"] = (experts,)
        for j in range(experts):
            shapes |= {f"{block}mlp.fc_up.{j}.weight": (4 * E, E), f"{block}mlp.fc_up.{j}.bias": (4 * E,)}
            shapes |= {f"{block}mlp.fc_dn.{j}.weight": (E, 4 * E), f"{block}mlp.fc_dn.{j}.bias": (E,)}
    fusion = {key: 0.4 * torch.randn(shape) for key, shape in shapes.items()}
    fusion["spe_cls_feature"] = torch.randn(9, E) if bank is None else bank
    states = {"model_state_dict": image, "fusion_model_state_dict": fusion}
    torch.save({"epoch": 3, "optimizer_state_dict": {}} | states, path)
    return states


def by_the_equation(frames: Tensor, texts: Tensor, fusion: dict[str, Tensor], heads: int) -> Tensor:
    """Cosines (B, C) of frame embeddings c (B, T, E) and texts, in plain torch."""
    x = frames + fusion["frame_position_embeddings.weight"][: frames.shape[1]]
    layers = sum(key.endswith("mote_fusion_weight") for key in fusion)
    for k in range(layers):
        block = {key.split(f"resblocks.{k}.")[1]: t for key, t in fusion.items() if f"resblocks.{k}." in key}
        y = F.layer_norm(x, x.shape[-1:], block["ln_1.weight"], block["ln_1.bias"], 1e-12)
        attn = torch.nn.MultiheadAttention(x.shape[-1], heads, batch_first=True)
        attn.load_state_dict({key.removeprefix("attn."): t for key, t in block.items() if key.startswith("attn.")})
        x = x + attn(y, y, y, need_weights=False)[0]
        y = F.layer_norm(x, x.shape[-1:], block["ln_2.weight"], block["ln_2.bias"], 1e-12)
        merged = {}
        for key in ("fc_up.{}.weight", "fc_up.{}.bias", "fc_dn.{}.weight", "fc_dn.{}.bias"):
            shares = block["mlp.mote_fusion_weight"].softmax(0)
            merged[key] = sum(share * block[f"mlp.{key.format(j)}"] for j, share in enumerate(shares))
        y = F.linear(y, merged["fc_up.{}.weight"], merged["fc_up.{}.bias"])
        x = x + F.linear(y * torch.sigmoid(1.702 * y), merged["fc_dn.{}.weight"], merged["fc_dn.{}.bias"])
    unit, class_texts = F.normalize(texts, dim=-1), F.normalize(fusion["spe_cls_feature"], dim=-1)
    rows = []
    for c, r in zip(frames, x, strict=True):
        a = F.normalize(c.mean(0), dim=0)
        near, matches = (bank[(bank @ a).argsort(descending=True)[:5]] for bank in (unit, class_texts))
        m = torch.stack([(matches @ one).max() for one in near]).mean()
        s = torch.exp(-(1 - m) / 0.05)
        rows.append(unit @ F.normalize((s * r + c).mean(0), dim=0))
    return torch.stack(rows)


def test_parity_with_the_official_code() -> None:
    """Mixed with a CLIP of the same image tower, so the mixture equals the file's tower."""
    official = external("parity/rivals/mote_official.pt")
    expected: dict[str, Any] = torch.load(external("parity/rivals/mote_expected.pt"), weights_only=True)
    layout, text = read_layout(official), {"vocab_size": 300, "width": 128, "heads": 2, "layers": 1}

    def clip(config: dict[str, Any]) -> dict[str, Tensor]:
        return started_from(config | {"text_cfg": text}, image=layout.state).clip.state_dict()

    model, backbone, meta, texts = build_from_layout(layout, num_frames=expected["T"], clip=clip)
    assert isinstance(model, MoTE) and (texts, meta["settings"]["layers"]) == ("names", expected["temporal_layers"])
    assert backbone.config["text_cfg"]["layers"] == 1 and model.logit_scale.exp() == pytest.approx(100)
    names = expected["text_embeddings"]
    with torch.no_grad():
        video = model.encode(expected["frames"].unflatten(0, (-1, expected["T"])))
        assert video.context is not None
        torch.testing.assert_close(
            video.frames.mean(dim=1), expected["unmodulated_video_embeddings"], atol=1e-5, rtol=1e-5
        )
        s = model.modulation(F.normalize(expected["frame_embeddings"].mean(dim=1), dim=-1), F.normalize(names, dim=-1))
        torch.testing.assert_close(s, expected["modulation"], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(model.cosines(video, names), expected["logits"], atol=2e-6, rtol=0)
        torch.testing.assert_close(model.scores(video, names), expected["logits_scaled_100"], atol=1e-4, rtol=0)


def test_another_file_of_its_layout(tmp_path: Path) -> None:
    """With a CLIP: 0.99 of the file's image tower, the CLIP's text tower, and the cosines of the equation."""
    clip, names = started_from(SIZES), ["waving", "clapping hands", "running", "a b", "cd", "eating"]
    with torch.no_grad():
        plain = [clip.clip.encode_text(tokenize([t.replace("{}", name) for t in OPEN_VCLIP])[0]) for name in names]
        expected = torch.stack([F.normalize(F.normalize(one, dim=-1).mean(dim=0), dim=0) for one in plain])
    bank = torch.cat([expected + 0.03 * torch.randn(6, 64), torch.randn(3, 64)])
    file = written(tmp_path / "o.pt", bank)
    image, fusion = file["model_state_dict"], file["fusion_model_state_dict"]
    layout = read_layout(tmp_path / "o.pt")
    model, _, meta, _ = build_from_layout(layout, num_frames=4, clip=lambda _: clip.clip.state_dict())
    assert isinstance(model, MoTE) and (model.num_frames, model.order_blind, model.common_space) == (4, False, False)
    assert (meta["method"], meta["settings"]) == ("mote", {"positions": 77, "layers": 2, "classes": 9})
    fixed = ("spe_cls_feature", "fusion_weight")
    trained = [*image.values(), *(t for key, t in fusion.items() if not key.endswith(fixed))]
    assert meta["trainable"] == sum(t.numel() for t in trained)
    torch.testing.assert_close(model.vision.proj, 0.99 * image["visual.proj"] + 0.01 * clip.clip.visual.proj)

    pixels = torch.randn(3, 4, 3, 32, 32)
    with torch.no_grad():
        tokens, cut = model.tokenize([*names, "word " * 90])
        assert cut == ["word " * 90] and tokens.shape == (7, 28, 77)
        texts = model.encode_text(model.trim_padding(tokens[:6]))
        torch.testing.assert_close(texts, expected, atol=1e-5, rtol=0)
        video = model.encode(pixels)
        cosines, reference = model.cosines(video, texts), by_the_equation(model.vision(pixels), texts, fusion, heads=2)
        torch.testing.assert_close(cosines, reference, atol=1e-5, rtol=0)
        assert (model.cosines(model.encode(pixels.flip(1)), texts) - cosines).abs().max() > 1e-3, "order matters"
        class_texts = torch.cat([texts[:5], F.normalize(torch.randn(1, 64), dim=-1)])
        assert not torch.allclose(model.cosines(video, class_texts)[:, :5], cosines[:, :5], atol=1e-4)
        unmodulated = F.normalize(video.frames.mean(dim=1), dim=-1) @ F.normalize(bank, dim=-1).T
        torch.testing.assert_close(model.cosines(video, bank), unmodulated, atol=1e-5, rtol=0)  # the training's: s = 1
        with pytest.raises(UserError, match="give at least 5, got 4"):
            model.scores(video, texts[:4])

        save_backbone(clip, tmp_path / "clip" / "backbone.safetensors")
        convert(tmp_path / "o.pt", tmp_path / "model", clip=str(tmp_path / "clip"), num_frames=4)
        stored = load_model(tmp_path / "model")
        again = stored.cosines(stored.encode(pixels), stored.encode_text(stored.trim_padding(tokens[:6])))
    torch.testing.assert_close(again, cosines, atol=2e-3, rtol=0)  # half precision on disk


@pytest.mark.slow
def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "o.pt")
    save_backbone(started_from(SIZES), tmp_path / "clip" / "backbone.safetensors")
    model, clip = str(tmp_path / "model"), str(write_video(tmp_path / "clip.mp4"))
    assert main(["convert", str(tmp_path / "o.pt"), model, "--clip", str(tmp_path / "clip")]) == 0
    assert "does not record T; 8 is assumed" in capsys.readouterr().err
    assert main(["predict", clip, "--labels", "a, b, c, d, e", "--model", model]) == 0
    assert main(["predict", clip, "--labels", "a, b", "--model", model]) == 2
    assert "give at least 5, got 2" in capsys.readouterr().err
    assert main(["motion", clip, "--labels", "a, b, c, d, e", "--model", model, "--baseline", ""]) == 0
    explain = ["explain", clip, "--labels", "a, b, c, d, e", "--model", model, "--out", str(tmp_path / "maps")]
    assert main(explain) == 0
    assert main([*explain, "--method", "occlusion"]) == 2
    assert "depends on which others are compared. Choose another, such as --method rollout" in capsys.readouterr().err
    assert main(["index", str(tmp_path), "--out", str(tmp_path / "index"), "--model", model]) == 2


def test_a_clip_of_other_sizes_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "o.pt")
    other = SIZES | {"vision_cfg": SIZES["vision_cfg"] | {"layers": 3}}
    save_backbone(started_from(other), tmp_path / "clip" / "backbone.safetensors")
    with pytest.raises(CheckpointError, match="o.pt compared with this CLIP does not fit"):
        convert(tmp_path / "o.pt", tmp_path / "model", clip=str(tmp_path / "clip"))
