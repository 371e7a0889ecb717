"""A grown CLIP computes the same as its start; models that cannot be grown are refused."""

import pytest
import torch

from ezclip.config import PretrainConfig
from ezclip.errors import ConfigError
from ezclip.model.backbone import build_backbone
from ezclip.training.grow import grow
from ezclip.training.pretrain import architecture

SIZES = {
    "image_size": 32,
    "patch_size": 8,
    "width": 64,
    "layers": 2,
    "text_width": 64,
    "text_layers": 1,
    "embed_dim": 8,
}


def sizes(**other: int) -> dict:
    return architecture(PretrainConfig(out="", sizes=SIZES | other))  # type: ignore[arg-type]


def test_a_deeper_clip_computes_the_same() -> None:
    start = build_backbone("start", sizes())
    pixels, tokens = torch.randn(2, 3, 32, 32), torch.randint(1, 9, (3, 77))
    for layers in (2, 4, 6):
        grown = grow(start, "grown", sizes(layers=layers))
        assert len(grown.clip.visual.transformer.resblocks) == layers
        with torch.no_grad():
            assert torch.allclose(grown.clip.encode_image(pixels), start.clip.encode_image(pixels), atol=1e-6)
            assert torch.equal(grown.clip.encode_text(tokens), start.clip.encode_text(tokens))


def test_positions_are_interpolated_and_the_class_token_keeps_its_own() -> None:
    start = build_backbone("start", sizes())
    positions = start.clip.visual.positional_embedding
    with torch.no_grad():
        positions[1:] = torch.arange(4.0).repeat(4)[:, None]  # the column of each patch
    grown = grow(start, "grown", sizes(image_size=64)).clip.visual.positional_embedding
    assert grown.shape == (65, 64) and torch.equal(grown[0], positions[0])
    columns = grown[1:].unflatten(0, (8, 8))
    assert torch.allclose(columns[0, :, 0], columns[5, :, 7], atol=1e-5)
    assert columns[3, 2:6, 0].tolist() == pytest.approx([0.75, 1.25, 1.75, 2.25], abs=0.1)


def test_other_differences_are_refused() -> None:
    start = build_backbone("start", sizes())
    for other in ({"layers": 3}, {"width": 128}, {"embed_dim": 16}):
        with pytest.raises(ConfigError, match="only image_size may differ"):
            grow(start, "grown", sizes(**other))
