"""Collections on the page: the index of a folder, moments as cards, and tags, stored as a manifest in the index."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app.services import Services
from ezclip.errors import UserError
from ezclip.files import write_atomically
from ezclip.progress import Steps
from ezclip.studies.collection.clusters import CENTRAL_CLIPS, ClusterResult
from ezclip.studies.collection.rows import relative, write_rows
from ezclip.studies.collection.search import SearchResult
from ezclip.studies.host import Host
from ezclip.types import Document
from ezclip.video.encode import write_mp4
from ezclip.video.read import Choose, read_clip, read_frames

if TYPE_CHECKING:
    from ezclip.collection.search import Collection

TAGS = "tags.jsonl"
MAX_DUPLICATE_SETS = 50  # on the page
MAX_FRAMES, MAX_SIDE = 300, 640  # of the exported copy of a moment


@dataclass(frozen=True)
class Card:
    """A moment of a video, or a whole video; times in seconds."""

    path: str  # in the index
    start: float
    end: float
    length: float  # of the video
    score: float | None = None

    @property
    def strip_arguments(self) -> list[Any]:
        """The arguments of ``strip`` after the index."""
        return [self.path, self.start, self.end, self.length]


@dataclass(frozen=True)
class CardGroups:
    """A result of an index as groups of cards with titles."""

    result: SearchResult | ClusterResult
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
        """The cards of all groups, in order."""
        return [card for _, cards in self.groups for card in cards]


def as_cards(result: SearchResult | ClusterResult) -> CardGroups:
    """The moments of a search, or the most central videos of each cluster followed by the duplicates."""
    if isinstance(result, SearchResult):
        title = f"{len(result.moments)} of {len(result.collection.paths)} videos for: {result.query}"
        return CardGroups(result, [(title, [Card(m.path, m.start, m.end, m.length, m.score) for m in result.moments])])
    sets = [(f"Cluster {n}: {len(g.members)} videos", g.members) for n, g in enumerate(result.groups, 1)]
    sets += [(f"{len(clips)} duplicates", clips) for clips in result.duplicates[:MAX_DUPLICATE_SETS]]
    card = partial(_video_card, result.collection)
    return CardGroups(result, [(title, [card(i) for i in clips[:CENTRAL_CLIPS]]) for title, clips in sets])


def _video_card(collection: Collection, clip: int) -> Card:
    length = float(collection.lengths[clip])
    return Card(collection.paths[clip].as_py(), 0.0, length, length)


def index_of(place: str) -> Path:
    """The path of the index for ``place``: an index, or a folder of videos or a manifest, whose index is next to it.

    Raises:
        UserError: there is nothing at ``place``.
    """
    from ezclip.collection.layout import model_indexes

    if not place.strip():
        raise UserError("No folder yet: type the path of a folder of videos, or of an index, on this machine.")
    path = Path(place.strip()).expanduser().absolute()
    if not path.exists():
        raise UserError(f"There is no folder {path.name} on this machine; check the path.")
    return path if model_indexes(path) else path.with_name(f"{path.name}.index")


def existing_index(place: str, model: str) -> str:
    """The existing index for ``place``, of several that of ``model``; raises UserError if there is none."""
    from ezclip.collection.layout import model_index

    index = index_of(place)
    if not index.is_dir():
        raise UserError(f"{index.stem} has no index yet: press Index first.")
    return str(model_index(index, model))


def make_index(services: Services, place: str, model: str, seconds: float, step: float) -> Steps[Document]:
    """Build or update the index of a folder; an existing index keeps its model and windows. See ``build``."""
    from ezclip.collection.index import build
    from ezclip.collection.layout import METADATA, index_folders, read_metadata

    out = index_folders(index_of(place), [model])[model]
    source = Path(place.strip()).expanduser().absolute()
    if (out / METADATA).is_file():
        metadata = read_metadata(out)
        model, seconds, step = metadata["model"], metadata["seconds"], metadata["step"]
        source = out / metadata["source"] / metadata["list"]

    def work(host: Host) -> Steps[Document]:
        predictor = (yield from host.predictors([model]))[model]
        return (yield from build(predictor, source, out, seconds=seconds, step=step))

    return services.in_turn(work)


def frames_between(start: float, end: float, length: float, limit: int) -> Choose:
    """Choose at most ``limit`` evenly spaced frames of a part of a video; times in seconds."""

    def choose(total: int) -> list[int]:
        rate = total / length if length else 0.0
        low = min(int(start * rate), total - 1)
        high = min(max(ceil(end * rate), low + 1), total)
        return np.linspace(low, high - 1, min(limit, high - low)).round().astype(int).tolist()

    return choose


def strip_images(index: str, path: str, start: float, end: float, length: float, count: int) -> np.ndarray:
    """At most ``count`` frames of a moment, (n, H, W, 3) uint8; raises UserError for a video outside the index."""
    from ezclip.collection.search import open_collection

    collection = open_collection(Path(index))
    if collection.clip_number(path) is None:
        raise UserError(f"{Path(path).name} is not in this index.")
    return read_clip(collection.source / path, frames_between(start, end, length, count)).images


def moment_file(groups: CardGroups, card: Card, folder: Path) -> Path:
    """The video file of a card of a whole video, else a copy of the moment in ``folder``."""
    path = groups.collection.source / card.path
    if card.start <= 0 and card.end >= card.length:
        return path
    images = read_frames(path, frames_between(card.start, card.end, card.length, MAX_FRAMES), side=MAX_SIDE).images
    out = folder / f"{Path(card.path).stem} {card.start:.1f} to {card.end:.1f} s.mp4"
    write_mp4(out, images, fps=max(1, round(len(images) / max(card.end - card.start, 1e-3))))
    return out


def _tag_rows(index: Path) -> dict[str, Document]:
    """The tags of an index: path relative to it -> row."""
    path = index / TAGS
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    return {row["path"]: row for row in map(json.loads, lines)}


def read_tags(groups: CardGroups) -> dict[str, str]:
    """Path in the index -> the user's class name, for the videos of the cards."""
    rows, source = _tag_rows(groups.index), groups.collection.source
    names = {card.path: relative(source / card.path, groups.index) for card in groups.cards}
    return {path: rows[name]["label"] for path, name in names.items() if name in rows}


def write_tags(groups: CardGroups, numbers: list[int], tag: str) -> None:
    """Set the class name of the videos of some cards; an empty one removes it."""
    rows, cards = _tag_rows(groups.index), groups.cards
    for card in (cards[number] for number in numbers):
        name = relative(groups.collection.source / card.path, groups.index)
        rows.pop(name, None)
        if tag:
            rows[name] = {"path": name, "label": tag, "start": card.start, "end": card.end}
    _write_lines(groups.index / TAGS, rows.values())


def _write_lines(path: Path, rows: Iterable[Document]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomically(path, lambda temporary: temporary.write_text(text, "utf-8"))


def results_csv(groups: CardGroups, folder: Path) -> Path:
    """Write the result's rows with the tags, as CSV; paths are relative to the index."""
    import pyarrow as pa

    table, tags = groups.result.rows(groups.collection.source), read_tags(groups)
    tag = pa.array([tags.get(path) for path in table["path"].to_pylist()], pa.string())
    out = folder / f"{groups.index.stem}.csv"
    write_rows(table.append_column("tag", tag), out, ".csv")
    return out


def tagged_manifest(groups: CardGroups, folder: Path) -> Path:
    """Write a manifest of all tagged videos of the index, with absolute paths.

    Raises:
        UserError: no video is tagged.
    """
    rows = _tag_rows(groups.index)
    if not rows:
        raise UserError("No video is tagged yet: tick some, type their class name and press Tag.")
    out = folder / f"{groups.index.stem}.jsonl"
    _write_lines(out, [row | {"path": os.path.abspath(groups.index / row["path"])} for row in rows.values()])
    return out
