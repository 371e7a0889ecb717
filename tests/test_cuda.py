"""Tests that need a GPU; skipped elsewhere."""

import copy
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from ezclip.checkpoints.load import load_model
from ezclip.config import PretrainConfig
from ezclip.data.dataset import Views
from ezclip.data.manifest import Row, labels_of, read_rows
from ezclip.data.tabletop.generate import synthesise
from ezclip.errors import ConfigError, UserError
from ezclip.evaluation.efficiency import Subject
from ezclip.evaluation.embed import Encoder, ViewCount, automatic_size, embed
from ezclip.evaluation.run import Evaluation, evaluate
from ezclip.model.backbone import Backbone
from ezclip.model.ezclip import EZCLIP
from ezclip.model.interface import video_embeddings
from ezclip.predictor import Predictor, choose_device, native_dtype
from ezclip.progress import finish
from ezclip.text.tokens import tokenize
from ezclip.training.device import compile_vision
from ezclip.training.pretrain import pretrain
from ezclip.training.step import Step
from tests.conftest import make_model
from tests.ezclip.training.test_step import CONFIG, TARGETS, TOKENS, VIEWS, assert_close

pytestmark = pytest.mark.cuda
ROOT = Path(__file__).parents[1]
GPU = torch.device("cuda")
LABELS = ["Pushing something", "Pulling something", "Lifting something", "Turning something"]


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Let torch use 1.5 GB of the GPU."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1.5e9 / torch.cuda.get_device_properties(0).total_memory)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def logits(device: str, dtype: torch.dtype) -> Tensor:
    model = load_model("tabletop/ezclip", device=device, dtype=dtype)
    views = torch.randint(0, 256, (4, 8, 3, 96, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    tokens = tokenize(LABELS)[0]
    with torch.inference_mode():
        frames = model.encode_video(model.normalise(views.to(device)))
        return model.logits(frames, model.encode_text(tokens.to(device))).cpu()


@pytest.mark.parametrize("dtype, within", [(torch.float32, 0.01), (torch.float16, 0.15)], ids=["fp32", "fp16"])
def test_logits_are_those_of_a_cpu_in_float32(dtype: torch.dtype, within: float) -> None:
    torch.testing.assert_close(logits("cuda", dtype), logits("cpu", torch.float32), atol=within, rtol=0)


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """124 clips of Tabletop, scored by a CPU in float32."""
    folder = tmp_path_factory.mktemp("tabletop")
    return scored(read_rows(finish(synthesise(folder, clips_per_class=4, split="val", seed=5))), "cpu", torch.float32)


def scored(rows: Sequence[Row], device: str, dtype: torch.dtype) -> Evaluation:
    predictor = Predictor.load("tabletop/ezclip", device=device, dtype=dtype)
    return finish(evaluate(predictor, rows, labels_of(rows)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "dtype, least",
    [(torch.float32, 0.9999), (torch.float16, 0.999), (torch.bfloat16, 0.999)],
    ids=["fp32", "fp16", "bf16"],
)
def test_videos_and_first_classes_are_those_of_a_cpu_in_float32(
    on_cpu: Evaluation, dtype: torch.dtype, least: float
) -> None:
    on_gpu = scored(on_cpu.rows, "cuda", dtype)
    cosines = (video_embeddings(on_gpu.frames) * video_embeddings(on_cpu.frames)).sum(-1)
    assert cosines.min() >= least
    assert (on_gpu.scores.argmax(1) == on_cpu.scores.argmax(1)).float().mean() >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "views"),
    [
        pytest.param("ViT-L-14", ViewCount(4, 3), id="few cores keep up"),
        pytest.param(
            "ViT-B-16-quickgelu",
            ViewCount(1, 1),
            marks=pytest.mark.skipif((os.cpu_count() or 1) < 16, reason="needs 16 cores"),
            id="16 cores",
        ),
    ],
)
def test_embedding_real_clips_keeps_the_gpu_busy(clips: Path, arch: str, views: ViewCount) -> None:
    """It waits at most 10 % of the time for decoders on all cores, after a warm-up pass."""
    model = Subject("random", "ezclip", arch).build(8).to(GPU, native_dtype(GPU))
    predictor = Predictor(model, "random")
    rows = [Row(path, "a clip") for path in sorted(clips.iterdir())]
    list(embed(predictor, rows, views=views))
    encoder = Encoder(predictor, 16)
    parts = list(embed(predictor, rows * 60, views=views, encoder=encoder))
    assert sum(len(part.rows) for part in parts) == 60 * len(rows)
    assert encoder.idle <= 0.1


def test_the_automatic_size_fits() -> None:
    predictor = Predictor.load("tabletop/ezclip", device="cuda")
    size = automatic_size(predictor)
    assert 16 <= size <= 256
    encoder = Encoder(predictor, size)
    encoder.start(list(torch.zeros(size, 1, 8, 3, 96, 96, dtype=torch.uint8)), False)()
    assert encoder.size == size, "no batch was halved"


def test_the_gpu_is_chosen() -> None:
    assert choose_device("auto") == GPU and choose_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(UserError, match="not available"):
        choose_device(f"cuda:{torch.cuda.device_count()}")
    ampere = torch.cuda.get_device_capability() >= (8, 0)
    assert native_dtype(GPU) == (torch.bfloat16 if ampere else torch.float32)
    assert Predictor.load("tabletop/base").device.type == "cuda"


@pytest.mark.usefixtures("little_memory")
def test_a_batch_beyond_the_memory_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor.load("tabletop/ezclip", device="cuda", dtype=torch.float32)
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(0, 256, (8, 1, 8, 3, 96, 96), dtype=torch.uint8, generator=generator)
    monkeypatch.setattr(Views, "__getitem__", lambda _, index: clips[index % 8])
    rows = [Row(Path(f"{i}.mp4"), "waving") for i in range(512)]
    encoder = Encoder(predictor, 512)
    (parts,) = embed(predictor, rows, batch_size=512, encoder=encoder)
    assert encoder.size < 512 and 0 <= encoder.idle < 1
    (few,) = embed(predictor, rows[:8], batch_size=8)
    torch.testing.assert_close(parts.frames, few.frames.repeat(64, 1, 1, 1), atol=2e-3, rtol=1e-3)


@pytest.mark.usefixtures("little_memory")
def test_a_training_batch_beyond_the_memory_is_cut(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(copy.deepcopy(backbone), "ezclip").train().to(GPU)
    views, targets = VIEWS.repeat(512, 1, 1, 1, 1).to(GPU), TARGETS.repeat(512)
    step = Step(model, model, Accelerator(), CONFIG)
    assert step(0, views, TOKENS.to(GPU), targets)["loss"].isfinite() and step.micro_batch < len(views)

    def full(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Step, "_embed", full)
    with pytest.raises(ConfigError, match="Not even one clip"):
        Step(model, model, Accelerator(), CONFIG)(0, views, TOKENS.to(GPU), targets)


def gradients(model: EZCLIP, times: int = 1, **settings: Any) -> dict[str, Tensor]:
    step = Step(model, model, Accelerator(), replace(CONFIG, **settings))
    for number in range(times):  # with CUDA graphs the first ones warm up and record
        model.zero_grad()
        step(number, VIEWS.to(GPU), TOKENS.to(GPU), TARGETS)
    return {name: p.grad.clone() for name, p in model.trainable_parameters().items() if p.grad is not None}


@pytest.mark.slow
@pytest.mark.parametrize("how", [True, "graphs"])
@pytest.mark.parametrize("micro_batch", [4, 2])
def test_compiled_models_have_the_same_gradients(backbone: Backbone, how: Any, micro_batch: int) -> None:
    model = make_model(copy.deepcopy(backbone), "ezclip").train().to(GPU)
    expected = gradients(model, micro_batch=micro_batch)
    compile_vision(model, how)
    compiled = gradients(model, 4, micro_batch=micro_batch, compile=how)
    for name, value in expected.items():
        torch.testing.assert_close(compiled[name], value, atol=1e-4, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}")
    torch.compiler.reset()


@pytest.mark.slow
def test_one_process_of_nccl_has_the_gradients_of_none(backbone: Backbone, tmp_path: Path) -> None:
    script = tmp_path / "nccl.py"
    script.write_text(
        "import sys, torch\n"
        "from accelerate import Accelerator\n"
        "from tests.conftest import TINY, make_model\n"
        "from tests.ezclip.training.test_step import CONFIG, TARGETS, TOKENS, VIEWS\n"
        "from ezclip.model.backbone import build_backbone\n"
        "from ezclip.training.step import Step\n"
        "accelerator = Accelerator()\n"
        "assert torch.distributed.get_backend() == 'nccl'\n"
        "torch.manual_seed(0)\n"
        "model = make_model(build_backbone('tiny', TINY), 'ezclip')\n"
        "wrapped = accelerator.prepare(model)\n"
        "Step(model, wrapped, accelerator, CONFIG)(0, VIEWS.cuda(), TOKENS.cuda(), TARGETS)\n"
        "torch.save({k: p.grad.cpu() for k, p in model.trainable_parameters().items()}, sys.argv[1])\n"
        "torch.distributed.destroy_process_group()\n"
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=1", "--standalone", str(script)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([*launch, str(tmp_path / "g.pt")], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    model = make_model(copy.deepcopy(backbone), "ezclip").to(GPU)
    assert_close(
        {name: gradient.cpu() for name, gradient in gradients(model).items()},
        torch.load(tmp_path / "g.pt", weights_only=True),
    )


@pytest.mark.slow
def test_pretraining_on_a_gpu(tmp_path: Path) -> None:
    summary = finish(pretrain(PretrainConfig(out=str(tmp_path), stills=64, test_stills=32, steps=12, batch_size=16)))
    assert set(summary["zero_shot"]) == {"colour", "shape"}
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 12
