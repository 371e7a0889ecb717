"""The page's list of models in a browser, against a stand-in for the hosts."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
from huggingface_hub import constants
from playwright.sync_api import expect

from app.services import Services
from docs.make_screenshots import open_tab
from ezclip.checkpoints import gallery
from ezclip.checkpoints.gallery import SUGGESTED, find_offer
from tests.app.pages import FAINT, Opener, advanced, fits, upload
from tests.conftest import TINY
from tests.ezclip.checkpoints.test_mote import written
from tests.hosts import WEIGHTS, StandIn, official_file, stand_in, tiny_clip
from tests.towers import towers

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OFFICIAL = find_offer("official/zero-shot")
GITHUB = find_offer("mote/MoTE_B16")
HUB = find_offer(SUGGESTED)


@pytest.fixture
def hosts(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with stand_in() as server:
        server.content.files[OFFICIAL.address] = official_file(tmp_path)
        monkeypatch.setattr(services.fetching, "hosts", server.hosts)
        monkeypatch.setattr(services.fetching, "jobs", {})
        yield server


def test_a_download_survives_a_reload_is_cancelled_and_continued(open_page: Opener, hosts: StandIn) -> None:
    hosts.rate = 500_000.0
    page = open_page("?tab=models")
    get = page.get_by_role("button", name=f"Get {OFFICIAL.title}", exact=True)
    cancel = page.get_by_role("button", name=f"Cancel {OFFICIAL.title}", exact=True)
    get.click()
    expect(page.locator("#offers [role=status]")).to_contain_text("MB/s")
    page.reload()
    expect(page.locator("#offers [role=status]")).to_contain_text("MB/s")
    assert len([path for _, path, _ in hosts.seen if "/download" in path]) == 2, "asked once and fetched once"
    cancel.click()
    expect(page.locator("#offers")).to_contain_text("Cancelled; the partial download is kept")
    hosts.rate = 0.0
    get.click()
    row = page.locator("#offers tr", has_text=OFFICIAL.name)
    expect(row).to_contain_text("On this machine")
    assert any("Range" in headers for _, _, headers in hosts.seen)
    advanced(page)
    expect(page.locator("#model input")).to_have_value(OFFICIAL.name)


def test_a_model_of_the_hub_is_chosen_and_listed(open_page: Opener, services: Services, hosts: StandIn) -> None:
    hosts.content.files[WEIGHTS] = b"weights"
    page = open_page("?tab=models")
    advanced(page)
    expect(page.locator("#model input")).to_have_value(services.default)
    page.get_by_role("button", name=f"Get {HUB.title}", exact=True).click()
    expect(page.locator("#offers tr", has_text=HUB.name)).to_contain_text("On this machine")
    expect(page.locator("#model input")).to_have_value(HUB.name)
    page.locator("#baseline input").click()
    expect(page.get_by_role("option", name=HUB.name)).to_be_visible()
    again = open_page("?tab=embeddings")
    advanced(again)
    expect(again.locator("#model input")).to_have_value(services.default)  # earlier models are only offered
    again.locator("#frames-model input").click()
    expect(again.get_by_role("option", name=HUB.name)).to_be_visible()


def test_a_release_of_github_comes_with_the_clip_that_it_is_built_on(
    open_page: Opener, hosts: StandIn, tmp_path: Path, movie: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download interrupted half-way, resumed, converted and used."""
    base = replace(HUB, name="clip:tiny/standin", address="org/tiny", mb=None)
    monkeypatch.setattr(gallery, "offers", lambda: (base, replace(GITHUB, base=base.name), HUB))
    written(tmp_path / GITHUB.files[0], sizes=TINY)
    data = (tmp_path / GITHUB.files[0]).read_bytes()
    hosts.content.files |= {WEIGHTS: tiny_clip(tmp_path, monkeypatch), GITHUB.files[0]: data}
    hosts.content.cuts = [1.0, 0.5]
    page = open_page("?" + urlencode({"tab": "models", "labels": "waving, lifting, running, falling, turning"}))
    page.get_by_role("button", name=f"Get {GITHUB.title}", exact=True).click()
    expect(page.locator("#offers tr", has_text=GITHUB.name)).to_contain_text("On this machine")
    assert any(path.startswith(f"/{GITHUB.address}/") for _, path, _ in hosts.seen)
    assert f"bytes={len(data) // 2}-" in [headers.get("Range") for _, _, headers in hosts.content.seen]
    advanced(page)
    expect(page.locator("#model input")).to_have_value(GITHUB.name)
    upload(page, movie)
    expect(page.locator("#ranking")).to_contain_text("waving")


def test_a_failure_stands_beside_the_drop_zone(open_page: Opener, hosts: StandIn, tmp_path: Path) -> None:
    hosts.status = 403
    page = open_page("?tab=models", viewport={"width": 393, "height": 851})
    page.get_by_role("button", name=f"Get {OFFICIAL.title}", exact=True).click()
    expect(page.locator("#offers .ez-warning")).to_contain_text("daily limit")
    assert fits(page) and not page.evaluate(FAINT)
    page.get_by_text("Use a file that you downloaded").click()
    page.locator("#offer-of-file input").click()
    page.get_by_role("option", name=OFFICIAL.name).click()
    small = shutil.copy(Path(__file__).parents[1] / "fixtures" / "none_official.pt", tmp_path / "mine.pt")
    page.locator("#offer-file input[type=file]").set_input_files(small)
    expect(page.locator("#offer-file")).to_contain_text("mine")
    page.get_by_role("button", name="Use this file").click()
    expect(page.locator("#offers tr", has_text=OFFICIAL.name)).to_contain_text("On this machine")


def test_a_real_clip_leads_to_the_list(open_page: Opener, hosts: StandIn, movie: Path) -> None:
    page = open_page()
    upload(page, movie)
    page.get_by_role("button", name="Get CLIP B/32, 605 MB, MIT").click()
    expect(page.locator("#offers")).to_be_visible()
    assert "tab=models" in page.url
    assert hosts.seen == []  # this fetches nothing


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["siglip", "pe"])
def test_a_model_that_is_not_ez_clip(open_page: Opener, movie: Path, tmp_path: Path, kind: str) -> None:
    """It predicts, embeds and is tested for motion; an unavailable map is absent with the reason."""
    name = towers(tmp_path)[kind]
    page = open_page("?" + urlencode({"model": name, "labels": "waving, lifting"}))
    upload(page, movie)
    expect(page.locator("#ranking")).to_contain_text("waving")
    advanced(page)
    page.locator("#method input").click()
    page.get_by_role("option", name="LeGrad").click()
    expect(page.get_by_text("LeGrad (of the label) is not available for this model").first).to_be_visible(
        timeout=30_000
    )
    open_tab(page, "motion")
    page.locator("#motion-run").click()
    expect(page.locator("#motion-result")).to_contain_text("does not see the order of the frames")
    open_tab(page, "embeddings")
    page.locator("#frames-run").click()
    expect(page.locator("#plane svg.ez-plane")).to_have_count(2)
