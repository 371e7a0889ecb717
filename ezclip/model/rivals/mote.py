"""MoTE (Zhu et al., arXiv 2410.10589): a transformer over frames, whose share depends on the classes compared."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezclip.errors import LabelError
from ezclip.model.backbone import Backbone
from ezclip.model.builders import plain_text_blocks, plain_vision, told_by
from ezclip.model.ezclip import EZCLIP
from ezclip.model.interface import Video, video_embeddings
from ezclip.model.rivals.actionclip import frame_transformer
from ezclip.model.text import TextEncoder
from ezclip.text.templates import OPEN_VCLIP, fill

SCALE = 100.0  # of the second of the two scores in the authors' test; the first is the bare cosine
NEAREST = 5  # texts that are compared with the training's
TEMPERATURE = 0.05  # of the modulation
_ROWS = 512  # texts in one pass


class MoTE(EZCLIP):
    """MoTE in its tests: v = mean over T of s * r + c, with c the frame embeddings and r = blocks(c + p).

    s = exp(-(1 - m) / 0.05) is one number for each video and list of classes: of the 5 texts of the list that are
    nearest to the mean of c, m is the mean of each one's highest cosine with the 5 nearest texts of the training; s = 1
    where the list is that of the training. The text of a class is the mean of the unit vectors of it in 28 templates.

    Args:
        classes: number of the training's texts.
        parts: of ``EZCLIP``; with a transformer over frames that has a skip connection.
    """

    fewest = NEAREST

    def __init__(self, *, classes: int, **parts: Any):
        super().__init__(variant="mote", **parts)
        self.training_texts = nn.Parameter(torch.randn(classes, self.vision.proj.shape[1]))
        self._added = list(self.trainable())
        alone = "its score of one class depends on which others are compared"
        self.lacks = {"score": alone, "blocks": alone}

    @property
    def common_space(self) -> bool:
        """Never: the embedding of a video depends on the texts that it is compared with."""
        return False

    def tokenize(self, sentences: list[str]) -> tuple[Tensor, list[str]]:
        """Token ids (C, 28, L) of every sentence in the templates, and the sentences that were truncated."""
        written = [fill(sentence, OPEN_VCLIP) for sentence in sentences]
        ids, cut = super().tokenize([text for own in written for text in own])
        truncated = {*cut}
        return ids.unflatten(0, (len(sentences), len(OPEN_VCLIP))), [
            sentence for sentence, own in zip(sentences, written, strict=True) if truncated & {*own}
        ]

    def trimmed(self, tokens: Tensor) -> Tensor:
        """Token ids (C, 28, L) in main memory, cut after the last end-of-text."""
        return super().trimmed(tokens.flatten(0, -2)).unflatten(0, tokens.shape[:-1])

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Unit text embeddings (C, E) of ids (C, 28, L), or (C, L) of one text a class."""
        rows = [self.text(part) for part in tokens.flatten(0, -2).split(_ROWS)]
        texts = F.normalize(torch.cat(rows).float(), dim=-1).unflatten(0, (len(tokens), -1))
        return F.normalize(texts.mean(dim=1), dim=-1)

    def encode(self, pixels: Tensor) -> Video:
        """Frames r + c, and as context the mean of r over T, (B, 1, E)."""
        self._check(pixels)
        alone = self.vision(pixels.to(self.dtype))
        frames = self.across(alone)
        return Video(frames, (frames - alone).mean(dim=1, keepdim=True))

    def cosines(self, video: Video, texts: Tensor) -> Tensor:
        """The cosines of videos with a list of classes, (B, C) float32.

        Raises:
            LabelError: fewer than 5 texts.
        """
        if len(texts) < NEAREST:
            raise LabelError(
                f"MoTE compares a video with the {NEAREST} nearest classes: give at least {NEAREST}, got {len(texts)}."
            )
        assert video.context is not None
        frames, mixed, texts = video.frames.float(), video.context.float(), F.normalize(texts.float(), dim=-1)
        s = self.modulation(video_embeddings(frames - mixed), texts)
        return video_embeddings(frames - (1 - s)[:, None, None] * mixed) @ texts.T

    def modulation(self, alone: Tensor, texts: Tensor) -> Tensor:
        """The shares s (B,) of unit means of c (B, E) and unit texts (C, E)."""
        known = F.normalize(self.training_texts.float(), dim=-1)
        if texts.shape == known.shape and torch.allclose(texts, known, atol=1e-3):
            return alone.new_ones(len(alone))
        own, theirs = (bank[(alone @ bank.T).topk(min(NEAREST, len(bank))).indices] for bank in (texts, known))
        m = (own @ theirs.transpose(1, 2)).amax(dim=-1).mean(dim=-1)
        return ((m - 1) / TEMPERATURE).exp()


def build_mote(
    backbone: Backbone, *, num_frames: int, positions: int = 77, layers: int = 4, classes: int = 400
) -> MoTE:
    """MoTE on its fine-tuned CLIP, the experts of each block merged into one; with as many heads as CLIP's text tower.

    Args:
        backbone: its image tower, with CLIP's text tower.
        num_frames: T, binding; 8 in the authors' code.
        positions: rows of learned positions.
        layers: of the transformer over frames: 4 for B/16, 6 for L/14.
        classes: number of the training's texts.
    """
    text = backbone.text
    temporal = frame_transformer(backbone, positions=positions, layers=layers)
    told = told_by(backbone)
    told["preprocessing"] = replace(backbone.preprocessing, resize="shortest")
    told["logit_scale"] = nn.Parameter(torch.tensor(math.log(SCALE)), requires_grad=False)
    return MoTE(
        classes=classes,
        vision=plain_vision(backbone),
        text=TextEncoder(text=text, blocks=plain_text_blocks(backbone)),
        num_frames=num_frames,
        temporal=temporal,
        settings={"positions": positions, "layers": layers, "classes": classes},
        **told,
    )
