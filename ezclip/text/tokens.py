"""Tokenization with CLIP's byte-pair encoding."""

from functools import cache

import torch
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

_tokenizer = cache(SimpleTokenizer)
_WORD_END = "</w>"


def tokenize(sentences: list[str], length: int = 77) -> tuple[Tensor, list[str]]:
    """Token ids of C sentences, truncated to ``length`` L (77 in CLIP) with end-of-text as the last id.

    Returns:
        int64 ids (C, L), zeros after the end-of-text token, and the sentences that were truncated.
    """
    tokenizer = _tokenizer()
    ids = torch.zeros(len(sentences), length, dtype=torch.int64)
    truncated = []
    for row, sentence in zip(ids, sentences, strict=True):
        tokens = [tokenizer.sot_token_id, *tokenizer.encode(sentence), tokenizer.eot_token_id]
        if len(tokens) > length:
            truncated.append(sentence)
            tokens = [*tokens[: length - 1], tokenizer.eot_token_id]
        row[: len(tokens)] = torch.tensor(tokens)
    return ids, truncated


def words(ids: list[int]) -> list[tuple[str, list[int]]]:
    """The words of a row of ids, each with the positions of its tokens; without start and end of text."""
    tokenizer = _tokenizer()
    groups: list[list[int]] = [[]]  # positions of the tokens of each word
    for position in range(1, ids.index(tokenizer.eot_token_id)):
        groups[-1].append(position)
        if tokenizer.decoder[ids[position]].endswith(_WORD_END):
            groups.append([])
    return [(tokenizer.decode([ids[i] for i in group]).strip(), group) for group in groups if group]
