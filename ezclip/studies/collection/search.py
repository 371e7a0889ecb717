"""Search an index by text, by an opposite text, and by the example of a clip."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ezclip.errors import ConfigError, UserError, VideoError
from ezclip.figures.maps import draw_thumbnails, square
from ezclip.figures.report import Picture, Report, Table
from ezclip.parameters import Parameter
from ezclip.progress import Progress, Steps
from ezclip.studies.collection.rows import FORMS, Rows, relative
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

MOST = 100_000  # results
THUMBNAILS, SIDE = 24, 96  # in the report
Index = Annotated[
    str, Parameter("Folder that ezclip index made; at the endpoint, only on your own machine.", kind="index")
]
_Text = Parameter("What is looked for; empty with --like alone.", "Text", kind="query")
_Opposite = Parameter("A text to exclude: its cosine is subtracted.", "But not", flag="not")
_Like = Parameter(
    "A clip that the results resemble: its path in the index, which is then left out, or a video file.", kind="example"
)
_Model = Parameter(
    "The index's model, where it has several, or the model's new name or folder if it was renamed or moved.",
    kind="model",
)
_Folder = Parameter("Only videos whose path in the index begins so.")
_Since = Parameter("Only videos modified on or after this date, such as 2026-01-31 (UTC).")
_Until = Parameter("Only videos modified on or before this date.")
_Shortest = Parameter("Only videos of at least this many seconds.", low=0)
_Longest = Parameter("Only videos of at most this many seconds; 0 for any length.", low=0)


@dataclass(frozen=True)
class Search(Study):
    """Find the moments of an index that match a text best, one for each video.

    --out FILE.csv, .jsonl or .parquet writes the moments; ezclip evaluate reads the latter two as a manifest whose
    label is the text, and docs/COLLECTIONS.md names viewers for the last, which has the embeddings, too.
    Example: python -m ezclip search videos.index "pushed from left to right" --not "pushed from right to left"
    """

    verb: ClassVar[str] = "search"
    tables: ClassVar[tuple[str, ...]] = FORMS
    index: Index = ""
    text: Annotated[str, _Text] = ""
    opposite: Annotated[str, _Opposite] = ""
    like: Annotated[str, _Like] = ""
    model: Annotated[str, _Model] = ""
    texts: Texts = "trained"
    top: Annotated[int, Parameter("Most videos.", low=1, high=MOST)] = 20
    folder: Annotated[str, _Folder] = ""
    since: Annotated[str, _Since] = ""
    until: Annotated[str, _Until] = ""
    shortest: Annotated[float, _Shortest] = 0.0
    longest: Annotated[float, _Longest] = 0.0

    def __post_init__(self) -> None:
        """Also reject dates that are none."""
        super().__post_init__()
        for day in (self.since, self.until):
            _nanoseconds(day)

    def run(self, host: Host) -> Steps[Found]:
        """Encode the query and compare it with every window."""
        from ezclip.collection.layout import index_with
        from ezclip.collection.search import open_collection

        if not (self.text.strip() or self.like):
            raise UserError("Nothing to look for: give a text, or a clip that the results resemble.")
        if not self.index:
            raise UserError("No index yet: make one with python -m ezclip index FOLDER --out INDEX.")
        yield Progress(0.0, "opening the index")
        collection = open_collection(index_with(Path(self.index), self.model))
        name = self.model or collection.about["model"]
        predictor = (yield from host.predictors([name]))[name]
        check_model(collection, predictor)
        own = collection.number(self.like) if self.like else None
        query = self._texts(predictor, self.text) - self._texts(predictor, self.opposite)
        if own is not None:
            query = query + collection.clip(own)
        elif self.like:
            query = query + (yield from self._example(host, predictor))
        yield Progress(0.5, f"comparing {collection.windows} windows")
        moments = collection.search(query, self._wanted(collection, own), self.top)
        return Found(self, [predictor.identity], collection, moments)

    def _texts(self, predictor: Predictor, text: str) -> Tensor:
        """The mean of the unit embeddings of a text's sentences, (E,); without a text 0, which broadcasts."""
        import torch
        import torch.nn.functional as F

        if not text.strip():
            return torch.zeros(1)
        every = predictor.sentences([text.strip()], self.texts)[text.strip()]
        return F.normalize(predictor.encode_texts(every), dim=-1).mean(dim=0).cpu()

    def _example(self, host: Host, predictor: Predictor) -> Steps[Tensor]:
        from ezclip.model.interface import video_embeddings

        if not Path(self.like).exists():
            raise VideoError(f"There is no clip {Path(self.like).name} in the index, nor a file of that name.")
        clip = yield from host.clip(self.like, predictor.model.num_frames)
        return video_embeddings(host.encode(predictor, clip).frames)[0].cpu()

    def _wanted(self, collection: Collection, own: int | None) -> np.ndarray:
        """Which clips pass the filters, (G,) bool."""
        from pyarrow.compute import MatchSubstringOptions as Match
        from pyarrow.compute import call_function

        wanted = collection.lengths >= self.shortest
        if self.longest:
            wanted &= collection.lengths <= self.longest
        if self.folder:
            begins = call_function("starts_with", [collection.paths], Match(self.folder))
            wanted &= begins.to_numpy(zero_copy_only=False)
        if (since := _nanoseconds(self.since)) is not None:
            wanted &= collection.modified >= since
        if (until := _nanoseconds(self.until)) is not None:
            wanted &= collection.modified < until + 86_400 * 10**9
        if own is not None:
            wanted[own] = False
        return wanted


def _nanoseconds(day: str) -> int | None:
    """The start of a day in UTC; None without one."""
    if not day:
        return None
    try:
        start = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
    except ValueError as error:
        raise UserError(f"{day[:40]!r} is no date; give year, month and day, such as 2026-01-31.") from error
    return int(start.timestamp()) * 10**9


def check_model(collection: Collection, predictor: Predictor) -> None:
    """Raise ConfigError where the index was made with other weights of that name."""
    if collection.about["weights"] != predictor.identity.weights:
        raise ConfigError(
            f"The index was made with {collection.about['model']}, other weights than those of {predictor.name}; give "
            "the former model, or make the index anew."
        )


@dataclass(frozen=True, eq=False)
class Found(Rows, ModelsResult[Search]):
    """Moments of an index, best first."""

    kind: ClassVar[str] = "moments"
    collection: Collection
    moments: list[Moment]

    @property
    def warnings(self) -> list[str]:
        """Whether the index is unfinished."""
        n = self.collection.waiting
        return [f"{n} videos are not in the index yet; run ezclip index until it is done."] if n else []

    @property
    def query(self) -> str:
        """What was looked for, in words."""
        own = self.study
        parts = [own.text.strip(), own.opposite and f"not {own.opposite}", own.like and f"like {Path(own.like).name}"]
        return ", ".join(part for part in parts if part)

    def as_json(self) -> Document:
        """Index, model, query, and the moments; "score" is in standard deviations, see ``Collection.search``."""
        moments = [
            {"clip": m.path}
            | {name: round(getattr(m, name), 4) for name in ("start", "end", "score", "cosine", "length")}
            for m in self.moments
        ]
        query = {"text": self.study.text, "not": self.study.opposite, "like": Path(self.study.like).name}
        searched = {"clips": len(self.collection.paths), "windows": self.collection.windows}
        about = {"index": Path(self.study.index).name, "model": self.models[0]}
        return about | query | searched | {"moments": moments}

    def text(self) -> str:
        """A line for each moment."""
        lines = [f"{m.score:6.2f}  {m.start:8.2f} to {m.end:8.2f} s  {m.path}" for m in self.moments]
        return "\n".join(lines) or "No video passes the filters."

    def report(self) -> Report:
        """The middle frames of the first moments, and all of them as a table."""
        shown = [(f"{m.score:.1f}", p) for m in self.moments[:THUMBNAILS] if (p := self._picture(m)) is not None]
        parts: list[Picture | Table] = []
        if shown:
            note = "The middle frame of the first moments under its score."
            parts.append(Picture("moments", "Moments", draw_thumbnails(shown), note))
        rows = [[m.path, m.start, m.end, m.score, m.cosine] for m in self.moments]
        note = "The score is the cosine in standard deviations above the mean of all windows of the index."
        parts.append(Table("found", "Every moment", ["path", "start", "end", "score", "cosine"], rows, note))
        lead = f"{len(self.moments)} of {len(self.collection.paths)} videos for: {self.query}."
        return self._report("Moments found", lead, parts, index=Path(self.study.index).name)

    def _picture(self, moment: Moment) -> np.ndarray | None:
        share = (moment.start + moment.end) / 2 / max(moment.length, 1e-6)
        try:
            path = self.collection.source / moment.path
            clip = read_clip(path, lambda total: [min(int(share * total), total - 1)])
        except VideoError:
            return None
        return square(clip.images, SIDE, Preprocessing(SIDE))[0]

    def rows(self, beside: Path) -> pa.Table:
        """Path (relative to the folder ``beside``), label (the query), times, scores and embedding of each moment."""
        import pyarrow as pa

        rows = [
            {"path": relative(self.collection.source / m.path, beside), "label": self.query}
            | {name: round(getattr(m, name), 4) for name in ("start", "end", "length", "score", "cosine")}
            | {"embedding": self.collection.embedding(m.row).tolist()}
            for m in self.moments
        ]
        kinds = [("path", pa.string()), ("label", pa.string())]
        kinds += [(name, pa.float64()) for name in ("start", "end", "length", "score", "cosine")]
        return pa.Table.from_pylist(rows, pa.schema([*kinds, ("embedding", pa.list_(pa.float32()))]))
