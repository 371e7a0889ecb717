"""ActionCLIP (Wang et al., arXiv 2109.08472): a fine-tuned CLIP with a transformer over the frame embeddings."""

import math

import torch
from torch import nn

from ezclip.model.backbone import Backbone
from ezclip.model.builders import backbone_kwargs, plain_text_blocks, plain_vision
from ezclip.model.ezclip import EZCLIP
from ezclip.model.frame_transformer import FrameTransformer
from ezclip.model.text import TextEncoder

SCALE = 100.0  # logit scale of the authors' test, which does not use the trained one
EPS = 1e-12  # of the layer norms in the transformer over frames


def frame_transformer(backbone: Backbone, *, positions: int, layers: int) -> FrameTransformer:
    """The transformer over frame embeddings of ActionCLIP and MoTE, with as many heads as CLIP's text tower."""
    width, heads = backbone.text.text_projection.shape[1], backbone.text.token_embedding.embedding_dim // 64
    return FrameTransformer(positions=positions, width=width, layers=layers, heads=heads, eps=EPS)


def build_actionclip(backbone: Backbone, *, num_frames: int, positions: int = 77, layers: int = 6) -> EZCLIP:
    """ActionCLIP with the header "Transf", or "meanP" if ``layers`` is 0.

    v = mean over T of z + c, with z = blocks(c + p) of the frame embeddings c; logits are 100 * cosine. The blocks have
    as many heads as CLIP's text tower.

    Args:
        backbone: the fine-tuned CLIP.
        num_frames: T in training; mandatory for a "Transf" model, whose positions would not fit otherwise.
        positions: number of learned positions, 77 in the authors' code.
        layers: layers of the transformer, 6 in the authors' code.
    """
    text = backbone.text
    temporal = frame_transformer(backbone, positions=positions, layers=layers) if layers else None
    kwargs = backbone_kwargs(backbone)
    kwargs["logit_scale"] = nn.Parameter(torch.tensor(math.log(SCALE)), requires_grad=False)
    return EZCLIP(
        vision=plain_vision(backbone),
        text=TextEncoder(text=text, blocks=plain_text_blocks(backbone)),
        variant="actionclip",
        num_frames=num_frames,
        temporal=temporal,
        settings={"positions": positions, "layers": layers},
        **kwargs,
    )
