"""The text tower learns sentences about motions, and nothing else changes."""

import copy

import pytest
import torch
import torch.nn.functional as F

from ezclip.config import PretrainConfig
from ezclip.data.tabletop.classes import LABELS
from ezclip.model.backbone import build_backbone
from ezclip.model.builders import build_ezclip
from ezclip.model.ezclip import EZCLIP
from ezclip.progress import finish
from ezclip.text.tokens import tokenize
from ezclip.training.pretrain import architecture
from ezclip.training.sentences import learn_sentences
from tests.ezclip.training.test_grow import SIZES


@pytest.mark.slow
def test_sentences_move_to_names_and_captions_stay() -> None:
    torch.manual_seed(0)
    config = PretrainConfig(out="", sizes=SIZES)  # type: ignore[arg-type]
    model = build_ezclip(build_backbone("tiny", architecture(config)), "clip", num_frames=1).train()
    before = copy.deepcopy(model)
    captions = ["a red cup", "a blue ball on the left", "something green"]
    accuracy = finish(learn_sentences(model, captions, steps=240, seed=0))
    assert accuracy["descriptions"] > 0.5, "of 31 classes, before 0.03"
    assert all(torch.equal(p, q) for p, q in zip(model.vision.parameters(), before.vision.parameters(), strict=True))

    def embed(texts: list[str], clip: EZCLIP) -> torch.Tensor:
        with torch.inference_mode():
            return F.normalize(clip.encode_text(tokenize(texts)[0]), dim=-1)

    assert (embed(captions, model) * embed(captions, before)).sum(dim=-1).min() > 0.95
    nearest = (embed(LABELS, model) @ embed(LABELS, before).T).argmax(dim=1)
    assert (nearest == torch.arange(31)).float().mean() > 0.6, "names are texts of their classes, too"
