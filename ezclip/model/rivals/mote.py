"""MoTE (Zhu et al., arXiv 2410.10589): a transformer over frames whose weight depends on the list of classes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezclip.errors import LabelError
from ezclip.model.backbone import Backbone
from ezclip.model.builders import backbone_kwargs, plain_text_blocks, plain_vision
from ezclip.model.ezclip import EZCLIP
from ezclip.model.interface import Video, video_embeddings
from ezclip.model.rivals.actionclip import frame_transformer
from ezclip.model.text import TextEncoder
from ezclip.text.templates import OPEN_VCLIP, fill

SCALE = 100.0  # logit scale of the second of the two scores in the authors' test; the first is the plain cosine
NEAREST = 5  # nearest texts used by the modulation
TEMPERATURE = 0.05  # of the modulation
_BATCH = 512  # texts in one forward pass


class MoTE(EZCLIP):
    """MoTE as in its tests: v = mean over T of s * r + c, with c the frame embeddings and r = blocks(c + p).

    s = exp(-(1 - m) / 0.05) is one number per video and list of classes. For the 5 texts of the list nearest to the
    mean of c, m is the mean of their highest cosines with the 5 nearest training texts; s = 1 if the list is the one
    of the training. A class is represented by the mean of its unit text embeddings in 28 templates.

    Args:
        classes: number of training texts.
        kwargs: arguments of ``EZCLIP``; the transformer over frames must have a skip connection.
    """

    min_texts = NEAREST

    def __init__(self, *, classes: int, **kwargs: Any):
        super().__init__(variant="mote", **kwargs)
        self.training_texts = nn.Parameter(torch.randn(classes, self.vision.proj.shape[1]))
        self._added = list(self.trainable_parameters())
        reason = "its score of one class depends on which others are compared"
        self.unsupported_maps = {"score": reason, "blocks": reason}

    @property
    def common_space(self) -> bool:
        """Never: a video's embedding depends on the texts it is compared with."""
        return False

    def tokenize(self, sentences: list[str]) -> tuple[Tensor, list[str]]:
        """Token ids (C, 28, L) of each sentence in 28 templates, and the sentences that were truncated."""
        prompts = {sentence: fill(sentence, OPEN_VCLIP) for sentence in sentences}
        ids, cut = super().tokenize([text for sentence in sentences for text in prompts[sentence]])
        truncated = {*cut}
        ids = ids.unflatten(0, (len(sentences), len(OPEN_VCLIP)))
        return ids, [sentence for sentence in sentences if truncated & {*prompts[sentence]}]

    def trim_padding(self, tokens: Tensor) -> Tensor:
        """Cut token ids (C, 28, L), on the CPU, after the last end-of-text."""
        return super().trim_padding(tokens.flatten(0, -2)).unflatten(0, tokens.shape[:-1])

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Unit text embeddings (C, E) of ids (C, 28, L), or (C, L) with one text per class."""
        embeddings = [self.text(batch) for batch in tokens.flatten(0, -2).split(_BATCH)]
        texts = F.normalize(torch.cat(embeddings).float(), dim=-1).unflatten(0, (len(tokens), -1))
        return F.normalize(texts.mean(dim=1), dim=-1)

    def encode(self, pixels: Tensor) -> Video:
        """Frame embeddings r + c, with the mean of r over T, (B, 1, E), as context."""
        self._check(pixels)
        single = self.vision(pixels.to(self.dtype))
        frames = self.apply_temporal(single)
        return Video(frames, (frames - single).mean(dim=1, keepdim=True))

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
        frames, r, texts = video.frames.float(), video.context.float(), F.normalize(texts.float(), dim=-1)
        s = self.modulation(video_embeddings(frames - r), texts)
        return video_embeddings(frames - (1 - s)[:, None, None] * r) @ texts.T

    def modulation(self, videos: Tensor, texts: Tensor) -> Tensor:
        """The weights s (B,) for the normalised means of c (B, E) and unit texts (C, E)."""
        training = F.normalize(self.training_texts.float(), dim=-1)
        if texts.shape == training.shape and torch.allclose(texts, training, atol=1e-3):
            return videos.new_ones(len(videos))
        nearest, reference = (x[(videos @ x.T).topk(min(NEAREST, len(x))).indices] for x in (texts, training))
        m = (nearest @ reference.transpose(1, 2)).amax(dim=-1).mean(dim=-1)
        return ((m - 1) / TEMPERATURE).exp()


def build_mote(
    backbone: Backbone, *, num_frames: int, positions: int = 77, layers: int = 4, classes: int = 400
) -> MoTE:
    """MoTE on its fine-tuned CLIP, with the experts of each block merged and as many heads as CLIP's text tower.

    Args:
        backbone: the fine-tuned image tower with CLIP's text tower.
        num_frames: T, mandatory; 8 in the authors' code.
        positions: number of learned positions.
        layers: layers of the transformer over frames: 4 for B/16, 6 for L/14.
        classes: number of training texts.
    """
    text = backbone.text
    temporal = frame_transformer(backbone, positions=positions, layers=layers)
    kwargs = backbone_kwargs(backbone)
    kwargs["preprocessing"] = replace(backbone.preprocessing, resize="shortest")
    kwargs["logit_scale"] = nn.Parameter(torch.tensor(math.log(SCALE)), requires_grad=False)
    return MoTE(
        classes=classes,
        vision=plain_vision(backbone),
        text=TextEncoder(text=text, blocks=plain_text_blocks(backbone)),
        num_frames=num_frames,
        temporal=temporal,
        settings={"positions": positions, "layers": layers, "classes": classes},
        **kwargs,
    )
