"""The import order of DESIGN: a package imports only from lower ones, siblings never from each other."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = [
    {"errors"},
    {"types"},
    {"config"},
    {"video", "text", "model", "figures"},
    {"checkpoints"},
    {"predictor"},
    {"data"},
    {"explanation"},
    {"evaluation"},
    {"training"},
    {"cli"},
    {"app"},
]
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}


def package_of(module: str) -> str | None:
    """Name of the layer that a dotted module belongs to; None for others and for ``ezclip`` itself."""
    parts = module.split(".")
    if parts[0] == "app":
        return "app"
    return parts[1] if parts[0] == "ezclip" and len(parts) > 1 else None


def imports(path: Path, module: str) -> list[str]:
    """Dotted modules that a file imports: absolute, relative, and ``from ezclip import x``."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = module.split(".")[: -node.level] if path.name != "__init__.py" else module.split(".")
                base = ".".join([*parent, *([node.module] if node.module else [])])
            found += [f"{base}.{alias.name}" for alias in node.names] + [base]
    return found


def violations(path: Path, module: str) -> list[str]:
    own = package_of(module)
    wrong = []
    for target in imports(path, module):
        other = package_of(target)
        if other is None or other not in RANK or own is None or own == other:
            continue
        if RANK[other] >= RANK[own]:
            wrong.append(f"{module} ({own}) imports {target} ({other})")
    return wrong


def modules() -> list[tuple[Path, str]]:
    files = [*ROOT.glob("ezclip/**/*.py"), *ROOT.glob("app/**/*.py")]
    return [(f, ".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")) for f in files]


def test_imports_go_down_only() -> None:
    assert [
        v for path, module in modules() if module not in ("ezclip", "ezclip.__main__") for v in violations(path, module)
    ] == []


def test_every_package_has_a_place() -> None:
    layers = {package_of(module) for _, module in modules()} - {None, "__main__"}
    assert layers == set(RANK)


@pytest.mark.parametrize(
    "line",
    [
        "from ezclip.training.loop import train",
        "import ezclip.cli",
        "from ..training import loop",
        "from ezclip import training",
        "from ezclip.video import decode",
    ],
)
def test_the_check_finds_a_wrong_arrow(tmp_path: Path, line: str) -> None:
    file = tmp_path / "bad.py"
    file.write_text(line + "\n")
    assert violations(file, "ezclip.text.bad")
