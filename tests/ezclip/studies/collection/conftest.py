"""An index of drawn clips, and a search in it."""

from pathlib import Path
from typing import Any

import pytest

from ezclip.collection.index import build
from ezclip.progress import finish
from ezclip.studies.collection.search import Search, SearchResult
from ezclip.studies.host import Host


@pytest.fixture(scope="session")
def index(drawn: Path, host: Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of one drawn clip of each of 31 classes."""
    out = tmp_path_factory.mktemp("index") / "drawn.index"
    finish(build(host.predictor("tabletop/ezclip"), drawn, out, seconds=0))
    return out


def search(host: Host, index: Path, text: str = "", **more: Any) -> SearchResult:
    return finish(Search(str(index), text, **more).run(host))
