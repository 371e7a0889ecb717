"""Equality with the outputs of the release's code, float32, through ``load_official``."""

from pathlib import Path

import pytest
import torch

from ezclip.checkpoints.convert import load_official
from ezclip.explanation.trace import compute_trace
from ezclip.training.losses import in_batch_kl, motion_loss
from ezclip.video.sampling import segment_centres
from tests.conftest import FIXTURES


def files(kind: str) -> tuple[Path, Path]:
    return FIXTURES / f"{kind}_official.pt", FIXTURES / f"{kind}_expected.pt"


@pytest.mark.parametrize(("kind", "variant"), [("none", "base"), ("deep", "ezclip")])
def test_release_values(kind: str, variant: str) -> None:
    official, expected_file = files(kind)
    expected = torch.load(expected_file, weights_only=True)
    model = load_official(official)
    T = expected["T"]
    assert (model.variant, model.num_frames) == (variant, T)
    pixels = expected["frames"].unflatten(0, (-1, T))
    labels = torch.tensor(expected["label_ids"])
    with torch.no_grad():
        frames, texts = model.encode_video(pixels), model.encode_text(expected["tokens"])
        logits = model.logits(frames, texts[: len(frames)])
        of_videos, of_texts = in_batch_kl(logits, labels)
        values = {
            "frame_embeddings": frames,
            "text_embeddings": texts,
            "logits_per_video": logits,
            "last_layer_attention": compute_trace(model, pixels).frames[-1],
            "loss_video": of_videos,
            "loss_text": of_texts,
            "motion_loss": motion_loss(frames, "released"),
        }
    for name, value in values.items():
        torch.testing.assert_close(value, expected[name], atol=1e-4, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


def test_sampling_indices() -> None:
    expected = torch.load(files("none")[1], weights_only=True)["val_indices"]
    assert {total: segment_centres(total, 8) for total in expected} == {k: list(v) for k, v in expected.items()}
