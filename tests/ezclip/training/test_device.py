"""Effects of the speed options: compilation, CUDA graphs, TF32."""

import copy
import platform
import subprocess
import sys
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from ezclip.model.backbone import Backbone
from ezclip.training.device import compile_vision, start_accelerator
from tests.conftest import make_model
from tests.ezclip.training.test_step import CONFIG, assert_close, gradients

MODES: list[Any] = [(False, []), (True, [None]), ("graphs", ["reduce-overhead"])]


@pytest.mark.parametrize(("how", "modes"), MODES)
def test_the_switch_gives_the_mode_of_compilation(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch, how: Any, modes: list[str | None]
) -> None:
    calls: list[tuple[Any, Any]] = []

    def compile(call: Any, mode: str | None = None) -> Any:
        calls.append((call.__self__, mode))
        return call

    monkeypatch.setattr(torch, "compile", compile)
    model = make_model(copy.deepcopy(backbone), "ezclip")
    compile_vision(model, how)
    assert calls == [(model.vision, mode) for mode in modes]


@pytest.mark.slow
def test_a_compiled_tower_has_the_gradients_of_a_plain_one(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced as for a GPU, run without GPU kernels."""
    model = make_model(copy.deepcopy(backbone), "ezclip")
    expected = gradients(model, CONFIG)[1]
    backend = CompileCounterWithBackend("aot_eager")
    compiled = partial(torch.compile, backend=backend)
    monkeypatch.setattr(torch, "compile", lambda call, mode: compiled(call))
    compile_vision(model, True)
    assert_close(gradients(model, CONFIG)[1], expected)
    assert backend.frame_count > 0
    torch.compiler.reset()


@pytest.mark.parametrize(("kind", "precision"), [("cuda", "high"), ("cpu", "highest"), ("mps", "highest")])
def test_products_in_float32_are_tf32_on_a_gpu_alone(
    monkeypatch: pytest.MonkeyPatch, kind: str, precision: str
) -> None:
    device = torch.device(kind)
    monkeypatch.setattr("ezclip.training.device.Accelerator", lambda **_: SimpleNamespace(device=device))
    assert start_accelerator("fp32").device == device
    assert torch.get_float32_matmul_precision() == precision


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has this setting")
def test_memory_of_large_tensors_is_reused() -> None:
    """Page faults of repeated passes over 40 MB, before and after the setting, in a process of its own."""
    program = """
import resource, torch
from ezclip.training.device import keep_freed_memory
x = torch.ones(10_000_000, requires_grad=True)
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    (x * 2).exp().sum().backward()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(sum(faults() for _ in range(10)))
keep_freed_memory()
for _ in range(10):  # the heap grows in the first passes, and now and then by one tensor later
    faults()
print(sum(faults() for _ in range(10)))
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    default, kept = map(int, printed.split())
    assert kept < default / 4


@pytest.mark.cuda
def test_products_in_float32_are_tf32_here() -> None:
    """TF32 keeps ten bits of each factor, so 1 + 2^-13 is read as 1."""
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("this GPU has no TF32")
    device = start_accelerator("fp32").device
    factor = torch.full((256, 256), 1 + 2**-13, device=device)
    assert torch.equal(factor @ torch.eye(256, device=device), torch.ones_like(factor))
