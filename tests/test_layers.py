"""The import order of DESIGN: a package imports only from lower ones, siblings never from each other."""

import ast
import gc
from pathlib import Path

import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).parents[1]
ORDER = [
    {"errors"},
    {"types"},
    {"parameters"},
    {"files", "progress"},
    {"config"},
    {"video", "text", "figures"},
    {"model"},
    {"checkpoints"},
    {"predictor"},
    {"data"},
    {"explanation"},
    {"evaluation"},
    {"collection"},
    {"studies", "training"},
    {"api", "reproduction"},
    {"cli"},
    {"app"},
]
MOST_MODULES = 14  # of a folder
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}


def package_of(module: str) -> str | None:
    """Name of the layer that a dotted module belongs to; None for others and for ``ezclip`` itself."""
    parts = module.split(".")
    if parts[0] == "app":
        return "app"
    return parts[1] if parts[0] == "ezclip" and len(parts) > 1 else None


def imports(path: Path, module: str) -> list[str]:
    """Dotted modules that a file imports: absolute, relative, and ``from ezclip import x``."""
    names = []
    gc.disable()  # garbage of other tests, collected in the middle of a parse, can crash Python 3.11
    try:
        tree = ast.parse(path.read_text())
    finally:
        gc.enable()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = module.split(".")[: -node.level] if path.name != "__init__.py" else module.split(".")
                base = ".".join([*parent, *([node.module] if node.module else [])])
            names += [f"{base}.{alias.name}" for alias in node.names] + [base]
    return names


def violations(path: Path, module: str) -> list[str]:
    package = package_of(module)
    wrong = []
    for target in imports(path, module):
        other = package_of(target)
        if other is None or other not in RANK or package is None or package == other:
            continue
        if RANK[other] >= RANK[package]:
            wrong.append(f"{module} ({package}) imports {target} ({other})")
    return wrong


def modules() -> list[tuple[Path, str]]:
    files = [*ROOT.glob("ezclip/**/*.py"), *ROOT.glob("app/**/*.py")]
    return [(f, ".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")) for f in files]


def test_imports_go_down_only() -> None:
    assert [
        v for path, module in modules() if module not in ("ezclip", "ezclip.__main__") for v in violations(path, module)
    ] == []


def arrows() -> dict[str, set[str]]:
    """Module -> the modules of this project that it imports, including lazy and type-only imports."""
    names = {module for _, module in modules()}
    graph: dict[str, set[str]] = {}
    for path, module in modules():
        targets = set(imports(path, module))
        packages = {target for target in targets if any(other.startswith(f"{target}.") for other in names)}
        graph[module] = {target for target in targets & names if target not in packages and target != module}
    return graph


def circles(imports_of: dict[str, set[str]]) -> list[list[str]]:
    """Modules that import one another, by Tarjan's strongly connected components."""
    graph = csr_matrix(([True] * sum(map(len, imports_of.values())), _pairs(imports_of)), shape=(len(imports_of),) * 2)
    _, component = connected_components(graph, directed=True, connection="strong")
    members: dict[int, list[str]] = {}
    for module, number in zip(imports_of, component.tolist(), strict=True):
        members.setdefault(number, []).append(module)
    return [group for group in members.values() if len(group) > 1]


def _pairs(imports_of: dict[str, set[str]]) -> tuple[list[int], list[int]]:
    place = {module: i for i, module in enumerate(imports_of)}
    pairs = [(place[module], place[target]) for module, targets in imports_of.items() for target in targets]
    return [a for a, _ in pairs], [b for _, b in pairs]


def test_no_circle_of_files() -> None:
    graph = {module: targets for module, targets in arrows().items() if module not in ("ezclip", "app")}
    inner = {module: {t for t in targets if t in graph} for module, targets in graph.items()}
    assert circles(inner) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_no_folder_is_crowded() -> None:
    folders = {path.parent for path, _ in modules()}
    assert {str(f): n for f in folders if (n := len(list(f.glob("*.py")))) > MOST_MODULES} == {}


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
