"""Downloads of the app's models: jobs that outlive pages, and the list that shows them."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app import html
from app.fetching import Fetching, Job
from app.main import _tabs
from app.services import Services
from app.tabs.models import Suggestion
from ezclip.checkpoints import catalog
from ezclip.checkpoints.gallery import SUGGESTED, find_offer
from ezclip.progress import Progress, finish
from ezclip.studies.analysis import Analyse
from ezclip.studies.host import Host
from tests.conftest import FIXTURES, SOON
from tests.hosts import StandIn, stand_in

OFFICIAL = find_offer("official/zero-shot")
TITLE = OFFICIAL.title


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def hosts() -> Iterator[StandIn]:
    with stand_in() as server:
        server.content.files[OFFICIAL.address] = (FIXTURES / "none_official.pt").read_bytes()
        yield server


def until(ready: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_job_is_cancelled_and_continued(hosts: StandIn) -> None:
    hosts.rate = 400_000.0
    jobs = Fetching(hosts.hosts)
    jobs.get(OFFICIAL)
    jobs.get(OFFICIAL)  # a second page
    job = jobs.jobs[OFFICIAL.name]
    until(lambda: job.step.fraction > 0.2)
    assert "of 2 MB" in html.offers(jobs.jobs) and f"Cancel {TITLE}" in html.offers(jobs.jobs)
    began = time.monotonic()
    jobs.cancel(OFFICIAL)
    until(lambda: not job.running)
    assert time.monotonic() - began < SOON and "Cancelled" in html.offers(jobs.jobs)
    hosts.rate, hosts.seen = 0.0, []
    jobs.get(OFFICIAL)
    until(lambda: not jobs.running())
    assert jobs.fetched == [OFFICIAL.name] and OFFICIAL.is_local() and f"Get {TITLE}" not in html.offers(jobs.jobs)
    assert len([h for _, _, h in hosts.seen if "Range" in h]) == 1


def test_a_failure_is_a_sentence_beside_the_way_of_a_browser(hosts: StandIn) -> None:
    hosts.status = 403
    jobs = Fetching(hosts.hosts)
    jobs.get(OFFICIAL)
    until(lambda: not jobs.running(), 5)
    assert "daily limit" in jobs.jobs[OFFICIAL.name].error and OFFICIAL.page in html.offers(jobs.jobs)
    jobs.adopt(OFFICIAL, FIXTURES / "none_official.pt")
    until(lambda: not jobs.running())
    assert OFFICIAL.is_local()


def test_the_list_escapes_and_offers_all_models() -> None:
    page = html.offers({OFFICIAL.name: Job(Progress(0.5, "<b>half"), running=True)})
    assert "<b>half" not in page and "width:50%" in page
    assert page.count('data-action="get"') == 16 + 5 + 4 + 2 + 2 - 1
    assert "commercial use: no" in page


def test_only_this_machines_users_fetch(services: Services) -> None:
    closed = Services(device="cpu")
    assert "models" in _tabs(services) and "models" not in _tabs(closed)
    closed.close()


def test_real_clips_lead_to_a_real_model(services: Services, movie: Path) -> None:
    real = finish(Analyse(str(movie), "a, b").run(services))
    drawn = finish(Analyse(str(next(Path(__file__).parents[2].glob("assets/samples/*.mp4"))), "a, b").run(services))
    line = Suggestion(services)
    assert "These models were trained on drawn scenes only." in line.show(real, None)[0]
    assert "Get CLIP B/32, 605 MB, MIT" in line.show(real, None)[0] and not find_offer(SUGGESTED).is_local()
    assert line.show(drawn, None) == [""]


def test_models_are_listed_while_others_use_them(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    services = Services(device="cpu")
    first = services.predictor(services.default)  # moves to the end of the loaded models when used again
    services.predictor(services.baseline)
    used = []

    def meanwhile(name: str) -> bool:
        used.append(Host.predictor(services, services.default) is first)
        return True

    monkeypatch.setattr("app.services._exists", meanwhile)
    assert {services.default, services.baseline} <= set(services.model_names()) and used == [True, True]
    services.close()


def test_a_loaded_model_whose_folder_was_removed_is_no_longer_listed(here: Path) -> None:
    shutil.copytree(catalog.ROOT / "tabletop", here / "checkpoints" / "own")
    services = Services(device="cpu")
    services.predictor("own/base")
    assert "own/base" in services.model_names()
    shutil.rmtree(here / "checkpoints" / "own")
    assert "own/base" not in services.model_names()
    assert [services.card(name)["name"] for name in services.model_names()] == services.model_names()
