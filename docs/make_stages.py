"""Precompute the stages of the sample clips, assets/stage/*.json: python docs/make_stages.py.

A stage is displayed when the page opens or a sample is chosen. It has the film, the maps and predictions of both
shipped models forward, reversed, shuffled and static, and the faithfulness of the maps.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ezclip.progress import finish  # noqa: E402
from ezclip.studies.analysis import Analyse  # noqa: E402
from ezclip.studies.host import Host  # noqa: E402
from ezclip.studies.stage.document import films_of, stage  # noqa: E402
from ezclip.types import Document  # noqa: E402


def main() -> None:
    """Write one file per sample."""
    host = Host()
    out = ROOT / "assets" / "stage"
    out.mkdir(exist_ok=True)
    for clip in sorted((ROOT / "assets" / "samples").glob("*.mp4")):
        (out / f"{clip.stem}.json").write_text(json.dumps(stage_of(host, clip)) + "\n", "utf-8")


def stage_of(host: Host, clip: Path, *, faithfulness: bool = True) -> Document:
    """The stage document of a clip for the shipped models."""
    return stage(finish(Analyse(str(clip), orders=True, faithfulness=faithfulness).run(host)), films_of(str(clip)))


if __name__ == "__main__":
    main()
