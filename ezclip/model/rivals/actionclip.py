"""ActionCLIP (Wang et al., arXiv 2109.08472): a fine-tuned CLIP and a transformer over its frame embeddings."""

import math

import torch
from torch import nn

from ezclip.model.backbone import Backbone
from ezclip.model.builders import plain_text_blocks, plain_vision, told_by
from ezclip.model.ezclip import EZCLIP
from ezclip.model.frame_transformer import FrameTransformer
from ezclip.model.text import TextEncoder

SCALE = 100.0  # of the authors' test; the scale that is trained is not used there
EPS = 1e-12  # of the layer norms of the transformer over frames


def frame_transformer(backbone: Backbone, *, positions: int, layers: int) -> FrameTransformer:
    """ActionCLIP's and MoTE's transformer over the frame embeddings, with as many heads as CLIP's text tower."""
    width, heads = backbone.text.text_projection.shape[1], backbone.text.token_embedding.embedding_dim // 64
    return FrameTransformer(positions=positions, width=width, layers=layers, heads=heads, eps=EPS)


def build_actionclip(backbone: Backbone, *, num_frames: int, positions: int = 77, layers: int = 6) -> EZCLIP:
    """ActionCLIP with the header "Transf", or with "meanP" where ``layers`` is 0.

    v = mean over T of z + c, with z = blocks(c + p) of the frame embeddings c; logits are 100 * cosine. The blocks have
    as many heads as CLIP's text tower.

    Args:
        backbone: the fine-tuned CLIP.
        num_frames: T that it was trained with; a "Transf" model takes no other here, as its positions would not fit.
        positions: rows of learned positions, 77 in the authors' code.
        layers: of the transformer, 6 in theirs.
    """
    text = backbone.text
    temporal = frame_transformer(backbone, positions=positions, layers=layers) if layers else None
    told = told_by(backbone)
    told["logit_scale"] = nn.Parameter(torch.tensor(math.log(SCALE)), requires_grad=False)
    return EZCLIP(
        vision=plain_vision(backbone),
        text=TextEncoder(text=text, blocks=plain_text_blocks(backbone)),
        variant="actionclip",
        num_frames=num_frames,
        temporal=temporal,
        settings={"positions": positions, "layers": layers},
        **told,
    )
