"""Maps and measures cite their source, and docs/MAPS.md and the README name all of them."""

from pathlib import Path

from ezclip.data.tabletop.static_bias import VERSIONS
from ezclip.evaluation.evidence import MEANING
from ezclip.explanation.methods import METHODS

ROOT = Path(__file__).parents[3]
README, MAPS = ((ROOT / name).read_text("utf-8") for name in ("README.md", "docs/MAPS.md"))


def test_the_documents_name_every_map_with_its_source() -> None:
    for name, method in METHODS.items():
        assert method.source and method.description.endswith(f" ({method.source}).")
        (row,) = (line for line in MAPS.splitlines() if line.startswith(f"| `{name}` |"))
        assert row.endswith(f"| {method.source} |")


def test_the_readme_names_every_measure() -> None:
    assert all(f"`{name}`" in README for name in {*MEANING, *VERSIONS} - {"original"})
