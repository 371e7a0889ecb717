"""The shipped notebook runs, and its output is a stage with its data inside."""

import re
from html import unescape
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "docs" / "ezclip.ipynb"


@pytest.mark.slow
def test_the_notebook_shows_a_stage() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOK.parents[1])}}).execute()
    stage, printed = (cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code")
    page = unescape(stage[-1]["data"]["text/html"])
    assert "ezStage(" in page and '"reversed": [{"heat"' in page
    assert not re.search(r'(src|href)="?https?:', page)
    assert "sees order" in printed[-1]["text"]
