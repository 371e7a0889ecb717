"""X-CLIP (Ni et al., arXiv 2208.02816): message tokens between frames, and texts conditioned on the video."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import LayerNorm, QuickGELU
from torch import Tensor, nn

from ezclip.model.attention import Mix, attend
from ezclip.model.backbone import Backbone
from ezclip.model.block import Block
from ezclip.model.builders import backbone_kwargs, plain_text_blocks
from ezclip.model.ezclip import EZCLIP
from ezclip.model.frame_transformer import FrameTransformer
from ezclip.model.interface import Video
from ezclip.model.text import TextEncoder
from ezclip.model.vision import VisionEncoder
from ezclip.types import IMAGENET_PIXELS


class Message(nn.Module):
    """The message token appended to each frame: m = FC(class token), then m + attention(ln(m)) over the T frames.

    Used by ``Block`` instead of a ``TemporalPrompt``.
    """

    def __init__(self, *, num_frames: int, width: int):
        super().__init__()
        self.num_frames = num_frames
        self.fc, self.ln = nn.Linear(width, width), LayerNorm(width)
        self.attn, self.mix = nn.MultiheadAttention(width, width // 64), Mix()

    def forward(self, x: Tensor, *_: nn.Module) -> Tensor:
        """Tokens of the frames (B*T, 1+N, D) -> one message per frame (B*T, 1, D)."""
        m = self.fc(x[:, 0]).unflatten(0, (-1, self.num_frames))  # (B, T, D)
        return (m + attend(self.attn, self.ln(m), self.mix)).flatten(0, 1).unsqueeze(1)


class TextLayer(nn.Module):
    """t + attention(norm1(t), u, u), then t + MLP(norm3(t)); q, k and v without bias, max(1, E // 64) heads."""

    def __init__(self, width: int):
        super().__init__()
        self.heads = max(1, width // 64)
        self.q, self.k, self.v = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.norm1, self.norm3 = LayerNorm(width), LayerNorm(width)
        self.up, self.gelu, self.down = nn.Linear(width, 4 * width), QuickGELU(), nn.Linear(4 * width, width)

    def forward(self, texts: Tensor, patches: Tensor) -> Tensor:
        """Cross-attention of texts (B, C, E) to patches (B, N, E) -> (B, C, E)."""
        projections = self.q(self.norm1(texts)), self.k(patches), self.v(patches)
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in projections)
        texts = texts + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return texts + self.down(self.gelu(self.up(self.norm3(texts))))


class TextReader(nn.Module):
    """Conditions texts on a video: t + alpha * layers(t, norm(u)), with u the patches' mean over T in CLIP's space.

    Args:
        width: D of the patches.
        embed: E.
        layers: number of layers, 2 in the authors' code.
    """

    def __init__(self, *, width: int, embed: int, layers: int):
        super().__init__()
        self.ln, self.proj = LayerNorm(width), nn.Parameter(torch.empty(width, embed).normal_(std=width**-0.5))
        self.norm, self.alpha = LayerNorm(embed), nn.Parameter(torch.full((embed,), 0.1))
        self.layers = nn.ModuleList(TextLayer(embed) for _ in range(layers))

    def context(self, patches: Tensor) -> Tensor:
        """Patches of the last block (B, T, N, D), before ``ln_post`` -> u (B, N, E)."""
        return (self.ln(patches) @ self.proj).mean(dim=1)

    def forward(self, texts: Tensor, context: Tensor) -> Tensor:
        """Texts (C, E) and each video's u (B, N, E) -> conditioned texts (B, C, E)."""
        texts, patches = texts.expand(len(context), -1, -1), self.norm(context)
        x = texts
        for layer in self.layers:
            x = layer(x, patches)
        return texts + self.alpha * x


class XCLIP(EZCLIP):
    """X-CLIP: the video embedding is the mean over T of blocks(c + p) + c; text embeddings depend on the video."""

    def __init__(self, *, reader: TextReader, **kwargs: Any):
        super().__init__(variant="xclip", **kwargs)
        self.reader = reader
        self._added = list(self.trainable_parameters())
        self.unsupported_maps = {"blocks": "its texts depend on the patches too, which the method does not follow"}

    @property
    def common_space(self) -> bool:
        """Never: a text's embedding depends on the video."""
        return False

    def forward(self, pixels: Tensor, tokens: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Both encoders in one call: (B, T, E) and, with tokens, each text conditioned on each video, (B, C, E)."""
        video = self.encode(pixels)
        return video.frames, None if tokens is None else self.texts_for(video, self.encode_text(tokens))

    def encode(self, pixels: Tensor) -> Video:
        """Frame embeddings after the transformer over frames, with the context of the texts."""
        self._check(pixels)
        frames, patches = self.vision.forward_with_patches(pixels.to(self.dtype))
        return Video(self.apply_temporal(frames), self.reader.context(patches))

    def texts_for(self, video: Video, texts: Tensor) -> Tensor:
        """Texts (C, E) conditioned on each video, (B, C, E); texts already conditioned by ``forward`` are returned."""
        if texts.ndim == 3:
            return texts
        assert video.context is not None
        return self.reader(texts.to(self.dtype), video.context.to(self.dtype))


def build_xclip(backbone: Backbone, *, num_frames: int, layers: int = 1, text_layers: int = 2) -> XCLIP:
    """X-CLIP on its fine-tuned CLIP; added linear layers are initialised as by the authors, N(0, 0.02) truncated at 2.

    Args:
        backbone: CLIP; pixels are normalised with ImageNet's mean and standard deviation, not with CLIP's.
        num_frames: T, mandatory.
        layers: layers of the transformer over frames.
        text_layers: layers of the ``TextReader``.
    """
    backbone.clip.requires_grad_(False)
    visual, text = backbone.clip.visual, backbone.text
    width, embed, identity = visual.conv1.out_channels, backbone.text.text_projection.shape[1], nn.Identity()
    blocks = [
        Block(
            clip_block=block,
            adapter=identity,
            prompt=Message(num_frames=num_frames, width=width),
            mix=Mix(),
            drop_path=identity,
        )
        for block in visual.transformer.resblocks
    ]
    temporal = FrameTransformer(positions=num_frames, width=embed, layers=layers, heads=max(1, embed // 64))
    reader = TextReader(width=width, embed=embed, layers=text_layers)
    for linear in (m for m in [*temporal.modules(), *reader.modules()] if isinstance(m, nn.Linear)):
        nn.init.trunc_normal_(linear.weight, std=0.02)
        if linear.bias is not None:
            nn.init.zeros_(linear.bias)
    kwargs = backbone_kwargs(backbone)
    kwargs["preprocessing"] = replace(backbone.preprocessing, **IMAGENET_PIXELS)
    return XCLIP(
        vision=VisionEncoder(visual=visual, blocks=blocks),
        text=TextEncoder(text=text, blocks=plain_text_blocks(backbone)),
        num_frames=num_frames,
        temporal=temporal,
        reader=reader,
        settings={"layers": layers, "text_layers": text_layers},
        **kwargs,
    )
