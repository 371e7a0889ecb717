"""Grad-ECLIP (Zhao et al., ICML 2024, arXiv 2502.18816): values weighted by gradients, for patches and
words.

In the last block, with q of frame t's class token, k_i and v_i of patch i, o the class token's output of attention
before its projection, g = dS/do in each head h, and S the cosine of the clip and the label,

    w_i = sum_h g_h . v_hi,    l_i = minmax of cos(q, k_i), heads side by side,    heat_i = relu(l_i * w_i)

Deviations: real heads (the authors compute the last block with a single one, another model); minmax over the clip's T*N
patches, so that frames compare; q and k as projected, as in their notebooks. No prompt token is in the map; its weight
is in the note.

For words the clip's embedding is constant, o and q are those of the end-of-text token in the last 8 text blocks (in all
where there are fewer), and r_j = relu(sum over blocks of l_j * w_j) over the pieces between start and end, divided by
its sum. The authors' minmax includes start, end and padding; here the pieces alone, so that other sentences of a batch
change nothing. A word is the sum of its pieces.
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
    """Heat of the patches; the score's gradient passes the last block alone."""
    inputs.report(0.0)
    seen: list[Tensor] = []

    def cut(module: nn.Module, qkv: tuple[Tensor, ...], output: Tensor) -> Tensor:
        seen.extend([*qkv, leaf := output.detach().requires_grad_()])
        return leaf

    last = inputs.model.vision.blocks[-1]
    assert isinstance(last, Block)
    with hooked([(last.mix, cut)]):
        score = cosine(inputs.model, inputs.pixels, inputs.label).sum()
    (gradient,) = torch.autograd.grad(score, seen[3:])
    q, k, v, _ = (part.detach() for part in seen)
    N = inputs.model.vision.grid**2
    found = weighed(q[:, :, 0], k[:, :, 1 : 1 + N], v[:, :, 1 : 1 + N], gradient[:, :, 0]).clamp_min(0)
    if last.prompt is None:
        return Map(found)
    prompt = float((gradient[:, :, 0].float() * v[:, :, -1].float()).sum(dim=(1, 2)).mean())
    return Map(found, note=f"The prompt token, which is in no map, has weight {prompt:+.2e}; mean over frames.")


def weighed(q: Tensor, k: Tensor, v: Tensor, gradient: Tensor) -> Tensor:
    """The product l * w before the ReLU, float32 (B, N); q and gradient (B, H, d), k and v (B, H, N, d).

    The minmax is over all B*N. Where all keys are equally close, l is 1.
    """
    near = F.cosine_similarity(q.float().flatten(1).unsqueeze(1), k.float().transpose(1, 2).flatten(2), dim=-1)
    low, high = near.min(), near.max()
    closeness = (near - low) / (high - low) if high > low else torch.ones_like(near)
    return closeness * torch.einsum("bhd,bhnd->bn", gradient.float(), v.float())


def best_first(predictor: Predictor, frames: Tensor, sentences: list[str]) -> list[str]:
    """The distinct sentences by their cosine with a clip, frame embeddings (1, T, E); unsorted where none has words."""
    if not _has_words(predictor.model):
        return list(dict.fromkeys(sentences))
    video, texts = frames.float().mean(dim=1).cpu(), predictor.encode_texts(sentences).cpu()
    cosines = dict(zip(sentences, F.cosine_similarity(video, texts).tolist(), strict=True))
    return sorted(cosines, key=lambda sentence: -cosines[sentence])


def words_of_best(predictor: Predictor, frames: Tensor, sentences: list[str]) -> tuple[str, list[tuple[str, float]]]:
    """The sentence that fits a clip best, and its words, see ``word_relevance``."""
    best = best_first(predictor, frames, sentences)[0]
    return best, word_relevance(predictor, frames, best)


def _has_words(model: VideoText) -> TypeGuard[EZCLIP]:
    return isinstance(model, EZCLIP) and type(model.text) is TextEncoder and "score" not in model.lacks


def word_relevance(predictor: Predictor, frames: Tensor, sentence: str) -> list[tuple[str, float]]:
    """Each word of a sentence with its share of the cosine with a clip, frame embeddings (1, T, E); they sum to 1.

    All shares are 0 where no word speaks for the clip; the list is empty for a sentence of one piece, for rivals that
    put learned tokens among those of the sentence, and for models without a score of one text alone.
    """
    model = predictor.model
    if not _has_words(model):
        return []
    ids, _ = model.tokenize([sentence])
    listed = words(ids[0].tolist())
    end = sum(len(pieces) for _, pieces in listed) + 1
    if end < 3:
        return []
    seen: list[tuple[Tensor, ...]] = []

    def watch(module: nn.Module, qkv: tuple[Tensor, ...], output: Tensor) -> Tensor:
        seen.append((*qkv, leaf := output if output.requires_grad else output.detach().requires_grad_()))
        return leaf

    with torch.inference_mode(False), torch.enable_grad():
        blocks = [block for block in model.text.blocks[-WORD_BLOCKS:] if isinstance(block, Block)]
        with hooked([(block.mix, watch) for block in blocks]):
            text = model.encode_text(model.trimmed(ids).to(predictor.device))[0]
        video = frames.clone().float().mean(dim=1)[0]
        score = F.cosine_similarity(video, text.float(), dim=0)
        gradients = torch.autograd.grad(score, [outputs for *_, outputs in seen])
    relevance = torch.zeros(end - 1, device=predictor.device)
    for (q, k, v, _), gradient in zip(seen, gradients, strict=True):
        inner = slice(1, end)
        relevance += weighed(q[:, :, end], k[:, :, inner], v[:, :, inner], gradient[:, :, end])[0].detach()
    shares = relevance.clamp_min(0)
    shares = (shares / shares.sum().clamp_min(torch.finfo(shares.dtype).tiny)).tolist()
    return [(word, sum(shares[at - 1] for at in pieces)) for word, pieces in listed]
