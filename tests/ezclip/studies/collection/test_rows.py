"""Rows as CSV, JSONL and Parquet: by hand, and the moments of an index."""

import csv
import os
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from ezclip.cli import main
from ezclip.data.manifest import read_rows
from ezclip.studies.collection.rows import relative, write_rows
from ezclip.studies.host import Host
from tests.ezclip.studies.collection.conftest import search


def test_files_of_moments(drawn: Path, index: Path, host: Host, tmp_path: Path) -> None:
    result = search(host, index, "lifting", top=5)
    tables = {kind: result.write(tmp_path / f"found.{kind}")["moments"] for kind in ("csv", "jsonl", "parquet")}
    with tables["csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["score"]) for row in rows] == [round(m.score, 4) for m in result.moments]
    for kind in ("jsonl", "parquet"):
        listed = read_rows(tables[kind])
        assert [row.label for row in listed] == ["lifting"] * 5
        assert [os.path.realpath(row.path) for row in listed] == [
            os.path.realpath(drawn.parent / m.path) for m in result.moments
        ]
    full = parquet.read_table(tables["parquet"]).to_pylist()
    assert len(full[0]["embedding"]) == 128 and sum(x * x for x in full[0]["embedding"]) == pytest.approx(1, abs=1e-2)
    files = result.write(tmp_path / "report")
    assert {"page", "moments", "found"} <= set(files) and "lifting" in files["page"].read_text()


def test_a_file_of_moments_is_replaced(index: Path, tmp_path: Path) -> None:
    for count in (3, 2):
        options = ("--top", str(count), "--out", str(tmp_path / "found.jsonl"), "--device", "cpu")
        assert main(["search", str(index), "pushing", *options]) == 0
        assert len(read_rows(tmp_path / "found.jsonl")) == count


def test_a_table_in_each_form_by_hand(tmp_path: Path) -> None:
    rows = [
        {"path": "a, b.mp4", "label": "=1+1", "score": 0.5, "embedding": [1.0, 0.0]},
        {"path": "ü.mp4", "label": "x", "score": None, "embedding": [0.0, 1.0]},
    ]
    table, path = pa.Table.from_pylist(rows), tmp_path / "rows"
    write_rows(table, path, ".csv")
    assert path.read_bytes().decode() == 'path,label,score\r\n"a, b.mp4",\'=1+1,0.5\r\nü.mp4,x,\r\n'
    write_rows(table, path, ".jsonl")
    assert path.read_bytes().decode() == (
        '{"path": "a, b.mp4", "label": "=1+1", "score": 0.5}\n{"path": "ü.mp4", "label": "x", "score": null}\n'
    )
    write_rows(table, path, ".parquet")
    assert parquet.read_table(path).to_pylist() == rows


def test_paths_are_those_of_a_manifest_beside_the_table(tmp_path: Path) -> None:
    video = tmp_path / "videos" / "waving" / "1.mp4"
    assert relative(video, tmp_path / "out") == "../videos/waving/1.mp4"
    assert relative(video, tmp_path / "videos") == "waving/1.mp4"
