"""Clips for tests of evaluations, one of them unreadable, and the command line's JSON."""

import json
import shutil
from pathlib import Path

import pytest

from ezclip.cli import main
from ezclip.data.manifest import Row, read_rows

ROWS = [Row(Path(f"{i}.mp4"), "waving") for i in range(16)]


@pytest.fixture(scope="module")
def manifest(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of the drawn clips and an unreadable one."""
    path = shutil.copytree(drawn.parent, tmp_path_factory.mktemp("embedding") / "val") / drawn.name
    (path.parent / "bad.mp4").write_text("not a video")
    label = read_rows(path)[0].label
    with path.open("a") as file:
        file.write(json.dumps({"path": "bad.mp4", "label": label}) + "\n")
    return path


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main([*arguments, "--device", "cpu", "--json"]) == 0
    return json.loads(capsys.readouterr().out)
