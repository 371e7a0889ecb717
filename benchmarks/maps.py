"""Measure every map on Tabletop's test clips: python benchmarks/maps.py [--model tabletop/ezclip] [--each 2] [--out F].

For each method: the fraction of its heat on moving objects, from the ground-truth masks; its SRG, the area between its
insertion and deletion curves, for the predicted label; and its cost in forward passes of the clip, a backward pass
counting as two. Writes JSON, by default results/tabletop/maps.json for RESULTS.md, and prints a Markdown table.
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
from ezclip.evaluation.shipped import TEST_SEED
from ezclip.explanation.methods import METHODS
from ezclip.files import write_json
from ezclip.progress import finish
from ezclip.reproduction.maps import maps_table, measure_maps, summarise
from ezclip.reproduction.report.markdown import markdown


def main() -> None:
    """Generate the clips, measure, and write the results after each clip."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--each", type=int, default=2, help="clips per class")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--out", type=Path, default=Path("results/tabletop/maps.json"))
    arguments = parser.parse_args()
    predictor = Predictor.load(arguments.model)
    labels = list(predictor.identity.labels)
    texts = predictor.encode_texts([s for sentences in predictor.sentences(labels).values() for s in sentences])
    with tempfile.TemporaryDirectory() as folder:
        steps = synthesise(folder, clips_per_class=arguments.each, split="val", seed=TEST_SEED, masks=True, workers=1)
        rows = read_rows(finish(steps))
        clips = []
        for i in np.random.default_rng(0).permutation(len(rows)):  # an interrupted run is a random sample
            clips.append(measure_maps(predictor, rows[i].path, arguments.methods, labels, texts))
            write_json(arguments.out, {"model": predictor.name, "clips": len(clips), "rows": summarise(clips)})
            sys.stderr.write(f"{len(clips)} of {len(rows)} clips\n")
    sys.stdout.write(f"{markdown(maps_table(summarise(clips)))}\n")


if __name__ == "__main__":
    main()
