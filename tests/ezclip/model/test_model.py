"""Parts of the model and their properties."""

from pathlib import Path

import open_clip
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ezclip.checkpoints.store import load_backbone, save_backbone
from ezclip.errors import CheckpointError, ConfigError
from ezclip.model.adapter import Adapter, TokenDropPath
from ezclip.model.attention import Mix, attend
from ezclip.model.backbone import Backbone, build_backbone, check_supported, load_open_clip
from ezclip.model.block import fuse_quickgelu
from ezclip.model.builders import build_ezclip
from ezclip.text.tokens import tokenize
from tests.conftest import TINY, make_model


@pytest.mark.parametrize(
    ("arch", "T", "count"),
    [
        ("ViT-B-16-quickgelu", 8, 5_204_736),
        ("ViT-B-32-quickgelu", 8, 5_204_736),
        ("ViT-B-16-quickgelu", 16, 5_278_464),
        ("ViT-L-14-quickgelu", 8, 16_360_704),
    ],
)
def test_trainable_counts(arch: str, T: int, count: int) -> None:
    with torch.device("meta"):
        model = build_ezclip(build_backbone(arch, open_clip.get_model_config(arch)), "ezclip", num_frames=T)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == count
    assert all(
        ".adapter." in n or n.endswith("prompt.embedding") for n, p in model.named_parameters() if p.requires_grad
    )


def test_a_fresh_base_model_is_clip(backbone: Backbone, pixels: torch.Tensor) -> None:
    model = build_ezclip(backbone, "base").eval()
    tokens, _ = tokenize(["a red mug", "pushing something from left to right, slowly"])
    with torch.no_grad():
        images = backbone.clip.encode_image(pixels.flatten(0, 1)).unflatten(0, (2, 8))
        torch.testing.assert_close(model.encode_video(pixels), images, atol=1e-5, rtol=0)
        torch.testing.assert_close(model.encode_text(tokens), backbone.clip.encode_text(tokens), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("variant", "blind"), [("base", True), ("motion", True), ("prompts", False), ("ezclip", False)]
)
def test_order_of_frames(backbone: Backbone, pixels: torch.Tensor, variant: str, blind: bool) -> None:
    model = make_model(backbone, variant)
    with torch.no_grad():
        forward, backward = (model.encode_video(p).mean(dim=1) for p in (pixels, pixels.flip(1)))
    assert ((forward - backward).abs().max() <= 1e-5) == blind


def test_normalise_by_hand(backbone: Backbone) -> None:
    white = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    normalised = make_model(backbone, "base").normalise(white)[0, :, 0, 0]
    expected = torch.tensor(
        [(1 - 0.48145466) / 0.26862954, (1 - 0.4578275) / 0.26130258, (1 - 0.40821073) / 0.27577711]
    )
    torch.testing.assert_close(normalised, expected)


def test_a_tag_brings_its_own_mean_and_deviation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """ViT-L-14/laion2b_s32b_b82k was trained with 0.5 and 0.5; the backbone file stores them."""
    tiny = open_clip.model.CLIP(**{k: v for k, v in TINY.items() if k != "quick_gelu"})
    monkeypatch.setattr(open_clip, "create_model", lambda *_, **__: tiny)
    backbone = load_open_clip("ViT-L-14", "laion2b_s32b_b82k")
    white, black = (torch.full((3, 1, 1), v, dtype=torch.uint8) for v in (255, 0))
    model = build_ezclip(backbone, "base")
    assert (model.normalise(white) == 1).all() and (model.normalise(black) == -1).all()
    save_backbone(Backbone("tiny", TINY | {"pixels": backbone.config["pixels"]}, tiny), tmp_path / "b.safetensors")
    assert load_backbone(tmp_path / "b.safetensors").preprocessing.mean == model.preprocessing.mean


@pytest.mark.parametrize("arch", ["ViT-H-14-quickgelu", "ViT-H-14-378-quickgelu"])
def test_tags_that_squash_whole_frames_are_refused(monkeypatch: pytest.MonkeyPatch, arch: str) -> None:
    monkeypatch.setattr(open_clip, "create_model", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(CheckpointError, match="dfn5b was trained on whole frames squashed to a square"):
        load_open_clip(arch, "dfn5b")


@pytest.mark.parametrize("T", [1, 3, 64])
def test_any_number_of_frames(backbone: Backbone, T: int) -> None:
    frames = make_model(backbone, "ezclip", T=T).encode_video(torch.zeros(1, T, 3, 32, 32))
    assert frames.shape == (1, T, 32)
    assert make_model(backbone, "base").encode_video(torch.zeros(1, T, 3, 32, 32)).shape == (1, T, 32)


def test_shallow_prompts_stand_in_the_first_block(backbone: Backbone) -> None:
    model = build_ezclip(backbone, "ezclip", prompt_depth="shallow")
    names = [name for name in model.trainable_parameters() if "prompt" in name]
    assert names == ["vision.blocks.0.prompt.embedding"]


def test_prompt_is_equation_2_and_3(backbone: Backbone, pixels: torch.Tensor) -> None:
    block = make_model(backbone, "ezclip").vision.blocks[0]
    x = torch.randn(16, 17, 64, generator=torch.Generator().manual_seed(5))  # 2 videos of 8 frames
    attention = block.attn
    with torch.no_grad():
        p = block.prompt.embedding + x.mean(1).unflatten(0, (2, 8))
        p = block.ln_1(p)
        expected, _ = attention(p, p, p, need_weights=False)
        torch.testing.assert_close(block.prompt(x, block.ln_1, attention), expected.flatten(0, 1).unsqueeze(1))


def test_attention_equals_the_module_it_takes_its_weights_from() -> None:
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(16, 4, batch_first=True).eval()
    x = torch.randn(3, 5, 16)
    with torch.no_grad():
        torch.testing.assert_close(attend(attention, x, Mix()), attention(x, x, x)[0])


def test_text_is_cut_after_the_last_end_without_a_change(backbone: Backbone) -> None:
    model = make_model(backbone, "base")
    short, _ = tokenize(["a mug"])
    both, _ = tokenize(["a mug", "a very much longer sentence about a red mug that somebody lifts off the table"])
    with torch.no_grad():
        torch.testing.assert_close(model.encode_text(short)[0], model.encode_text(both)[0], atol=1e-6, rtol=0)


def test_adapter_by_hand() -> None:
    adapter = Adapter(4)
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    assert torch.equal(adapter(x), x)
    with torch.no_grad():
        adapter.down.weight.fill_(1.0)
        adapter.down.bias.zero_()
        adapter.up.weight.fill_(1.0)
    assert torch.allclose(adapter(x), x + 10.0)  # gelu(10) = 10


def test_drop_path_drops_positions_for_the_whole_batch() -> None:
    torch.manual_seed(0)
    layer = TokenDropPath(0.5).train()
    out = layer(torch.ones(4, 200, 2))
    assert set(out.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(out, out[:1].expand_as(out))
    assert torch.equal(layer.eval()(torch.ones(4, 3, 2)), torch.ones(4, 3, 2))


def test_bfloat16_stays_bfloat16(backbone: Backbone, pixels: torch.Tensor) -> None:
    torch.manual_seed(0)
    model = make_model(build_backbone("own", TINY), "ezclip", scale=0.05)
    with torch.no_grad():
        exact = model.encode_video(pixels)
        half = model.to(torch.bfloat16).encode_video(pixels)
    assert half.dtype == torch.bfloat16
    assert torch.cosine_similarity(exact, half.float(), dim=-1).min() > 0.99


def test_wrong_input_names_the_shape(backbone: Backbone) -> None:
    with pytest.raises(ValueError, match=r"\(B, 8, 3, 32, 32\)"):
        make_model(backbone, "ezclip").encode_video(torch.zeros(1, 4, 3, 32, 32))
    with pytest.raises(ConfigError, match="between 1 and 64"):
        build_ezclip(backbone, "ezclip", num_frames=65)
    with pytest.raises(ConfigError, match="must be one of clip, base"):
        build_ezclip(backbone, "best")


@pytest.mark.parametrize("arch", ["RN50", "ViT-B-16-SigLIP", "coca_ViT-B-32", "EVA02-B-16", "roberta-ViT-B-32"])
def test_other_towers_are_refused_by_name(arch: str) -> None:
    with pytest.raises(CheckpointError, match="class-token pooling"):
        check_supported(arch, open_clip.get_model_config(arch))


@pytest.mark.parametrize("arch", ["ViT-B-32", "ViT-B-16-quickgelu", "ViT-L-14-336", "ViT-H-14"])
def test_plain_vits_are_supported(arch: str) -> None:
    """Every block gets adapters and prompts, in the widths of open_clip's configuration."""
    config = open_clip.get_model_config(arch)
    vision, text = config["vision_cfg"], config["text_cfg"]
    with torch.device("meta"):
        model = build_ezclip(build_backbone(arch, config), "ezclip", num_frames=4)
    assert (len(model.vision.blocks), len(model.text.blocks)) == (vision["layers"], text["layers"])
    assert all(block.prompt.embedding.shape == (4, vision["width"]) for block in model.vision.blocks)
    assert all(block.adapter.down.weight.shape[1] == text["width"] for block in model.text.blocks)
    assert model.image_size == vision["image_size"]


def test_weights_that_cannot_be_had_say_how_to_give_them() -> None:
    with pytest.raises(CheckpointError, match=r"local file: clip:ViT-B-16-quickgelu/FILE\.safetensors"):
        load_open_clip("ViT-B-16-quickgelu", "openai")
    with pytest.raises(CheckpointError, match="no pretrained weights 'nonsense'"):
        load_open_clip("ViT-B-16-quickgelu", "nonsense")


def test_the_mlp_in_one_pass_is_open_clips(backbone: Backbone) -> None:
    """Values and gradients of x sigmoid(1.702 x) with the same parameters; other activations are left alone."""
    torch.manual_seed(0)
    plain = backbone.clip.visual.transformer.resblocks[0].mlp.requires_grad_()
    mlp, x = fuse_quickgelu(plain), torch.randn(2, 5, 64)
    assert mlp is not plain and mlp.c_fc.weight is plain.c_fc.weight and mlp.c_proj.bias is plain.c_proj.bias
    y, expected = mlp(x), plain(x)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-6)
    theirs = torch.autograd.grad(expected.square().sum(), list(plain.parameters()))
    for ours, gradient in zip(torch.autograd.grad(y.square().sum(), list(plain.parameters())), theirs, strict=True):
        torch.testing.assert_close(ours, gradient, rtol=1e-4, atol=1e-5)
    plain.gelu = nn.GELU()
    assert fuse_quickgelu(plain) is plain


def test_attention_in_bfloat16_on_a_cpu_is_that_of_the_fused_kernel() -> None:
    q, k, v = torch.randn(3, 2, 2, 7, 32, generator=torch.Generator().manual_seed(0)).bfloat16()
    expected = F.scaled_dot_product_attention(q.float(), k.float(), v.float())
    torch.testing.assert_close(Mix()(q, k, v).float(), expected, rtol=0.03, atol=0.01)
