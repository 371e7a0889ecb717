"""Search at its endpoint gives what the command prints, and only on one's own machine."""

import json
from pathlib import Path

import gradio as gr
import pytest

from app.endpoints import endpoint
from app.services import Services
from ezclip.cli import main
from ezclip.collection.index import build
from ezclip.parameters import declared
from ezclip.progress import finish
from ezclip.studies.collection.search import Search


@pytest.fixture
def index(drawn: Path, services: Services, tmp_path: Path) -> Path:
    """Of one drawn clip of each of 31 classes."""
    finish(build(services.predictor("tabletop/ezclip"), drawn, tmp_path, seconds=0))
    return tmp_path


def test_the_command_line_and_the_endpoint_give_the_same(
    index: Path, services: Services, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", str(index), "pushing", "--not", "pulling", "--top", "3", "--device", "cpu", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    call, _ = endpoint(services, Search)
    values = {"index": str(index), "text": "pushing", "opposite": "pulling", "top": 3}
    given = [values.get(one.name) for one in declared(Search)]
    assert call(*given) == told and len(told["moments"]) == 3 and told["not"] == "pulling"
    monkeypatch.setattr(services, "typed", False)  # as where a server is there for others
    with pytest.raises(gr.Error, match="only where the app serves its own machine"):
        call(*given)
