"""Methods and measures cite their source, and the README names all of them."""

from pathlib import Path

from ezclip.data.tabletop.static_bias import VERSIONS
from ezclip.evaluation.evidence import MEANING
from ezclip.explanation.methods import METHODS

README = (Path(__file__).parents[3] / "README.md").read_text("utf-8")


def test_the_readme_names_every_map_with_its_source() -> None:
    for name, method in METHODS.items():
        assert method.source and method.description.endswith(f" ({method.source}).")
        (row,) = (line for line in README.splitlines() if line.startswith(f"| `--method {name}` |"))
        assert row.endswith(f"| {method.source} |")


def test_the_readme_names_every_measure() -> None:
    assert all(f"`{name}`" in README for name in {*MEANING, *VERSIONS} - {"original"})
