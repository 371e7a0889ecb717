"""Patch-text similarity (MaskCLIP: Zhou et al., ECCV 2022, arXiv 2112.01071): where patches match the label.

In the last block each token's attention output is replaced by its own value, y = out_proj(v) + x; adapter, MLP with its
residual, ln_post and the projection follow as in the model. The map shows where a patch resembles the label, not why
the model predicted it.
"""

import torch
import torch.nn.functional as F

from ezclip.errors import UserError
from ezclip.explanation.maps import Inputs, Map
from ezclip.explanation.trace import block_inputs, hooked
from ezclip.model.block import Block


@torch.no_grad()
def patch_text(inputs: Inputs) -> Map:
    """Cosine of each patch with the label, minus the clip's minimum.

    Raises UserError for a model whose frames leave CLIP's space (A5: a transformer without a skip connection).
    """
    if inputs.model.temporal is not None and not inputs.model.temporal.skip:
        raise UserError(
            f"patch-text compares patches with texts, but in {inputs.model.variant} the transformer over frames leaves "
            "the space of the patches; choose another map."
        )
    inputs.report(0.0)
    vision = inputs.model.vision
    last, tokens = vision.blocks[-1], block_inputs(inputs.model, inputs.pixels)[-1]
    assert isinstance(last, Block)
    with hooked([(last.mix, lambda module, qkv, output: qkv[2])]):
        patches = vision.ln_post(last(tokens)[:, 1 : 1 + vision.grid**2]) @ vision.proj  # (T, N, E)
    cosines = F.cosine_similarity(patches.float(), inputs.label.float(), dim=-1)
    return Map(cosines - cosines.min())
