"""Choose and draw the app's samples, assets/samples, and precompute their stages, assets/stage.

    python docs/make_samples.py

For each entry of ``SLOTS``, ``CANDIDATES`` clips are drawn from seeds and ranked by the model's advantage over the
baseline (``app.stage.Sample.advantage``), and where both fail by contrast. An ordinary sample is the first, so the
difference is clear; any other sample is the median, so it shows what usually happens. A stage has the film, the maps
and predictions of both shipped models forward, reversed, shuffled and static, and the faithfulness of the maps.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.stage import SAMPLES, STAGES, Sample  # noqa: E402
from ezclip.data.tabletop.generate import WIDER_WORLD, SampleClip, write_samples  # noqa: E402
from ezclip.progress import finish  # noqa: E402
from ezclip.studies.analysis import Analyse  # noqa: E402
from ezclip.studies.host import Host  # noqa: E402
from ezclip.studies.stage.document import films_of, stage, true_labels  # noqa: E402
from ezclip.types import Document  # noqa: E402
from ezclip.video.read import read_clip  # noqa: E402

CANDIDATES = 9
FIRST_SEED = 9_000_000
# File stem, label, and out-of-distribution family.
SLOTS: tuple[tuple[str, str, str | None], ...] = (
    ("01_pushing_left_to_right", "Pushing something from left to right", None),
    ("02_uncovering", "Uncovering something", None),
    ("03_putting_into", "Putting something into something", None),
    ("04_closing", "Closing something", None),
    ("05_tipping_over", "Tipping something over", None),
    ("06_turning_camera_left", "Turning the camera left while filming something", None),
    ("11_unseen_thing_pulled", "Pulling something from right to left", "unseen_objects"),
    ("12_unseen_background", "Moving something towards the camera", "unseen_backgrounds"),
    ("13_lifting_under_water", "Moving something up", "underwater"),
    ("14_crowd", "Putting something behind something", "crowd"),
    ("15_closer_at_night", "Moving something closer to something", "night"),
    ("16_camera_shake", "Opening something", "camera_shake"),
    ("17_drawing", "Covering something with something", "drawing"),
    ("18_slow", "Pushing something from right to left", "slow"),
    ("19_fast", "Taking something out of something", "fast"),
    ("21_camera_in_a_wider_world", "Turning the camera right while filming something", WIDER_WORLD),
    ("22_lifting_in_a_wider_world", "Moving something up", WIDER_WORLD),
    ("23_pushing_in_a_wider_world", "Pushing something from left to right", WIDER_WORLD),
)


def main() -> None:
    """Replace the samples and their stages."""
    host = Host()
    chosen = [choose(host, slot, name, label, family) for slot, (name, label, family) in enumerate(SLOTS)]
    for path in [*SAMPLES.glob("*.*"), *STAGES.glob("*.json")]:
        path.unlink()
    for clip in write_samples(SAMPLES, chosen):
        (STAGES / f"{clip.stem}.json").write_text(json.dumps(stage_of(host, clip)) + "\n", "utf-8")


def choose(host: Host, slot: int, name: str, label: str, family: str | None) -> SampleClip:
    """The first candidate for a slot, or the median one if the slot belongs to a family."""
    candidates = [SampleClip(name, label, family, FIRST_SEED + 100 * slot + n) for n in range(CANDIDATES)]
    merits = [merit(host, clip) for clip in candidates]
    ranking = sorted(range(CANDIDATES), key=lambda n: merits[n], reverse=True)
    chosen = ranking[CANDIDATES // 2 if family else 0]
    print(f"{name}: {' '.join(f'{advantage:.2f}' for advantage, _ in merits)}, clip {chosen}", flush=True)
    return candidates[chosen]


def merit(host: Host, clip: SampleClip) -> tuple[float, float]:
    """The advantage of the model on a clip, and the standard deviation of the middle frame's pixels, 0 to 127.5."""
    with tempfile.TemporaryDirectory() as folder:
        (path,) = write_samples(folder, [clip])
        document = stage_of(host, path, faithfulness=False) | {"truth": true_labels(clip.label)}
        middle = read_clip(path, lambda total: [total // 2]).images
    return Sample(str(path), clip.name, document).advantage, float(middle.std())


def stage_of(host: Host, clip: Path, *, faithfulness: bool = True) -> Document:
    """The stage document of a clip for the shipped models."""
    return stage(finish(Analyse(str(clip), orders=True, faithfulness=faithfulness).run(host)), films_of(str(clip)))


if __name__ == "__main__":
    main()
