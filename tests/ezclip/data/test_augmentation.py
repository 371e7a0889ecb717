"""Augmentation in batches against torchvision's, clip by clip."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from ezclip.data.augmentation import UNCHANGED, Augmentation, resize_and_colour

SMOOTH = (  # colours that no jitter below saturates at 0 or 255
    F.resize(torch.randint(70, 170, (2, 4, 3, 9, 11), generator=torch.Generator().manual_seed(1)).float(), [40, 56])
    .clamp(60, 180)
    .byte()
)


def test_crops_are_those_of_torchvision() -> None:
    clip = torch.randint(0, 256, (4, 3, 40, 56), dtype=torch.uint8)
    for kind, transform in (("none", v2.CenterCrop(32)), ("shift", v2.RandomCrop(32))):
        torch.manual_seed(5)
        views, colours = Augmentation(kind, 32)(clip, 5)  # type: ignore[arg-type]
        assert torch.equal(views, transform(clip)) and colours is None


def test_half_of_the_clips_are_recoloured_alike_in_all_frames() -> None:
    clip = torch.randint(0, 256, (1, 3, 40, 56), dtype=torch.uint8).expand(4, -1, -1, -1)
    pairs = [(Augmentation("recolour", 32)(clip, i)[0], Augmentation("shift", 32)(clip, i)[0]) for i in range(200)]
    changed = [pair for pair in pairs if not torch.equal(*pair)]
    assert 70 < len(changed) < 130
    between = [(view[1:].float() - view[:-1]).abs().mean() for view, _ in changed]
    assert 5 < max(between) < 12 * 2**0.5, "frames differ by noise alone"
    correlations = [torch.corrcoef(torch.stack([a.float().flatten(), b.float().flatten()]))[0, 1] for a, b in changed]
    assert 0.2 < sum(c < 0 for c in correlations) / len(changed) < 0.5, "a third is inverted"
    assert torch.equal(Augmentation("recolour", 32)(clip, 3)[0], pairs[3][0])


@pytest.mark.parametrize("jitter_frames", [False, True])
def test_draws_of_the_release(jitter_frames: bool) -> None:
    clip = SMOOTH[0]
    augment = Augmentation("release", 32, flip=True, jitter_frames=jitter_frames)
    drawn = [augment(clip, seed) for seed in range(200)]
    again, colours = augment(clip, 3)
    assert torch.equal(again, drawn[3][0]) and colours is not None
    assert colours.shape == (4 if jitter_frames else 1, 5)
    every = torch.stack([c[0] for _, c in drawn if c is not None])
    jittered = (every[:, :4] != torch.tensor(UNCHANGED[:4])).any(dim=1)
    assert 0.7 < jittered.float().mean() < 0.9 and 0.1 < every[:, 4].mean() < 0.3
    low, high = every[jittered].amin(0), every[jittered].amax(0)
    assert all(low[:3] >= 0.8) and all(high[:3] <= 1.2) and low[3] >= -0.1 and high[3] <= 0.1
    assert all(0.4 * 40 * 56 < f.shape[-2] * f.shape[-1] <= 40 * 56 for f, _ in drawn)
    differ = [bool((c != c[:1]).any()) for _, c in drawn if c is not None]
    assert any(differ) == jitter_frames


def one_by_one(frames: Tensor, sizes: list[tuple[int, int]], change: Callable[[Tensor, int], Tensor]) -> Tensor:
    crops = (frames[i, ..., :h, :w] for i, (h, w) in enumerate(sizes))
    small = [F.resize(crop.float(), [32, 32], antialias=True).round().byte() for crop in crops]
    return torch.stack([change(crop, i) for i, crop in enumerate(small)])


def worst(one: Tensor, other: Tensor) -> int:
    return int((one.int() - other.int()).abs().max())


def test_crops_of_many_sizes_are_resized_together() -> None:
    frames = torch.randint(0, 256, (2, 4, 3, 40, 56), dtype=torch.uint8)
    sizes = [(40, 50), (27, 31)]  # one is reduced and one is enlarged
    plain = torch.tensor(UNCHANGED).expand(2, 1, 5)
    resized = resize_and_colour(frames, torch.tensor(sizes), plain, 32)
    assert worst(resized, one_by_one(frames, sizes, lambda crop, _: crop)) <= 1


def test_colours_of_each_clip_are_torchvisions() -> None:
    sizes = [(40, 56), (40, 56)]
    colours = torch.tensor([[0.9, 1.15, 0.8, 0.07, 0.0], [1.1, 0.85, 1.2, -0.1, 0.0]])

    def change(crop: Tensor, i: int) -> Tensor:
        brightness, contrast, saturation, hue, _ = colours[i].tolist()
        crop = F.adjust_contrast(F.adjust_brightness(crop / 255, brightness), contrast)
        return (255 * F.adjust_hue(F.adjust_saturation(crop, saturation), hue)).round().byte()

    coloured = resize_and_colour(SMOOTH, torch.tensor(sizes), colours[:, None], 32)
    assert worst(coloured, one_by_one(SMOOTH, sizes, change)) <= 2  # ours are not rounded before
    assert worst(coloured, one_by_one(SMOOTH, sizes, lambda crop, _: crop)) > 10
    grey = torch.tensor([[*UNCHANGED[:4], 1.0]]).expand(2, 1, 5)
    coloured = resize_and_colour(SMOOTH, torch.tensor(sizes), grey, 32)
    assert worst(coloured, one_by_one(SMOOTH, sizes, lambda crop, _: F.rgb_to_grayscale(crop, 3))) <= 1


def test_every_frame_has_its_own_colours() -> None:
    bright = torch.tensor([UNCHANGED]).repeat(4, 1)
    bright[1, 0] = 1.2
    coloured = resize_and_colour(SMOOTH[:1], torch.tensor([(40, 56)]), bright[None], 32)[0].float()
    plain = resize_and_colour(SMOOTH[:1], torch.tensor([(40, 56)]), bright[None, :1], 32)[0].float()
    assert torch.equal(coloured[[0, 2, 3]], plain[[0, 2, 3]])
    torch.testing.assert_close(coloured[1], plain[1] * 1.2, atol=1.2, rtol=0)
