"""Measure every map on Tabletop's test clips: python benchmarks/maps.py [--model tabletop/ezclip] [--each 2] [--out F].

For each method: the share of its heat on what moves, from the true masks; its SRG, the area between its insertion and
its deletion curve, for the label that the model chose; and its cost in forward passes of the clip, a backward pass
counted as two. Intervals are 95 % bootstrap intervals over clips. Writes a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from ezclip import Predictor
from ezclip.checkpoints.catalog import DEFAULT
from ezclip.data.manifest import read_rows
from ezclip.data.tabletop.generate import synthesise
from ezclip.data.tabletop.truth import find_masks
from ezclip.evaluation.metrics import mean_interval
from ezclip.explanation import faithfulness
from ezclip.explanation.maps import explain
from ezclip.explanation.methods import METHODS
from ezclip.explanation.trace import hooked
from ezclip.model.ezclip import EZCLIP
from ezclip.progress import finish
from ezclip.reproduction.tables import markdown
from ezclip.reproduction.tabletop import TEST_SEED
from ezclip.video.read import read_clip
from ezclip.video.sampling import segment_centres

HEAD = ["map", "on what moves", "95 %", "SRG", "95 %", "cost in forwards"]
faithfulness.ORDERS = 0  # random orders cancel in SRG


@contextmanager
def counted(model: EZCLIP, T: int) -> Iterator[list[float]]:
    """Costs to be added up: in units of a clip's forward pass, each block's forwards, and its backwards twice."""
    costs: list[float] = []
    blocks = model.vision.blocks

    def watch(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        passes = len(inputs[0]) / (T * len(blocks))
        costs.append(passes)
        if output.requires_grad:
            output.register_hook(lambda gradient: costs.append(2 * passes))

    with hooked([(block, watch) for block in blocks]):
        yield costs


def measure(
    predictor: Predictor, path: Path, methods: list[str], labels: list[str], texts: Tensor
) -> dict[str, tuple[float, float, float]]:
    """Method -> share of heat on what moves, SRG, cost."""
    clip = read_clip(path, partial(segment_centres, T=predictor.model.num_frames))
    masks, encoded, model = find_masks(path), predictor.encode(clip), predictor.model
    assert masks is not None and isinstance(model, EZCLIP)
    target = labels.index(predictor.rank(encoded.video, labels)[0].label)
    text = texts.unflatten(0, (len(labels), -1))[target].mean(dim=0)
    found = {}
    for method in methods:
        with counted(model, len(clip)) as costs:
            a = explain(model, encoded.pixels, clip.seconds, name=predictor.name, method=method, text=text)
        share = faithfulness.heat_shares(a, masks[clip.indices]).heat[2]
        curves = finish(faithfulness.measure(model, encoded.pixels, a.heat, texts, len(labels), target)).score
        found[method] = (share, curves.srg, sum(costs))
    uniform = faithfulness.patch_fractions(masks[clip.indices], model.vision.grid, model.preprocessing)[2].mean()
    return {"(uniform)": (float(uniform), float("nan"), 0.0)} | found


def main() -> None:
    """Draw the clips, measure, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--each", type=int, default=2, help="clips of each class")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--out", type=Path, default=Path("maps.md"))
    asked = parser.parse_args()
    predictor = Predictor.load(asked.model)
    labels = list(predictor.identity.labels)
    texts = predictor.encode_texts([s for own in predictor.sentences(labels).values() for s in own])
    with tempfile.TemporaryDirectory() as folder:
        drawn = synthesise(folder, clips_per_class=asked.each, split="val", seed=TEST_SEED, masks=True, workers=1)
        rows = read_rows(finish(drawn))
        clips = []
        for i in np.random.default_rng(0).permutation(len(rows)):
            clips.append(measure(predictor, rows[i].path, asked.methods, labels, texts))
            title = f"{predictor.name}, {len(clips)} of {len(rows)} clips"  # an interrupted run leaves its table
            asked.out.write_text(f"{title}:\n\n{markdown(table(clips))}\n", "utf-8")
            sys.stderr.write(f"{title}\n")


def table(clips: list[dict[str, tuple[float, float, float]]]) -> list[list[str]]:
    """A row for each method, best SRG first and a uniform map last, from ``measure`` of every clip."""
    rows = []
    measured = {name: np.array([clip[name] for clip in clips]) for name in clips[0]}  # (clips, 3)
    for name in sorted(measured, key=lambda name: -np.nan_to_num(measured[name][:, 1].mean(), nan=-np.inf)):
        shares, gains, costs = measured[name].T
        share, gain = mean_interval(shares), mean_interval(gains)
        cells = [f"{share.mean:.3f}", f"{share.low:.3f} to {share.high:.3f}"]
        cells += [f"{gain.mean:+.3f}", f"{gain.low:+.3f} to {gain.high:+.3f}"] if np.isfinite(gain.mean) else ["", ""]
        rows.append([name, *cells, f"{costs.mean():.1f}"])
    return [HEAD, *rows]


if __name__ == "__main__":
    main()
