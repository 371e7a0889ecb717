"""Clusters and duplicates of the videos of an index."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ezclip.errors import UserError
from ezclip.figures.report import Report, Table
from ezclip.parameters import Parameter
from ezclip.progress import Progress, Steps
from ezclip.studies.collection.rows import TABLE_SUFFIXES, TableResult, relative
from ezclip.studies.collection.search import Index
from ezclip.studies.declaration import Study
from ezclip.studies.host import Host
from ezclip.types import Document

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import Tensor

    from ezclip.collection.clusters import Cluster
    from ezclip.collection.search import Collection

CENTRAL_CLIPS = 8  # named clips per cluster
_Duplicates = Parameter("Smallest cosine of duplicates, which are searched for within each cluster.", low=0, high=1)


@dataclass(frozen=True)
class Clusters(Study):
    """Group the videos of an index by k-means on their embeddings, and list near duplicates.

    Example: python -m ezclip clusters videos.index --count 12 --out clusters.parquet
    """

    verb: ClassVar[str] = "clusters"
    tables: ClassVar[tuple[str, ...]] = TABLE_SUFFIXES
    index: Index = ""
    count: Annotated[int, Parameter("Maximum number of clusters.", low=1, high=1000)] = 8
    duplicates: Annotated[float, _Duplicates] = 0.99
    model: Annotated[str, Parameter("Model, for an index with several.", kind="model")] = ""

    def run(self, host: Host) -> Steps[ClusterResult]:
        """Read all embeddings, cluster them and compare them within the clusters."""
        from ezclip.collection.clusters import clusters, duplicates
        from ezclip.collection.layout import model_index
        from ezclip.collection.search import open_collection

        if not self.index:
            raise UserError("No index yet: make one with python -m ezclip index FOLDER --out INDEX.")
        yield Progress(0.0, "opening the index")
        collection = open_collection(model_index(Path(self.index), self.model))
        clips = collection.clips()
        yield Progress(0.2, f"clustering {len(clips)} videos")
        groups = clusters(clips, self.count)
        yield Progress(0.6, "looking for duplicates")
        return ClusterResult(self, collection, clips, groups, duplicates(clips, groups, self.duplicates))


@dataclass(frozen=True, eq=False)
class ClusterResult(TableResult):
    """Clusters of all videos, the largest first, and sets of duplicates."""

    kind: ClassVar[str] = "videos"
    study: Clusters
    collection: Collection
    clips: Tensor  # (G, E) float32
    groups: list[Cluster]
    duplicates: list[list[int]]

    def _path(self, clip: int) -> str:
        return self.collection.paths[clip].as_py()

    def as_json(self) -> Document:
        """Size and most central clips of each cluster, and the paths of each set of duplicates."""
        return {
            "index": Path(self.study.index).name,
            "model": self.collection.metadata["model"],
            "clusters": [
                {"clips": len(g.members), "central": [self._path(i) for i in g.members[:CENTRAL_CLIPS]]}
                for g in self.groups
            ],
            "duplicates": [[self._path(i) for i in clips] for clips in self.duplicates],
        }

    def text(self) -> str:
        """A paragraph per cluster and per set of duplicates."""
        lines = []
        for n, g in enumerate(self.groups, 1):
            lines += [f"cluster {n}: {len(g.members)} videos", *(f"  {self._path(i)}" for i in g.members[:3])]
        for clips in self.duplicates:
            lines += [f"{len(clips)} duplicates", *(f"  {self._path(i)}" for i in clips)]
        return "\n".join(lines)

    def report(self) -> Report:
        """The clusters, and every video with its cluster and duplicates."""
        table = self.rows(self.collection.source).drop_columns("embedding")
        rows = [list(row.values()) for row in table.to_pylist()]
        sizes = [[n, len(g.members), ", ".join(map(self._path, g.members[:3]))] for n, g in enumerate(self.groups, 1)]
        parts = [
            Table("clusters", "Clusters", ["cluster", "videos", "nearest to the centre"], sizes),
            Table("videos", "Every video", table.column_names, rows, on_page=False),
        ]
        lead = f"{len(self.clips)} videos in {len(self.groups)} clusters, {len(self.duplicates)} sets of duplicates."
        facts = {"model": self.collection.metadata["weights"], "command": self.study.command()}
        return Report("Clusters of an index", lead, self.as_json(), facts, [*parts])

    def rows(self, folder: Path) -> pa.Table:
        """Path (relative to ``folder``), label ("cluster N"), cosine with the centre, number of the set of duplicates
        (null without duplicates) and embedding of each video, cluster by cluster.
        """
        import pyarrow as pa

        duplicate_sets = {clip: n for n, clips in enumerate(self.duplicates, 1) for clip in clips}
        rows = [
            {"path": relative(self.collection.source / self._path(i), folder), "label": f"cluster {n}"}
            | {"cosine": round(cosine, 4), "duplicates": duplicate_sets.get(i), "embedding": self.clips[i].tolist()}
            for n, group in enumerate(self.groups, 1)
            for i, cosine in zip(group.members, group.cosines, strict=True)
        ]
        columns = [("path", pa.string()), ("label", pa.string()), ("cosine", pa.float64()), ("duplicates", pa.int32())]
        return pa.Table.from_pylist(rows, pa.schema([*columns, ("embedding", pa.list_(pa.float32()))]))
