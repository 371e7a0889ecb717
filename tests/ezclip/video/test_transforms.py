"""Resizing, cropping and normalising."""

import numpy as np
import pytest
import torch
from PIL import Image

from ezclip.types import stored_size
from ezclip.video.transforms import resize_short_side, to_device, view


def test_resize_is_pils_bicubic() -> None:
    image = np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8)
    ours = resize_short_side(image[None], 64)[0].permute(1, 2, 0).numpy()
    pil = np.asarray(Image.fromarray(image).resize((113, 64), Image.Resampling.BICUBIC))
    assert ours.shape == pil.shape == (64, 113, 3)
    assert np.abs(ours.astype(int) - pil).max() <= 1


def test_the_crop_is_central() -> None:
    image = np.zeros((1, 256, 512, 3), np.uint8)
    image[:, :, 256 - 8 : 256 + 8] = 255
    pixels = view(image, 224)
    assert pixels.shape == (1, 3, 224, 224)
    columns = pixels[0, 0, 100].nonzero().squeeze(1)
    assert (columns.min() + columns.max()).item() == 223
    assert stored_size(224) == 256


def test_only_a_gpu_gets_pinned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy is asynchronous only from pinned memory and with non_blocking."""
    calls: list[object] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: calls.append("pinned") or tensor)
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device, **how: calls.append((device.type, how)) or tensor)
    for device in ("cuda", "cpu"):
        to_device(torch.zeros(2, dtype=torch.uint8), torch.device(device))
    how = {"non_blocking": True}
    assert calls == ["pinned", ("cuda", how), ("cpu", how)]
