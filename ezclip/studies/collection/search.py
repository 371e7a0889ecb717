"""Search an index by text, by an opposite text, and by an example clip."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ezclip.errors import ConfigError, UserError, VideoError
from ezclip.figures.maps import crop_to_input, draw_thumbnails
from ezclip.figures.report import Picture, Report, Table
from ezclip.parameters import Parameter
from ezclip.progress import Progress, Steps
from ezclip.studies.collection.rows import TABLE_SUFFIXES, TableResult, relative
from ezclip.studies.declaration import ModelsResult, Study, Texts
from ezclip.studies.host import Host
from ezclip.types import Document, Preprocessing
from ezclip.video.read import read_clip

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from torch import Tensor

    from ezclip.collection.search import Collection, Moment
    from ezclip.predictor import Predictor

MAX_RESULTS = 100_000
THUMBNAILS, SIDE = 24, 96  # number and side in the report
Index = Annotated[
    str, Parameter("Folder written by ezclip index; at the endpoint, only on your own machine.", kind="index")
]
_Text = Parameter("Text to search for; optional with --like.", "Text", kind="query")
_Opposite = Parameter("A text to exclude: its cosine is subtracted.", "But not", flag="not")
_Like = Parameter(
    "Example of similar clips: a path in the index (left out of the results) or a video file.", kind="example"
)
_Model = Parameter(
    "Model, for an index with several, or the new name or folder of a renamed or moved model.",
    kind="model",
)
_Folder = Parameter("Only videos whose path in the index starts with this text.")
_Since = Parameter("Only videos modified on or after this date, such as 2026-01-31 (UTC).")
_Until = Parameter("Only videos modified on or before this date.")
_Shortest = Parameter("Only videos of at least this many seconds.", low=0)
_Longest = Parameter("Only videos of at most this many seconds; 0 for any length.", low=0)


@dataclass(frozen=True)
class Search(Study):
    """Find the moments of an index that match a text best, one per video.

    --out FILE.csv, .jsonl or .parquet writes the moments; ezclip evaluate reads the latter two as a manifest with the
    text as label, and docs/COLLECTIONS.md lists viewers for Parquet files, which include the embeddings.

    Example: python -m ezclip search videos.index "pushed from left to right" --not "pushed from right to left"
    """

    verb: ClassVar[str] = "search"
    tables: ClassVar[tuple[str, ...]] = TABLE_SUFFIXES
    index: Index = ""
    text: Annotated[str, _Text] = ""
    opposite: Annotated[str, _Opposite] = ""
    like: Annotated[str, _Like] = ""
    model: Annotated[str, _Model] = ""
    texts: Texts = "trained"
    top: Annotated[int, Parameter("Maximum number of videos.", low=1, high=MAX_RESULTS)] = 20
    folder: Annotated[str, _Folder] = ""
    since: Annotated[str, _Since] = ""
    until: Annotated[str, _Until] = ""
    shortest: Annotated[float, _Shortest] = 0.0
    longest: Annotated[float, _Longest] = 0.0

    def __post_init__(self) -> None:
        """Also reject invalid dates."""
        super().__post_init__()
        for day in (self.since, self.until):
            _nanoseconds(day)

    def run(self, host: Host) -> Steps[SearchResult]:
        """Encode the query and compare it with every window."""
        from ezclip.collection.layout import model_index
        from ezclip.collection.search import open_collection

        if not (self.text.strip() or self.like):
            raise UserError("Nothing to look for: give a text, or a clip that the results resemble.")
        if not self.index:
            raise UserError("No index yet: make one with python -m ezclip index FOLDER --out INDEX.")
        yield Progress(0.0, "opening the index")
        collection = open_collection(model_index(Path(self.index), self.model))
        name = self.model or collection.metadata["model"]
        predictor = (yield from host.predictors([name]))[name]
        check_model(collection, predictor)
        example = collection.clip_number(self.like) if self.like else None
        query = self._encode_text(predictor, self.text) - self._encode_text(predictor, self.opposite)
        if example is not None:
            query = query + collection.clip(example)
        elif self.like:
            query = query + (yield from self._encode_example(host, predictor))
        yield Progress(0.5, f"comparing {collection.windows} windows")
        moments = collection.search(query, self._filter(collection, example), self.top)
        return SearchResult(self, [predictor.identity], collection, moments)

    def _encode_text(self, predictor: Predictor, text: str) -> Tensor:
        """The mean unit embedding of the sentences of a text, (E,); a broadcastable 0 for an empty text."""
        import torch
        import torch.nn.functional as F

        if not text.strip():
            return torch.zeros(1)
        sentences = predictor.sentences([text.strip()], self.texts)[text.strip()]
        return F.normalize(predictor.encode_texts(sentences), dim=-1).mean(dim=0).cpu()

    def _encode_example(self, host: Host, predictor: Predictor) -> Steps[Tensor]:
        from ezclip.model.interface import video_embeddings

        if not Path(self.like).exists():
            raise VideoError(f"There is no clip {Path(self.like).name} in the index, nor a file of that name.")
        clip = yield from host.clip(self.like, predictor.model.num_frames)
        return video_embeddings(host.encode(predictor, clip).frames)[0].cpu()

    def _filter(self, collection: Collection, example: int | None) -> np.ndarray:
        """(G,) bool, the clips that pass the filters, without the example."""
        from pyarrow.compute import MatchSubstringOptions as Match
        from pyarrow.compute import call_function

        mask = collection.lengths >= self.shortest
        if self.longest:
            mask &= collection.lengths <= self.longest
        if self.folder:
            matches = call_function("starts_with", [collection.paths], Match(self.folder))
            mask &= matches.to_numpy(zero_copy_only=False)
        if (since := _nanoseconds(self.since)) is not None:
            mask &= collection.modified >= since
        if (until := _nanoseconds(self.until)) is not None:
            mask &= collection.modified < until + 86_400 * 10**9
        if example is not None:
            mask[example] = False
        return mask


def _nanoseconds(day: str) -> int | None:
    """The start of a day in UTC; None for an empty text."""
    if not day:
        return None
    try:
        start = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
    except ValueError as error:
        raise UserError(f"{day[:40]!r} is no date; give year, month and day, such as 2026-01-31.") from error
    return int(start.timestamp()) * 10**9


def check_model(collection: Collection, predictor: Predictor) -> None:
    """Raise ConfigError if the index was made with other weights."""
    metadata = collection.metadata
    if metadata["weights"] != predictor.identity.weights:
        raise ConfigError(
            f"The index was made with {metadata['model']}, other weights than those of {predictor.name}; give "
            "the former model, or make the index anew."
        )


@dataclass(frozen=True, eq=False)
class SearchResult(TableResult, ModelsResult[Search]):
    """Moments of an index, best first."""

    kind: ClassVar[str] = "moments"
    collection: Collection
    moments: list[Moment]

    @property
    def warnings(self) -> list[str]:
        """A note on an unfinished index."""
        n = self.collection.pending
        return [f"{n} videos are not in the index yet; run ezclip index until it is done."] if n else []

    @property
    def query(self) -> str:
        """The query in words."""
        s = self.study
        parts = [s.text.strip(), s.opposite and f"not {s.opposite}", s.like and f"like {Path(s.like).name}"]
        return ", ".join(part for part in parts if part)

    def as_json(self) -> Document:
        """Index, model, query and moments; "score" is in standard deviations, see ``Collection.search``."""
        moments = [
            {"clip": m.path}
            | {name: round(getattr(m, name), 4) for name in ("start", "end", "score", "cosine", "length")}
            for m in self.moments
        ]
        query = {"text": self.study.text, "not": self.study.opposite, "like": Path(self.study.like).name}
        counts = {"clips": len(self.collection.paths), "windows": self.collection.windows}
        index = {"index": Path(self.study.index).name, "model": self.models[0]}
        return index | query | counts | {"moments": moments}

    def text(self) -> str:
        """A line per moment."""
        lines = [f"{m.score:6.2f}  {m.start:8.2f} to {m.end:8.2f} s  {m.path}" for m in self.moments]
        return "\n".join(lines) or "No video passes the filters."

    def report(self) -> Report:
        """The middle frames of the first moments, and a table of all moments."""
        frames = [(f"{m.score:.1f}", p) for m in self.moments[:THUMBNAILS] if (p := self._middle_frame(m)) is not None]
        parts: list[Picture | Table] = []
        if frames:
            note = "The middle frame of the first moments under its score."
            parts.append(Picture("moments", "Moments", draw_thumbnails(frames), note))
        rows = [[m.path, m.start, m.end, m.score, m.cosine] for m in self.moments]
        note = "The score is the cosine in standard deviations above the mean of all windows of the index."
        parts.append(Table("found", "Every moment", ["path", "start", "end", "score", "cosine"], rows, note))
        lead = f"{len(self.moments)} of {len(self.collection.paths)} videos for: {self.query}."
        return self._report("Moments found", lead, parts, index=Path(self.study.index).name)

    def _middle_frame(self, moment: Moment) -> np.ndarray | None:
        share = (moment.start + moment.end) / 2 / max(moment.length, 1e-6)
        try:
            path = self.collection.source / moment.path
            clip = read_clip(path, lambda total: [min(int(share * total), total - 1)])
        except VideoError:
            return None
        return crop_to_input(clip.images, SIDE, Preprocessing(SIDE))[0]

    def rows(self, folder: Path) -> pa.Table:
        """Path (relative to ``folder``), label (the query), times, scores and embedding of each moment."""
        import pyarrow as pa

        rows = [
            {"path": relative(self.collection.source / m.path, folder), "label": self.query}
            | {name: round(getattr(m, name), 4) for name in ("start", "end", "length", "score", "cosine")}
            | {"embedding": self.collection.embedding(m.row).tolist()}
            for m in self.moments
        ]
        columns = [("path", pa.string()), ("label", pa.string())]
        columns += [(name, pa.float64()) for name in ("start", "end", "length", "score", "cosine")]
        return pa.Table.from_pylist(rows, pa.schema([*columns, ("embedding", pa.list_(pa.float32()))]))
