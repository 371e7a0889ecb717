"""Exact search, scores, moments and filters; clusters and duplicates."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from ezclip.collection.clusters import clusters, duplicates
from ezclip.collection.plan import Stat, plan
from ezclip.collection.search import Collection, open_collection
from ezclip.errors import ConfigError
from tests.ezclip.collection.materials import write_index


def random_units(count: int, E: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(count, E, generator=torch.Generator().manual_seed(seed)), dim=-1)


def on_plane(*cosines: float) -> torch.Tensor:
    """Unit vectors (n, 2) with these cosines with (1, 0)."""
    return torch.tensor([[c, (1 - c * c) ** 0.5] for c in cosines])


FIRST = torch.tensor([1.0, 0.0])


def everything(collection: Collection) -> np.ndarray:
    return np.ones(len(collection.paths), bool)


def test_search_is_brute_force_in_float32(tmp_path: Path) -> None:
    lengths = np.random.default_rng(0).integers(1, 12, 3000)
    rows = random_units(int(lengths.sum()), 64)
    clips = {f"{i:05d}.mp4": part for i, part in enumerate(rows.split(lengths.tolist()))}
    assert len(rows) > 17_000
    collection = open_collection(write_index(tmp_path / "i", clips, shard_size=500))
    query = random_units(2, 64, seed=1)
    query = query[0] - query[1]
    brute = rows.half().float() @ query
    best = torch.stack([part.max() for part in brute.split(lengths.tolist())])
    matches = collection.search(query, everything(collection), 20)
    order = torch.argsort(-best)[:20].tolist()
    assert [m.path for m in matches] == [f"{i:05d}.mp4" for i in order]
    np.testing.assert_allclose([m.cosine for m in matches], best[order], atol=1e-6)
    z = (best[order] - brute.mean()) / brute.std(correction=0)
    np.testing.assert_allclose([m.score for m in matches], z, atol=1e-4)
    half = np.arange(len(clips)) % 2 == 0
    assert [m.path for m in collection.search(query, half, 20)][:5] == [
        f"{i:05d}.mp4" for i in torch.argsort(-best).tolist() if half[i]
    ][:5]
    torch.testing.assert_close(collection.embedding(matches[0].row) @ query, best.max(), atol=1e-6, rtol=0)
    means = torch.stack([part.half().float().mean(0) for part in clips.values()])
    torch.testing.assert_close(collection.clips(), F.normalize(means, dim=-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(collection.clip(7), F.normalize(means[7], dim=0), atol=1e-5, rtol=0)


def test_neighbours_with_half_the_score_belong_to_the_moment(tmp_path: Path) -> None:
    # of the ten cosines the mean is 0.25; the best of a is 1, so those from 0.625 on join it; of ties the first is best
    clips = {
        "a.mp4": on_plane(0.0, 0.5, 1.0, 0.75, 0.0, 1.0),
        "b.mp4": on_plane(0.25, -0.25),
        "c.mp4": on_plane(-0.5, -0.25),
    }
    collection = open_collection(write_index(tmp_path / "i", clips))
    values = torch.cat(list(clips.values()))[:, 0]
    a, b, c = collection.search(FIRST, everything(collection), 3)
    assert (a.path, a.start, a.end, a.length, a.row) == ("a.mp4", 2.0, 5.0, 7.0, 2)
    assert a.score == pytest.approx(float((1 - values.mean()) / values.std(correction=0)), abs=1e-3)
    assert (b.path, b.start, b.end) == ("b.mp4", 0.0, 2.0) and (c.path, c.start, c.end) == ("c.mp4", 1.0, 3.0)
    assert c.score < 0


def test_what_changed_or_vanished_does_not_count(tmp_path: Path) -> None:
    clips = {f"{i}.mp4": on_plane(0.1 * i, 0.05 * i) for i in range(6)}
    folder = write_index(tmp_path / "i", clips, shard_size=2)
    now = {f"{i}.mp4": Stat(i + 1, i * 3600 * 10**9) for i in range(6) if i != 3} | {"5.mp4": Stat(99, 0)}
    plan(folder, now, 2)
    collection = open_collection(folder)
    assert collection.pending == 1 and collection.windows == 8
    assert [m.path for m in collection.search(FIRST, everything(collection), 10)] == [f"{i}.mp4" for i in (4, 2, 1, 0)]
    assert collection.clip_number("2.mp4") == 2 and collection.clip_number("3.mp4") is None
    counted = torch.cat([clips[f"{i}.mp4"] for i in (0, 1, 2, 4)])[:, 0]
    best = collection.search(FIRST, everything(collection), 1)[0]
    assert best.score == pytest.approx(float((0.4 - counted.mean()) / counted.std(correction=0)), abs=0.01)


def test_no_index_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no index"):
        open_collection(tmp_path)
    empty = write_index(tmp_path / "i", {"a.mp4": torch.empty(0, 2)})
    with pytest.raises(ConfigError, match="No clip of i could be read"):
        open_collection(empty)
    for kind, sentence in (("safetensors", "00000.safetensors is damaged; delete"), ("parquet", "damaged or missing")):
        damaged = write_index(tmp_path / kind, {"a.mp4": on_plane(0.5)})
        (damaged / f"shard-00000.{kind}").write_bytes(b"damaged")
        with pytest.raises(ConfigError, match=sentence):
            open_collection(damaged)


def test_clusters_and_duplicates() -> None:
    centres = torch.eye(3, 16)
    noise = random_units(60, 16)
    clips = F.normalize(centres.repeat_interleave(torch.tensor([30, 20, 10]), 0) + 0.3 * noise, dim=-1)
    clips[41], clips[44] = clips[40], clips[43]
    clips[42] = F.normalize(clips[40] + 1e-3 * noise[0], dim=0)
    groups = clusters(clips, 3)
    assert [sorted(g.members) for g in groups] == [[*range(30)], [*range(30, 50)], [*range(50, 60)]]
    assert all(g.cosines == sorted(g.cosines, reverse=True) and 0.8 < g.cosines[0] <= 1 for g in groups)
    assert duplicates(clips, groups, 0.9999) == [[40, 41, 42], [43, 44]]
    assert duplicates(clips, groups, -1.0) == [[*range(30)], [*range(30, 50)], [*range(50, 60)]]
    assert len(clusters(clips[:2], 5)) == 2


MEASURE = """
import json, re, sys, time
from pathlib import Path
import numpy as np, torch
from ezclip.collection.search import open_collection
began = time.perf_counter()
collection = open_collection(Path(sys.argv[1]))
opened = time.perf_counter() - began
wanted, times = np.ones(len(collection.paths), bool), []
for seed in range(10):
    query = torch.randn(128, generator=torch.Generator().manual_seed(seed))
    began = time.perf_counter()
    found = collection.search(query, wanted, 20)
    times.append(time.perf_counter() - began)
memory = 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
print(json.dumps({"opened": opened, "first": times[0], "median": sorted(times)[5], "longest": max(times),
                  "memory": memory, "found": [m.path for m in found], "windows": collection.windows}))
"""


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory from /proc")
def test_a_million_windows(tmp_path: Path) -> None:
    """Search takes at most 0.5 s and 1.5 GB on 2 cores and equals brute force in float32."""
    clips = {f"{i % 100:02d}/{i:06d}.mp4": part for i, part in enumerate(random_units(1_000_000, 128).split(4))}
    clips = dict(sorted(clips.items()))
    folder = write_index(tmp_path / "i", clips)
    process = subprocess.run([sys.executable, "-c", MEASURE, folder], capture_output=True, text=True, check=True)
    measured = json.loads(process.stdout)
    print({name: value for name, value in measured.items() if name != "found"})
    rows = torch.cat([load_file(path)["videos"].float() for path in sorted(folder.glob("*.safetensors"))])
    query = torch.randn(128, generator=torch.Generator().manual_seed(9))
    best = (rows @ query).unflatten(0, (-1, 4)).max(dim=1).values
    paths = list(clips)
    assert measured["found"] == [paths[i] for i in best.topk(20).indices.tolist()]
    assert measured["windows"] == 1_000_000 and measured["median"] <= 0.5 and measured["memory"] <= 1.5e9
