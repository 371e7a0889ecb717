"""Measure every map on Tabletop's test clips: python benchmarks/maps.py [--model tabletop/ezclip] [--each 2] [--out F].

For each method: the share of its heat on what moves, from the true masks; its SRG, the area between its insertion and
its deletion curve, for the label that the model chose; and its cost in forward passes of the clip, a backward pass
counted as two. Writes JSON, which RESULTS.md shows from results/tabletop/maps.json, and prints a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from ezclip import Predictor
from ezclip.checkpoints.catalog import DEFAULT
from ezclip.data.manifest import read_rows
from ezclip.data.tabletop.generate import synthesise
from ezclip.explanation.methods import METHODS
from ezclip.files import write_json
from ezclip.progress import finish
from ezclip.reproduction.maps import maps_table, measure_maps, summary
from ezclip.reproduction.tables import markdown
from ezclip.reproduction.tabletop import TEST_SEED


def main() -> None:
    """Draw the clips, measure, write after each clip."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--each", type=int, default=2, help="clips of each class")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--out", type=Path, default=Path("results/tabletop/maps.json"))
    asked = parser.parse_args()
    predictor = Predictor.load(asked.model)
    labels = list(predictor.identity.labels)
    texts = predictor.encode_texts([s for own in predictor.sentences(labels).values() for s in own])
    with tempfile.TemporaryDirectory() as folder:
        drawn = synthesise(folder, clips_per_class=asked.each, split="val", seed=TEST_SEED, masks=True, workers=1)
        rows = read_rows(finish(drawn))
        clips = []
        for i in np.random.default_rng(0).permutation(len(rows)):  # an interrupted run leaves a fair sample
            clips.append(measure_maps(predictor, rows[i].path, asked.methods, labels, texts))
            write_json(asked.out, {"model": predictor.name, "clips": len(clips), "rows": summary(clips)})
            sys.stderr.write(f"{len(clips)} of {len(rows)} clips\n")
    sys.stdout.write(f"{markdown(maps_table(summary(clips)))}\n")


if __name__ == "__main__":
    main()
