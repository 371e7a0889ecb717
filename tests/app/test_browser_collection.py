"""The page's collections in a browser: a planted clip among 500 is found, played, opened and tagged; indexing."""

import csv
import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from playwright.sync_api import expect

from app.services import Services
from ezclip.collection import index as indexing
from ezclip.collection import shards
from ezclip.data.manifest import read_rows
from ezclip.model.interface import video_embeddings
from ezclip.types import Clip
from ezclip.video.read import read_clip
from ezclip.video.sampling import segment_centres
from tests.app.pages import FAINT, Opener, fits
from tests.conftest import write_video
from tests.ezclip.collection.materials import write_index

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.filterwarnings("ignore")]

SOUGHT, REVERSE = "Moving something up", "Moving something down"
OTHERS = (REVERSE, "Holding something", "Putting something upright on the table")
PLANTED = "found/123.mp4"


@pytest.fixture
def index(drawn: Path, services: Services, tmp_path: Path) -> Path:
    """An index of 500 links to four drawn videos; 499 have embeddings near those of other classes."""
    predictor = services.predictor("tabletop/ezclip")
    drawings = {row.label: row.path for row in read_rows(drawn)}
    videos: dict[str, torch.Tensor] = {}
    for label in (SOUGHT, *OTHERS):
        clip = read_clip(drawings[label], lambda total: segment_centres(total, predictor.model.num_frames))
        videos[label] = video_embeddings(predictor.encode(clip).frames).cpu()
    clips, noise = {}, torch.randn(500, 1, videos[SOUGHT].shape[1], generator=torch.Generator().manual_seed(0))
    for i in range(500):
        label = SOUGHT if i == 123 else OTHERS[i % 3]
        path = tmp_path / "films" / (PLANTED if i == 123 else f"{i % 9}/{i:03d}.mp4")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(drawings[label])
        clips[path.relative_to(tmp_path / "films").as_posix()] = F.normalize(videos[label] + 0.02 * noise[i], dim=-1)
    header = {"model": predictor.name, "weights": predictor.identity.weights, "source": "../films"}
    return write_index(tmp_path / "films.index", dict(sorted(clips.items())), **header)


def test_a_planted_clip_is_found_among_500(open_page: Opener, index: Path, tmp_path: Path) -> None:
    page = open_page("?tab=collection&__theme=dark", viewport={"width": 1366, "height": 768})
    page.locator("#place textarea, #place input").first.fill(str(tmp_path / "films"))
    page.locator("#find-text textarea, #find-text input").first.fill(SOUGHT)
    page.locator("#find-run").click()
    cards = page.locator("#moments .ez-clip")
    expect(cards).to_have_count(20)
    expect(cards.filter(has_text=PLANTED)).to_have_count(0)  # "Holding something" resembles the text more
    page.locator("#find-not textarea, #find-not input").first.fill(REVERSE)
    page.locator("#find-run").click()
    expect(cards.first).to_contain_text(PLANTED)
    expect(page.locator("#moments .ez-film[style*=data]")).to_have_count(20)
    cards.first.hover()
    assert cards.first.locator(".ez-film").evaluate("film => getComputedStyle(film).animationName") == "ez-film"
    assert fits(page) and not page.evaluate(FAINT)
    cards.first.locator("input").check()
    page.locator("#tag-name textarea, #tag-name input").first.fill("up")
    page.locator("#tag").click()
    expect(cards.first.locator(".ez-tag")).to_have_text("up")
    expect(page.locator("#moments .ez-film[style*=data]")).to_have_count(20)
    for button, suffix in (("csv", "csv"), ("manifest", "jsonl")):
        with page.expect_download() as download:
            page.locator(f"#collection-{button}").click()
        download.value.save_as(tmp_path / f"found.{suffix}")
    with (tmp_path / "found.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20 and (rows[0]["path"], rows[0]["tag"], rows[1]["tag"]) == (PLANTED, "up", "")
    (row,) = read_rows(tmp_path / "found.jsonl")
    assert (row.path.resolve(), row.label) == ((tmp_path / "films" / PLANTED).resolve(), "up")
    cards.first.locator("[data-row]").click()
    expect(page.locator("#collection-clip")).to_contain_text(f"tabletop/ezclip says “{SOUGHT}”")
    page.locator("#collection-stage canvas").first.wait_for()
    page.get_by_text("Filters, clusters and duplicates").click()
    page.locator("#cluster-count input").fill("3")
    page.locator("#cluster-run").click()
    expect(page.locator("#moments section").first).to_contain_text("Cluster 1: 1")
    expect(page.locator("#moments section")).to_have_count(3)
    cards.nth(1).get_by_text("like this").click()
    expect(page.locator("#moments b").first).to_contain_text("like")
    expect(cards.filter(has_text="up")).to_have_count(0)
    (tmp_path / "new").mkdir()
    write_video(tmp_path / "new" / "a.mp4")
    page.locator("#place textarea, #place input").first.fill(str(tmp_path / "new"))
    page.locator("#index-run").click()
    expect(page.locator("#index-status")).to_contain_text("new.index: 1 videos, 1 windows")


def test_indexing_shows_progress_is_cancelled_and_continued(
    open_page: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films, out = tmp_path / "films", tmp_path / "films.index"
    films.mkdir()
    first = write_video(films / "00.mp4")
    for i in range(1, 32):
        (films / f"{i:02d}.mp4").symlink_to(first)
    windows = shards._windows

    def slow(*arguments: Any) -> Iterator[Clip]:
        time.sleep(0.2)
        yield from windows(*arguments)

    monkeypatch.setattr(indexing, "build", partial(indexing.build, shard_size=4))
    monkeypatch.setattr(shards, "_windows", slow)
    page = open_page("?tab=collection")
    status = page.locator("#index-status")
    page.locator("#place textarea, #place input").first.fill(str(films))
    page.locator("#index-run").click()
    expect(status.locator(".ez-progress .ez-bar")).to_be_visible()
    expect(status).to_contain_text(re.compile(r"8 of 8 shards left: shard \d"))
    expect(status).to_contain_text("shard 1")
    page.locator("#index-cancel").click()
    expect(status).to_contain_text("Cancelled. Finished shards are kept: press Index to go on.")
    page.wait_for_timeout(1_000)  # longer than a shard takes
    modified = {path.name: path.stat().st_mtime_ns for path in out.glob("shard-*.safetensors")}
    assert 1 <= len(modified) < 8 and not list(out.glob("*.claim"))
    monkeypatch.setattr(shards, "_windows", windows)
    page.locator("#index-run").click()
    expect(status).to_contain_text("films.index: 32 videos, 32 windows")
    assert len(list(out.glob("shard-*.safetensors"))) == 8
    assert {name: (out / name).stat().st_mtime_ns for name in modified} == modified
