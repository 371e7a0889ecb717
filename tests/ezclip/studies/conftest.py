"""One host for all tests of studies, and two short clips."""

from pathlib import Path

import pytest

from ezclip.studies.host import Host
from tests.conftest import write_video

SAMPLES = sorted((Path(__file__).parents[3] / "assets" / "samples").glob("*.mp4"))


@pytest.fixture(scope="session")
def host() -> Host:
    return Host("cpu")


@pytest.fixture(scope="session")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("studies") / "grey.mp4", count=30)
