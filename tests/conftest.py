"""Data that several tests share: real clips, parity fixtures, odd videos, tiny models."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("MPLBACKEND", "agg")
os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="uploads-")  # one per worker: tests count its contents
if "PYTEST_XDIST_WORKER" in os.environ:  # two processes share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import av
import hypothesis  # noqa: F401  (imported late, deep in other imports, it can crash Python 3.11)
import numpy as np
import pytest
import torch

from ezclip.data.tabletop.generate import synthesise
from ezclip.model.backbone import Backbone, build_backbone
from ezclip.model.builders import build_ezclip
from ezclip.model.ezclip import EZCLIP
from ezclip.progress import finish
from ezclip.types import Variant

FIXTURES = Path(__file__).parent / "fixtures"
SOON = 15.0  # seconds in which a busy machine does what takes under 2 on a quiet one (docs/RELIABILITY.md)
TINY = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 3, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2},
}


def pytest_configure() -> None:
    """Child processes must receive Ctrl-C, which shells disable for background jobs."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["GRADIO_TEMP_DIR"], ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="a skipped test is a failure")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked ``soak`` run only where -m names them, those marked ``cuda`` only on a GPU.

    Without a GPU they are skipped, and under --no-skips left out.
    """
    left = [] if "soak" in config.option.markexpr else [item for item in items if item.get_closest_marker("soak")]
    of_gpu = [] if torch.cuda.is_available() else [item for item in items if item.get_closest_marker("cuda")]
    if config.getoption("--no-skips"):
        left += of_gpu
    for item in of_gpu:
        item.add_marker(pytest.mark.skip(reason="there is no NVIDIA GPU here"))
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


@pytest.fixture(autouse=True)
def no_accelerator_left() -> Iterator[None]:
    """Accelerate keeps precision and device for the life of a process, torch that of products; reset both."""
    yield
    torch.set_float32_matmul_precision("highest")
    if "accelerate.state" in sys.modules:
        sys.modules["accelerate.state"].AcceleratorState._reset_state(reset_partial_state=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    outcome = yield
    report = outcome.get_result()
    if report.skipped and item.config.getoption("--no-skips"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped: {report.longrepr}"


def run_in_two_processes(script: Path, argument: Path) -> None:
    """Run a script with one argument under torch.distributed.run."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    root = Path(__file__).parents[1]
    process = subprocess.run(
        [*launch, str(script), str(argument)], capture_output=True, text=True, cwd=root, timeout=240,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr


def external(name: str) -> Path:
    """A file of the external test data; skips the test if it is missing."""
    root = os.environ.get("EZCLIP_TEST_DATA")
    if not root:
        pytest.skip("EZCLIP_TEST_DATA is not set: real clips and the large fixture are elsewhere")
    path = Path(root) / name
    assert path.exists(), f"EZCLIP_TEST_DATA has no {name}"
    return path


@pytest.fixture(scope="session")
def clips() -> Path:
    return external("clips")


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of one Tabletop clip of each class, with masks; tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("drawn")
    return finish(synthesise(folder, clips_per_class=1, split="val", seed=5, masks=True))


@pytest.fixture(scope="session")
def backbone() -> Backbone:
    torch.manual_seed(0)
    return build_backbone("tiny", TINY)


def make_model(backbone: Backbone, variant: Variant, *, T: int = 8, depth: str = "deep", scale: float = 0.3) -> EZCLIP:
    """A tiny model whose adapters and prompts are not at their start values."""
    torch.manual_seed(1)
    model = build_ezclip(backbone, variant, num_frames=T, prompt_depth=depth).eval()
    with torch.no_grad():
        for parameter in model.trainable_parameters().values():
            parameter.normal_(std=scale)
    return model


@pytest.fixture(scope="session")
def pixels() -> torch.Tensor:
    """Two videos of 8 frames for the tiny models, (2, 8, 3, 32, 32)."""
    return torch.randn(2, 8, 3, 32, 32, generator=torch.Generator().manual_seed(3))


def write_video(
    path: Path,
    *,
    count: int = 24,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate: int = 12,
    times: list[int] | None = None,
    options: dict[str, str] | None = None,
    format: str | None = None,
) -> Path:
    """A video whose frame i is grey level 10 * (i % 25), with a brighter left half to tell the sides apart."""
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        for i in range(count):
            image = np.full((size[1], size[0], 3), 10 * (i % 25), np.uint8)
            image[:, : size[0] // 4] = 255
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = times[i] if times else i
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def assert_same(first: Any, second: Any, within: float = 0.02) -> None:
    """Equal but for bfloat16, whose sums depend on the other clips of a batch."""
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        first, second = list(first.values()), list(second.values())
    if isinstance(first, list):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_same(one, other, within)
    else:
        assert first == (pytest.approx(second, abs=within) if isinstance(first, float) else second)
