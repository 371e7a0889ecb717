"""Teaches the text tower of a compact CLIP sentences about motions, so that a class may be named in other words.

A tower that has only read captions of stills knows few words. Here it learns, alone, to embed any sentence of a class
nearest to where it embedded that class's name before, while captions stay where they are. It sees no images, so it
learns what sentences mean and nothing about what a motion looks like.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ezclip.data.tabletop.classes import LABELS
from ezclip.model.ezclip import EZCLIP
from ezclip.model.text import trim_padding
from ezclip.progress import Progress, Steps
from ezclip.text.synonyms import reword
from ezclip.text.templates import sentences, varied_texts
from ezclip.text.tokens import tokenize
from ezclip.training.optim import adamw, warmup_cosine

BATCH, CAPTIONS = 128, 64  # sentences and captions of a step
REWORDED = 0.3  # probability that an expression is replaced by a synonym
RATE, SCALE = 1e-3, 100.0
KEEP = 20.0  # weight of 1 - cosine of a caption's embeddings before and now
ATTRACT = 20.0  # weight of 1 - cosine of a sentence and its class's name before, so that the sentences of a class agree


def learn_sentences(model: EZCLIP, captions: list[str], *, steps: int, seed: int) -> Steps[dict[str, float]]:
    """Train a text tower on ``varied_texts`` of Tabletop's classes, reworded with synonyms.

    Args:
        model: a plain CLIP, of which the text tower is trained.
        captions: their embeddings stay.
        steps: optimiser steps.
        seed: of the sentences and captions of each step.

    Returns:
        Of "held out" paraphrases and of "descriptions", which are trained on, the fraction whose nearest name, as the
        tower embeds it now, is that of their class.
    """
    rng, device = np.random.default_rng(seed), model.logit_scale.device
    texts = [list(dict.fromkeys(varied_texts(label))) for label in LABELS]
    before = copy.deepcopy(model.text).requires_grad_(False)
    parameters = [parameter.requires_grad_() for parameter in model.text.parameters()]
    groups = [{"params": parameters, "lr": RATE}]
    optimiser = adamw(groups, weight_decay=0.05, betas=(0.9, 0.98), eps=1e-6)
    schedule = warmup_cosine(optimiser, warmup=max(1, steps // 10), steps=steps)

    def embed(tower: torch.nn.Module, batch: list[str]) -> Tensor:
        return F.normalize(tower(trim_padding(tokenize(batch)[0]).to(device)).float(), dim=-1)

    names = embed(before, LABELS)
    for step in range(1, steps + 1):
        targets = rng.integers(len(LABELS), size=BATCH)
        drawn = [reword(texts[i][int(rng.integers(len(texts[i])))], rng, REWORDED) for i in targets]
        kept = [captions[int(i)] for i in rng.integers(len(captions), size=CAPTIONS)]
        embeddings = embed(model.text, drawn + kept)
        loss = F.cross_entropy(SCALE * embeddings[:BATCH] @ names.T, torch.from_numpy(targets).to(device))
        loss += ATTRACT * (1 - (embeddings[:BATCH] * names[targets]).sum(dim=-1).mean())
        loss += KEEP * (1 - (embeddings[BATCH:] * embed(before, kept)).sum(dim=-1).mean())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        yield Progress(step / steps, f"sentences, step {step} of {steps}, loss {loss.item():.3f}")

    @torch.inference_mode()
    def accuracy(kind: str) -> float:
        tested = sentences(LABELS, kind, "names")
        texts = [text for label in LABELS for text in tested[label]]
        nearest = embed(model.text, texts) @ embed(model.text, LABELS).T
        targets = [i for i, label in enumerate(LABELS) for _ in tested[label]]
        return float((nearest.argmax(dim=1).cpu() == torch.tensor(targets)).float().mean())

    return {"held out": accuracy("paraphrases"), "descriptions": accuracy("descriptions")}
