"""Chefer's rule for one tower (Chefer et al., ICCV 2021, arXiv 2103.15679), through frames and prompts.

With C_k the head mean of relu(dA_k * A_k) in the frames, Q_k the same among the prompts, and R = I below the first
block,

    r_t = sum_s Q_k[t, s] * mean over the 1+N tokens i of R_s[i]
    R_t <- R_t + C_k[:1+N, :1+N] @ R_t + outer(C_k[:1+N, 1+N], r_t)

which is ``rollout``'s recursion without row normalisation and without the factor 1/2, so that a block with a small
gradient adds little. The score is the cosine, not 100 times it: the identity does not scale with the score, so a larger
score would favour long paths. The authors' default for CLIP, the last block only, corresponds to a start layer at that
block. Their normalisation (their eq. 8, 9) applies to cross-attention between towers, which CLIP does not have.
"""

from ezclip.explanation.gradients import gradient_trace
from ezclip.explanation.maps import Inputs, Map
from ezclip.explanation.rollout import roll_out


def chefer(inputs: Inputs) -> Map:
    """Relevance of the class tokens, mean over frames; no influence, because rows would not sum to 1."""
    return Map(roll_out(gradient_trace(inputs), inputs.settings, normalised=False).heat)
