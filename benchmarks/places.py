"""How well frame embeddings say where a thing is: python benchmarks/places.py backbone.safetensors ...

A linear readout (ridge regression, 1,000 stills of one thing in training, 400 in the test) predicts the horizontal and
vertical position of the thing's foot in the picture from each backbone's image embedding. Prints the coefficient of
determination R² on the test stills: 1 is exact, 0 no better than the mean.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ezclip.checkpoints.store import load_backbone
from ezclip.data.tabletop.cast import Cast
from ezclip.data.tabletop.scene import Scene, compose, table
from ezclip.data.tabletop.stills.scenes import light, single
from ezclip.model.builders import build_ezclip
from ezclip.video.transforms import view

TRAIN, TEST, TABLES, SEED = 1000, 400, 60, 5


def main() -> None:
    """Draw the stills and print R² of each backbone."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("backbones", type=Path, nargs="+")
    pictures, places = draw()
    for path in parser.parse_args().backbones:
        features = embed(path, pictures)
        readout = make_pipeline(StandardScaler(), Ridge(10.0)).fit(features[:TRAIN], places[:TRAIN])
        errors = (readout.predict(features[TRAIN:]) - places[TRAIN:]) ** 2
        x, y = 1 - errors.mean(axis=0) / places[TRAIN:].var(axis=0)
        sys.stdout.write(f"{path}: R² {x:.2f} horizontally, {y:.2f} vertically\n")


def draw() -> tuple[np.ndarray, np.ndarray]:
    """Stills, uint8 (n, FRAME, FRAME, 3), and the places of their things relative to the middle (n, 2)."""
    rng = np.random.default_rng(SEED)
    tables = [table(rng) for _ in range(TABLES)]
    pictures, places = [], []
    for _ in range(TRAIN + TEST):
        (thing, *_), camera, _ = single(Cast(rng))
        frame, _ = compose(tables[rng.integers(TABLES)], Scene([thing], camera))
        pictures.append(light(frame, rng))
        places.append([(thing.x - camera.x) * camera.zoom, (thing.y - camera.y) * camera.zoom])
    return np.stack(pictures), np.array(places)


@torch.inference_mode()
def embed(path: Path, pictures: np.ndarray) -> np.ndarray:
    """Image embeddings of a backbone (n, E)."""
    model = build_ezclip(load_backbone(path), "clip", num_frames=1).eval()
    chunks = view(pictures, model.image_size).unsqueeze(1).split(100)
    return torch.cat([model.encode_video(model.normalise(chunk))[:, 0] for chunk in chunks]).numpy()


if __name__ == "__main__":
    main()
