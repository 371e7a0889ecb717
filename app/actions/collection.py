"""A collection on the page: where its index lies, moments as cards, and tags, which are a manifest in the index."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app.services import Services
from ezclip.errors import UserError
from ezclip.files import write_atomically
from ezclip.progress import Steps
from ezclip.studies.collection.clusters import SHOWN, Clustered
from ezclip.studies.collection.rows import relative, write_rows
from ezclip.studies.collection.search import Found
from ezclip.studies.host import Host
from ezclip.types import Document
from ezclip.video.encode import write_mp4
from ezclip.video.read import Choose, read_clip, read_frames

if TYPE_CHECKING:
    from ezclip.collection.search import Collection

TAGS = "tags.jsonl"
MOST_SETS = 50  # of duplicates that are shown
MOST_FRAMES, MOST_SIDE = 300, 640  # of a moment's copy


@dataclass(frozen=True)
class Card:
    """A moment of a video, or a whole video."""

    path: str  # in the index
    start: float  # seconds
    end: float
    length: float  # seconds of the video
    score: float | None = None

    @property
    def film(self) -> list[Any]:
        """What ``strip`` takes after the index."""
        return [self.path, self.start, self.end, self.length]


@dataclass(frozen=True)
class Shown:
    """What the page shows of an index: groups of cards with their titles."""

    result: Found | Clustered
    groups: list[tuple[str, list[Card]]]

    @property
    def index(self) -> Path:
        """The index."""
        return Path(self.result.study.index)

    @property
    def collection(self) -> Collection:
        """The opened index."""
        return self.result.collection

    @property
    def cards(self) -> list[Card]:
        """Of all groups, in order."""
        return [card for _, cards in self.groups for card in cards]


def shown(result: Found | Clustered) -> Shown:
    """A result as cards: the moments, or the most central videos of each cluster and then the duplicates."""
    if isinstance(result, Found):
        title = f"{len(result.moments)} of {len(result.collection.paths)} videos for: {result.query}"
        return Shown(result, [(title, [Card(m.path, m.start, m.end, m.length, m.score) for m in result.moments])])
    sets = [(f"Cluster {n}: {len(g.members)} videos", g.members) for n, g in enumerate(result.groups, 1)]
    sets += [(f"{len(same)} duplicates", same) for same in result.same[:MOST_SETS]]
    return Shown(result, [(title, [_whole(result.collection, i) for i in own[:SHOWN]]) for title, own in sets])


def _whole(collection: Collection, clip: int) -> Card:
    length = float(collection.lengths[clip])
    return Card(collection.paths[clip].as_py(), 0.0, length, length)


def index_of(place: str) -> Path:
    """The index that a place stands for: itself, or that of a folder of videos or a manifest, beside it.

    Raises:
        UserError: there is nothing.
    """
    from ezclip.collection.layout import by_model

    if not place.strip():
        raise UserError("No folder yet: type the path of a folder of videos, or of an index, on this machine.")
    path = Path(place.strip()).expanduser().absolute()
    if not path.exists():
        raise UserError(f"There is no folder {path.name} on this machine; check the path.")
    return path if by_model(path) else path.with_name(f"{path.name}.index")


def made_index(place: str, model: str) -> str:
    """The index that a place stands for, of several that of the model, which must be there; raises UserError."""
    from ezclip.collection.layout import index_with

    index = index_of(place)
    if not index.is_dir():
        raise UserError(f"{index.stem} has no index yet: press Index first.")
    return str(index_with(index, model))


def make_index(services: Services, place: str, model: str, seconds: float, step: float) -> Steps[Document]:
    """Make the index of a folder, or bring it up to date, with the model and windows that it has; see ``build``."""
    from ezclip.collection.index import build
    from ezclip.collection.layout import ABOUT, place_for, read_about

    out = place_for(index_of(place), [model])[model]
    source = Path(place.strip()).expanduser().absolute()
    if (out / ABOUT).is_file():
        about = read_about(out)
        model, seconds, step = about["model"], about["seconds"], about["step"]
        source = out / about["source"] / about["list"]

    def work(host: Host) -> Steps[Document]:
        predictor = (yield from host.predictors([model]))[model]
        return (yield from build(predictor, source, out, seconds=seconds, step=step))

    return services.in_turn(work)


def between(start: float, end: float, length: float, most: int) -> Choose:
    """At most ``most`` frames, evenly spaced, of a part of a video; times in seconds."""

    def choose(total: int) -> list[int]:
        rate = total / length if length else 0.0
        low = min(int(start * rate), total - 1)
        high = min(max(ceil(end * rate), low + 1), total)
        return np.linspace(low, high - 1, min(most, high - low)).round().astype(int).tolist()

    return choose


def strip_images(index: str, path: str, start: float, end: float, length: float, count: int) -> np.ndarray:
    """Some frames of a moment, (n, H, W, 3) uint8; raises UserError for a video that is not in the index."""
    from ezclip.collection.search import open_collection

    collection = open_collection(Path(index))
    if collection.number(path) is None:
        raise UserError(f"{Path(path).name} is not in this index.")
    return read_clip(collection.source / path, between(start, end, length, count)).images


def moment_file(shown: Shown, card: Card, folder: Path) -> Path:
    """The video of a card if it is all of it, or else a copy of the moment in ``folder``."""
    path = shown.collection.source / card.path
    if card.start <= 0 and card.end >= card.length:
        return path
    images = read_frames(path, between(card.start, card.end, card.length, MOST_FRAMES), side=MOST_SIDE).images
    out = folder / f"{Path(card.path).stem} {card.start:.1f} to {card.end:.1f} s.mp4"
    write_mp4(out, images, fps=max(1, round(len(images) / max(card.end - card.start, 1e-3))))
    return out


def _tagged(index: Path) -> dict[str, Document]:
    """The rows of the index's tags by their paths, which are relative to it."""
    path = index / TAGS
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    return {row["path"]: row for row in map(json.loads, lines)}


def read_tags(shown: Shown) -> dict[str, str]:
    """The class names that the user gave to the videos shown, by path in the index."""
    rows, source = _tagged(shown.index), shown.collection.source
    names = {card.path: relative(source / card.path, shown.index) for card in shown.cards}
    return {path: rows[name]["label"] for path, name in names.items() if name in rows}


def write_tags(shown: Shown, numbers: list[int], tag: str) -> None:
    """Give the videos of some cards a class name, in place of a former one; an empty one removes it."""
    rows, cards = _tagged(shown.index), shown.cards
    for card in (cards[number] for number in numbers):
        name = relative(shown.collection.source / card.path, shown.index)
        rows.pop(name, None)
        if tag:
            rows[name] = {"path": name, "label": tag, "start": card.start, "end": card.end}
    _write_lines(shown.index / TAGS, rows.values())


def _write_lines(path: Path, rows: Iterable[Document]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomically(path, lambda temporary: temporary.write_text(text, "utf-8"))


def results_csv(shown: Shown, folder: Path) -> Path:
    """The result's rows with the tags, as CSV; paths are those in the index."""
    import pyarrow as pa

    table, tags = shown.result.rows(shown.collection.source), read_tags(shown)
    tag = pa.array([tags.get(path) for path in table["path"].to_pylist()], pa.string())
    out = folder / f"{shown.index.stem}.csv"
    write_rows(table.append_column("tag", tag), out, ".csv")
    return out


def tagged_manifest(shown: Shown, folder: Path) -> Path:
    """Every tagged video of the index as a manifest with full paths, so that it can be moved.

    Raises:
        UserError: none is tagged.
    """
    rows = _tagged(shown.index)
    if not rows:
        raise UserError("No video is tagged yet: tick some, type their class name and press Tag.")
    out = folder / f"{shown.index.stem}.jsonl"
    _write_lines(out, [row | {"path": os.path.abspath(shown.index / row["path"])} for row in rows.values()])
    return out
