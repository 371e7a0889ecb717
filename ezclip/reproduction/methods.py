"""Methods trained alike by ``ezclip reproduce tabletop``: settings, results, why published numbers are not comparable.

Does not import torch, so that the page can show it immediately.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from ezclip.files import shipped
from ezclip.types import METHOD_TITLES, WITHIN_PAIRS, Document, Method

RESULTS = shipped("results/tabletop/methods")
# Shared settings, and learning rates for the small backbone, which were not tuned: 2e-3 for new parameters and a tenth
# of that for CLIP, the ratio of ActionCLIP. EZ-CLIP keeps the rates of configs/tabletop.yaml.
ALIKE = (
    "num_frames=8", "batch_size=16", "sampling=random", "augmentation=shift", "flip=false", "mixup=false", "warmup=0.1",
    "warmup_epochs=null", "final_lr=0.0", "clip_gradient=1.0", "compile=false", "workers=0", "validation=null",
)  # fmt: skip
RATES: dict[Method, tuple[str, ...]] = {
    "ezclip": (),
    "vificlip": ("lr=2.0e-4",),
    "actionclip": ("lr=2.0e-4", "temporal_lr=2.0e-3"),
    "a5": ("lr=2.0e-3",),
    "xclip": ("lr=2.0e-4", "prompt_lr=2.0e-3", "temporal_lr=2.0e-3"),
}
TRAINED_ALIKE = tuple(RATES)
COST = "cost"  # name of the file with the costs of all models
COST_HEAD = ("tunable (M)", "GMAC a view", "views/s", "training step (s)", "memory (MiB)")
TABLETOP_HEAD: dict[int, tuple[str, ...]] = {  # columns for Tabletop in each of the paper's tables
    1: ("Tabletop, novel among all",),
    2: ("Tabletop, base", f"base, {WITHIN_PAIRS}", "novel", "HM"),
    7: ("Tabletop, base",),
}
BUDGET = (
    "Tabletop: 16 clips of each of the 29 base classes, 100 steps of 16 clips, 8 frames, random shifts, one seed, one "
    "CPU thread. Each method keeps its trainable parameters, loss and texts; mixup and flips are off. Learning rates "
    "were not tuned: 2e-3 for new parameters, a tenth of that for CLIP; EZ-CLIP's are those of the shipped models, "
    "which were chosen on this benchmark. Brackets: 95 % Wilson intervals over 464 base and 32 novel clips. The two "
    "novel classes show the same frames in reverse order: chance is 3.4 % on base classes, 50 % on novel ones and "
    "within pairs, 3.2 % among all. The budget is too small to learn order: the shipped EZ-CLIP begins to see it after "
    "about 300 steps of 32 clips and is trained for 1,200."
)
# Sources: articles by their arXiv number, code by its repository on GitHub.
FAIRNESS = (
    "Texts: CLIP B/16 has 40.8 / 63.2 / 59.8 on HMDB / UCF / K-600 with bare class names, CamelCase on UCF "
    "(muzairkhattak/ViFi-CLIP), and 47.9 / 73.8 / 68.1 with 28 templates (Open-VCLIP, FROSTER). EZ-CLIP's Table 1 "
    "(2312.08010) quotes the first row, but EZ-CLIP itself uses GPT-3.5 descriptions.",
    "Frames and views: the first row uses 32 frames in one view, the second 8 frames in three. ActionCLIP, X-CLIP and "
    "ViFi-CLIP (2109.08472, 2208.02816, 2212.03640) use 32 frames in zero-shot, EZ-CLIP 8 or 16; A5's released "
    "command (ju-chen/Efficient-Prompt) uses 16, but Table 1 says 32.",
    "Cost: Table 7 compares 8 frames of EZ-CLIP, counted without attention, with 32, 16 and 16 of ActionCLIP, X-CLIP "
    "and ViFi-CLIP. Per frame the four are within 5 % (our count, with attention); X-CLIP's 131.5M are its trained "
    "parameters.",
    "Pixels and pooling: ViFi-CLIP and X-CLIP (microsoft/VideoX) normalise with ImageNet's mean and deviation, the "
    "others with CLIP's; ViFi-CLIP averages raw frame embeddings, Open-VCLIP and FROSTER the logits of normalised "
    "ones.",
    "Classes and repeats: rivals' K-600 is a mean over three lists of 160 classes, EZ-CLIP's one list of 220 (232 in "
    "its file). ActionCLIP's zero-shot row is 40.8 / 58.3 / 67.7 in EZ-CLIP's Table 1 and 48.2 / 77.5 / 62.5 in "
    "FROSTER's rerun (HMDB / UCF / K-600).",
)


def title(method: Method) -> str:
    """Display name of a method."""
    return "EZ-CLIP" if method == "ezclip" else METHOD_TITLES[method]


def accuracy(top1: float, interval: Sequence[float] | None = None) -> str:
    """Format an accuracy in %, with its 95 % interval if given."""
    if interval is None:
        return f"{100 * top1:.1f}"
    low, high = interval
    return f"{100 * top1:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def cost_cells(row: Document | None) -> list[str]:
    """The cells below ``COST_HEAD`` from a row of ``evaluation.efficiency.measure``; empty cells without a row."""
    if row is None:
        return [""] * len(COST_HEAD)
    step, peak = row["training_step_seconds"], row["peak_bytes"]
    return [
        f"{row['parameters']['tunable'] / 1e6:.3f}",
        f"{row['gmac']['all']:.2f}",
        f"{row['views_per_second']:.1f}",
        "" if step is None else f"{step:.3f}",
        "" if peak is None else f"{peak / 2**20:.0f}",
    ]


def tabletop_rows(number: int, results: Path = RESULTS) -> list[list[str]]:
    """A row for each of ``TRAINED_ALIKE``: name, ``COST_HEAD`` and ``TABLETOP_HEAD[number]``.

    A method without a result has "not run" instead of accuracies; without any result there are no rows.
    """
    costs = {row["variant"]: row for row in _read(results, COST).get("rows", [])}
    reports: dict[Method, Document] = {method: _read(results, method) for method in TRAINED_ALIKE}
    if not any(reports.values()):
        return []
    return [[title(m), *cost_cells(costs.get(m)), *_cells(number, report)] for m, report in reports.items()]


def bench_table(bench: Path) -> list[list[str]]:
    """Cost of random weights on an architecture, from ``ezclip bench --out BENCH``; empty if it has not been run."""
    rows = _read(bench, "bench").get("rows", [])
    rows = [[row["name"], *cost_cells(row), f"{row['open_clip']['time_ratio']:.2f}"] for row in rows]
    return [["model", *COST_HEAD, "time / plain open_clip's"], *rows] if rows else []


def bench_ratios(bench: Path) -> dict[str, float]:
    """The ratios measured by ``ezclip bench --out BENCH``; empty if it has not been run."""
    return _read(bench, "bench").get("ratios", {})


def _cells(number: int, report: Document) -> list[str]:
    """The cells below ``TABLETOP_HEAD[number]``."""
    if not report:
        return ["not run"] * len(TABLETOP_HEAD[number])
    return {
        1: [_top1(report["novel_among_all"])],
        2: [
            _top1(report["result"]),
            accuracy(report["result"]["within_pairs"]),
            _top1(report["novel"]),
            accuracy(report["harmonic_mean"]),
        ],
        7: [_top1(report["result"])],
    }[number]


def _top1(report: Document) -> str:
    return accuracy(report["top1"], report["interval"])


def _read(results: Path, name: str) -> Document:
    path = results / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}
