"""Clusters and duplicates of an index, and their files."""

from pathlib import Path

import pytest
from pyarrow import parquet

from ezclip.progress import finish
from ezclip.studies.collection.clusters import Clusters
from ezclip.studies.host import Host

pytestmark = pytest.mark.slow  # the index takes seconds


def test_clusters_of_an_index(index: Path, host: Host, tmp_path: Path) -> None:
    result = finish(Clusters(str(index), count=4, duplicates=0.98).run(host))
    data = result.as_json()
    assert len(data["clusters"]) == 4 and sum(group["clips"] for group in data["clusters"]) == 31
    rows = parquet.read_table(result.write(tmp_path / "all.parquet")["videos"]).to_pylist()
    assert len(rows) == 31 and {row["label"] for row in rows} == {f"cluster {n}" for n in range(1, 5)}
    assert len([row for row in rows if row["duplicates"]]) == sum(map(len, data["duplicates"]))
    assert set(result.write(tmp_path / "report")) >= {"page", "clusters", "videos"} and "cluster 1" in result.text()
