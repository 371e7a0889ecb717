"""Speed of the model as ratios, all sides interleaved in one run with random weights."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import open_clip
import torch

from ezclip.model.backbone import build_backbone
from ezclip.model.builders import build_ezclip


@torch.no_grad()
def bench_forward(arch: str, *, T: int = 8, repeats: int = 10, device: str = "cpu") -> dict[str, Any]:
    """Time one view (T frames) through EZ-CLIP and through plain open_clip on the same frames.

    Args:
        arch: open_clip architecture.
        T: frames.
        repeats: of each side; medians are compared.
        device: torch device.

    Returns:
        Median seconds of each side, and the ratios that matter: ours to open_clip in the same dtype, and our float32 to
        our bfloat16.
    """
    torch.manual_seed(0)
    config = open_clip.get_model_config(arch)
    if config is None:
        raise ValueError(arch)
    sides: dict[str, Callable[[], Any]] = {}
    for dtype in (torch.bfloat16, torch.float32):
        backbone = build_backbone(arch, config)
        plain = copy.deepcopy(backbone.clip).to(device, dtype).eval()
        ours = build_ezclip(backbone, "ezclip", num_frames=T).eval().to(device, dtype)
        pixels = torch.randn(1, T, 3, ours.image_size, ours.image_size, device=device).to(dtype)
        name = str(dtype).removeprefix("torch.")
        sides[f"ezclip_{name}"] = lambda m=ours, x=pixels: m.encode_video(x)
        sides[f"open_clip_{name}"] = lambda m=plain, x=pixels: m.encode_image(x[0])
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for run in range(repeats + 1):
        for name, forward in sides.items():
            start = time.perf_counter()
            forward()
            if device != "cpu":
                torch.cuda.synchronize()
            if run:  # the first run warms up
                seconds[name].append(time.perf_counter() - start)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "arch": arch,
        "T": T,
        "threads": torch.get_num_threads(),
        "seconds": {name: round(value, 4) for name, value in median.items()},
        "ratios": {
            "ezclip/open_clip, bfloat16": round(median["ezclip_bfloat16"] / median["open_clip_bfloat16"], 3),
            "ezclip/open_clip, float32": round(median["ezclip_float32"] / median["open_clip_float32"], 3),
            "float32/bfloat16, ezclip": round(median["ezclip_float32"] / median["ezclip_bfloat16"], 3),
        },
    }
