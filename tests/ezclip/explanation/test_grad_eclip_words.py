"""Grad-ECLIP for the words of a prompt."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezclip.explanation.grad_eclip import rank_sentences, word_relevance
from ezclip.explanation.trace import hooked
from ezclip.model.backbone import Backbone
from ezclip.predictor import Predictor
from ezclip.text.tokens import tokenize, words
from tests.conftest import make_model


def test_words_of_their_pieces() -> None:
    ids = tokenize(["Unfolding a tablecloth!"])[0][0].tolist()
    pieces_of_words = words(ids)
    assert [word for word, _ in pieces_of_words] == ["unfolding", "a", "tablecloth", "!"]
    assert [at for _, pieces in pieces_of_words for at in pieces] == list(range(1, ids.index(max(ids))))
    assert max(len(pieces) for _, pieces in pieces_of_words) > 1


def test_texts_by_their_cosine_with_the_clip(backbone: Backbone, pixels: Tensor) -> None:
    predictor = Predictor(make_model(backbone, "ezclip"), "m")
    with torch.inference_mode():
        frames = predictor.model.encode_video(pixels[:1])
        texts = [f"a video of {name}" for name in ("pushing", "lifting", "folding", "waving", "opening")]
        cosines = F.cosine_similarity(frames.mean(dim=1), predictor.model.encode_text(tokenize(texts)[0]))
    expected = [texts[i] for i in cosines.argsort(descending=True)]
    assert rank_sentences(predictor, frames, [*texts, texts[0]]) == expected != texts


def test_shares_of_the_words(backbone: Backbone, pixels: Tensor) -> None:
    predictor = Predictor(make_model(backbone, "ezclip"), "m")
    with torch.inference_mode():
        frames = predictor.model.encode_video(pixels[:1])
    sentence, layers = "unfolding something quickly", []
    relevance = word_relevance(predictor, frames, sentence)
    assert [word for word, _ in relevance] == sentence.split()
    assert sum(share for _, share in relevance) == pytest.approx(1) and all(share >= 0 for _, share in relevance)
    assert word_relevance(predictor, frames, "pushing") == []

    def watch(module: nn.Module, qkv: tuple[Tensor, ...], output: Tensor) -> None:
        output.requires_grad_().retain_grad()
        layers.append((*qkv, output))

    tokens = tokenize([sentence])[0]
    end = int(tokens.argmax())
    with hooked([(block.mix, watch) for block in predictor.model.text.blocks]):
        text = predictor.model.encode_text(tokens)[0]
    F.cosine_similarity(frames.clone().mean(dim=1)[0], text, dim=0).backward()
    total = torch.zeros(end - 1)
    for q, k, v, o in layers:
        near = torch.stack(
            [F.cosine_similarity(q[0, :, end].ravel(), k[0, :, j].ravel(), dim=0) for j in range(1, end)]
        )
        near = (near - near.min()) / (near.max() - near.min())
        total += near * torch.stack([(o.grad[0, :, end] * v[0, :, j]).sum() for j in range(1, end)])
    predictor.model.zero_grad(set_to_none=True)
    expected = total.detach().clamp_min(0) / total.detach().clamp_min(0).sum()
    by_word = [sum(float(expected[at - 1]) for at in pieces) for _, pieces in words(tokens[0].tolist())]
    assert [share for _, share in relevance] == pytest.approx(by_word, abs=1e-5)
