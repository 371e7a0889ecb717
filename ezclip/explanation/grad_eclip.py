"""Grad-ECLIP (Zhao et al., ICML 2024, arXiv 2502.18816): values weighted by gradients, for patches and words.

In the last block, with the query q of frame t's class token, k_i and v_i of patch i, o the class token's attention
output before the output projection, g = dS/do in each head h, and S the cosine of the clip and the label,

    w_i = sum_h g_h . v_hi,    l_i = minmax of cos(q, k_i), heads concatenated,    heat_i = relu(l_i * w_i)

Deviations: the model's heads (the authors use a single one in the last block, which changes the model); minmax over the
clip's T*N patches, so that frames are comparable; q and k after their projections, as in their notebooks. The prompt
token is not in the map; its weight is in the note.

For words the clip's embedding is constant, o and q belong to the end-of-text token in the last 8 text blocks (or all if
there are fewer), and r_j = relu(sum over blocks of l_j * w_j) over the pieces between start and end, divided by its
sum. The authors' minmax includes start, end and padding; here only the pieces, so that the result does not depend on
the batch. A word is the sum of its pieces.
"""

from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezclip.explanation.gradients import cosine
from ezclip.explanation.maps import Inputs, Map
from ezclip.explanation.trace import hooked
from ezclip.model.block import Block
from ezclip.model.ezclip import EZCLIP
from ezclip.model.interface import VideoText
from ezclip.model.text import TextEncoder
from ezclip.predictor import Predictor
from ezclip.text.tokens import words

WORD_BLOCKS = 8


def grad_eclip(inputs: Inputs) -> Map:
    """Heat of the patches; the gradient of the score passes through the last block only."""
    inputs.report(0.0)
    tensors: list[Tensor] = []  # q, k, v and the attention output

    def cut(module: nn.Module, qkv: tuple[Tensor, ...], output: Tensor) -> Tensor:
        tensors.extend([*qkv, leaf := output.detach().requires_grad_()])
        return leaf

    last = inputs.model.vision.blocks[-1]
    assert isinstance(last, Block)
    with hooked([(last.mix, cut)]):
        score = cosine(inputs.model, inputs.pixels, inputs.label).sum()
    (gradient,) = torch.autograd.grad(score, tensors[3:])
    q, k, v, _ = (tensor.detach() for tensor in tensors)
    N = inputs.model.vision.grid**2
    heat = value_relevance(q[:, :, 0], k[:, :, 1 : 1 + N], v[:, :, 1 : 1 + N], gradient[:, :, 0]).clamp_min(0)
    if last.prompt is None:
        return Map(heat)
    prompt = float((gradient[:, :, 0].float() * v[:, :, -1].float()).sum(dim=(1, 2)).mean())
    return Map(heat, note=f"The prompt token, which is in no map, has weight {prompt:+.2e}; mean over frames.")


def value_relevance(q: Tensor, k: Tensor, v: Tensor, gradient: Tensor) -> Tensor:
    """The product l * w before the ReLU, float32 (B, N), of q and gradient (B, H, d), k and v (B, H, N, d).

    The minmax is over all B*N; l is 1 if all keys are equally close.
    """
    cosines = F.cosine_similarity(q.float().flatten(1).unsqueeze(1), k.float().transpose(1, 2).flatten(2), dim=-1)
    low, high = cosines.min(), cosines.max()
    closeness = (cosines - low) / (high - low) if high > low else torch.ones_like(cosines)
    return closeness * torch.einsum("bhd,bhnd->bn", gradient.float(), v.float())


def rank_sentences(predictor: Predictor, frames: Tensor, sentences: list[str]) -> list[str]:
    """Distinct sentences sorted by cosine with frame embeddings (1, T, E); unsorted if words are not supported."""
    if not _supports_words(predictor.model):
        return list(dict.fromkeys(sentences))
    video, texts = frames.float().mean(dim=1).cpu(), predictor.encode_texts(sentences).cpu()
    cosines = dict(zip(sentences, F.cosine_similarity(video, texts).tolist(), strict=True))
    return sorted(cosines, key=lambda sentence: -cosines[sentence])


def best_sentence_words(
    predictor: Predictor, frames: Tensor, sentences: list[str]
) -> tuple[str, list[tuple[str, float]]]:
    """The sentence that matches a clip best, and its ``word_relevance``."""
    best = rank_sentences(predictor, frames, sentences)[0]
    return best, word_relevance(predictor, frames, best)


def _supports_words(model: VideoText) -> TypeGuard[EZCLIP]:
    return isinstance(model, EZCLIP) and type(model.text) is TextEncoder and "score" not in model.unsupported_maps


def word_relevance(predictor: Predictor, frames: Tensor, sentence: str) -> list[tuple[str, float]]:
    """The words of a sentence with their shares of its cosine with frame embeddings (1, T, E); shares sum to 1.

    All shares are 0 if no word supports the clip. The list is empty for a sentence of one piece, for rivals that insert
    learned tokens into the sentence, and for models that cannot score a single text.
    """
    model = predictor.model
    if not _supports_words(model):
        return []
    ids, _ = model.tokenize([sentence])
    word_pieces = words(ids[0].tolist())
    end = sum(len(pieces) for _, pieces in word_pieces) + 1
    if end < 3:
        return []
    tensors: list[tuple[Tensor, ...]] = []  # q, k, v and the attention output of each block

    def record(module: nn.Module, qkv: tuple[Tensor, ...], output: Tensor) -> Tensor:
        tensors.append((*qkv, leaf := output if output.requires_grad else output.detach().requires_grad_()))
        return leaf

    with torch.inference_mode(False), torch.enable_grad():
        blocks = [block for block in model.text.blocks[-WORD_BLOCKS:] if isinstance(block, Block)]
        with hooked([(block.mix, record) for block in blocks]):
            text = model.encode_text(model.trim_padding(ids).to(predictor.device))[0]
        video = frames.clone().float().mean(dim=1)[0]
        score = F.cosine_similarity(video, text.float(), dim=0)
        gradients = torch.autograd.grad(score, [outputs for *_, outputs in tensors])
    inner, relevance = slice(1, end), torch.zeros(end - 1, device=predictor.device)
    for (q, k, v, _), gradient in zip(tensors, gradients, strict=True):
        relevance += value_relevance(q[:, :, end], k[:, :, inner], v[:, :, inner], gradient[:, :, end])[0].detach()
    shares = relevance.clamp_min(0)
    shares = (shares / shares.sum().clamp_min(torch.finfo(shares.dtype).tiny)).tolist()
    return [(word, sum(shares[i - 1] for i in pieces)) for word, pieces in word_pieces]
