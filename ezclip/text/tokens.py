"""Sentences to the ids of CLIP's byte-pair encoding."""

from functools import cache

import torch
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

_tokenizer = cache(SimpleTokenizer)
_WORD_END = "</w>"


def tokenize(sentences: list[str], length: int = 77) -> tuple[Tensor, list[str]]:
    """Token ids of C sentences; those over ``length`` L (77 in CLIP) are truncated, their last id kept as end-of-text.

    Returns:
        int64 ids (C, L), zeros after the end-of-text token, and the truncated sentences.
    """
    tokenizer = _tokenizer()
    ids = torch.zeros(len(sentences), length, dtype=torch.int64)
    cut = []
    for row, sentence in zip(ids, sentences, strict=True):
        tokens = [tokenizer.sot_token_id, *tokenizer.encode(sentence), tokenizer.eot_token_id]
        if len(tokens) > length:
            cut.append(sentence)
            tokens = [*tokens[: length - 1], tokenizer.eot_token_id]
        row[: len(tokens)] = torch.tensor(tokens)
    return ids, cut


def words(ids: list[int]) -> list[tuple[str, list[int]]]:
    """The words of a row of ids, each with the positions of its pieces; without start and end of text."""
    tokenizer = _tokenizer()
    found: list[tuple[str, list[int]]] = []
    pieces: list[int] = []
    for at in range(1, ids.index(tokenizer.eot_token_id)):
        pieces.append(at)
        if tokenizer.decoder[ids[at]].endswith(_WORD_END):
            found.append((tokenizer.decode([ids[i] for i in pieces]).strip(), pieces))
            pieces = []
    return found + ([(tokenizer.decode([ids[i] for i in pieces]).strip(), pieces)] if pieces else [])
