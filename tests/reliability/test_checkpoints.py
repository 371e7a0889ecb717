"""Tests 23 to 27 of docs/RELIABILITY.md: model folders and official files."""

from __future__ import annotations

import io
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from ezclip.checkpoints.catalog import ADAPTER, BACKBONE, CONFIG
from ezclip.checkpoints.convert import load_official
from ezclip.checkpoints.load import load_model
from ezclip.checkpoints.store import save_backbone, save_model
from ezclip.errors import CheckpointError
from ezclip.model.backbone import Backbone, build_backbone
from ezclip.model.builders import build_ezclip
from tests.conftest import FIXTURES, SOON, make_model

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, backbone: Backbone) -> Path:
    save_backbone(backbone, tmp_path / BACKBONE)
    save_model(make_model(backbone, "ezclip"), backbone, tmp_path / "ezclip", summary={"preset": "paper"})
    return tmp_path / "ezclip"


def gadgets(canary: Path) -> Iterator[bytes]:
    """Pickles that would create ``canary`` if they were executed."""
    calls: list[tuple[Callable, tuple]] = [
        (os.system, (f"touch {canary}",)),
        (os.mkdir, (str(canary),)),
        (open, (str(canary), "w")),
        (exec, (f"open({str(canary)!r}, 'w')",)),
        (eval, (f"open({str(canary)!r}, 'w')",)),
        (subprocess.check_call, (["touch", str(canary)],)),
        (Path.touch, (canary,)),
        (shutil.copy, ("/etc/hostname", str(canary))),
        (os.link, ("/etc/hostname", str(canary))),
        (compile, ("1", "x", "eval")),
    ]
    for function, arguments in calls:

        class Gadget:
            call = (function, arguments)

            def __reduce__(self):  # type: ignore[no-untyped-def]
                return self.call

        yield pickle.dumps(Gadget())
        for state in ({"model_state_dict": Gadget()}, [Gadget()]):
            saved = io.BytesIO()
            torch.save(state, saved)
            yield saved.getvalue()


@pytest.mark.slow
def test_23_pickles_are_not_executed(tmp_path: Path, folder: Path) -> None:
    canary, zipped = tmp_path / "canary", tmp_path / "bomb.pt"
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + bytes(200_000_000))
    saved = io.BytesIO()
    torch.save({"a": torch.zeros(10)}, saved)
    contents = [*gadgets(canary), zipped.read_bytes(), saved.getvalue()[:200]]
    for i, content in enumerate(contents):
        for name, load in ((f"{i}.pt", load_official), (f"{i}.pt2", load_official), (ADAPTER, None)):
            path = (folder if load is None else tmp_path) / name
            path.write_bytes(content)
            began = time.monotonic()
            with pytest.raises(CheckpointError):
                load(path) if load else load_model(folder)
            assert time.monotonic() - began < SOON
    assert not canary.exists()


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Same names and same bits, although the bytes of a file's header may differ."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
@pytest.mark.parametrize(
    "count", [pytest.param(150, id="quick"), pytest.param(5000, marks=pytest.mark.soak, id="full")]
)
def test_24_changed_safetensors_are_refused(count: int, folder: Path) -> None:
    rng = np.random.default_rng(24)
    original = {name: (folder / name).read_bytes() for name in (ADAPTER, CONFIG)}
    tensors = load_file(folder / ADAPTER)
    outcomes = Counter[str]()
    for i in range(count):
        name = CONFIG if i % 5 == 4 else ADAPTER
        data = bytearray(original[name])
        if i % 3:
            header = 8 + int.from_bytes(data[:8], "little")
            most = min(len(data), header) if i % 3 == 1 else len(data)
            for place in rng.integers(0, most, int(rng.integers(1, 6))):
                data[place] = rng.integers(256)
        else:
            del data[int(rng.integers(len(data))) :]
        (folder / name).write_bytes(data)
        try:
            load_model(folder)
            same = name == ADAPTER and equal(load_file(folder / ADAPTER), tensors)
            outcomes["loaded with the same tensors" if same else f"loaded {name}"] += 1
        except CheckpointError as error:
            assert str(folder.parent) not in str(error)
            outcomes["refused"] += 1
        (folder / name).write_bytes(original[name])
    print(dict(outcomes))
    assert outcomes[f"loaded {ADAPTER}"] == 0
    load_model(folder)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda t, k: t.update({k: t[k].to(torch.int16)}), "int16"),
        (lambda t, k: t.update({k: t[k].double()}), "float64"),
        (lambda t, k: t[k].view(-1)[0].fill_(float("nan")), "not finite"),
        (lambda t, k: t.update({k: t[k][:1]}), "another shape"),
        (lambda t, k: t.pop(k), "missing"),
        (lambda t, k: t.update({k + ".more": t.pop(k)}), "unknown"),
    ],
)
def test_24_each_fault_names_its_tensor(folder: Path, change: Callable, word: str) -> None:
    key = "text.blocks.0.adapter.up.bias"
    tensors = load_file(folder / ADAPTER)
    change(tensors, key)
    save_file(tensors, folder / ADAPTER, {"format": "pt"})
    with pytest.raises(CheckpointError) as caught:
        load_model(folder)
    assert key in str(caught.value) and word in str(caught.value)


def test_24_changed_values_are_noticed(folder: Path) -> None:
    data = bytearray((folder / ADAPTER).read_bytes())
    data[-2] ^= 1
    (folder / ADAPTER).write_bytes(data)
    with pytest.raises(CheckpointError, match="fingerprint"):
        load_model(folder)


SAVE = """
import sys, torch
from pathlib import Path
from tests.conftest import TINY, make_model
from ezclip.checkpoints.store import save_model
from ezclip.model.backbone import build_backbone
from ezclip.training.records import lock_folder
torch.manual_seed(0)
backbone = build_backbone("tiny", TINY)
model = make_model(backbone, "ezclip")
with lock_folder(Path(sys.argv[1])):
    while True:
        save_model(model, backbone, sys.argv[1] + "/ezclip", summary={"preset": "paper"})
        print("saved", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kills", [pytest.param(2, id="quick"), pytest.param(200, marks=pytest.mark.soak, id="full")])
def test_25_saves_that_are_killed(kills: int, tmp_path: Path, backbone: Backbone) -> None:
    save_backbone(backbone, tmp_path / BACKBONE)
    rng = random.Random(25)
    for _ in range(kills):
        command = [sys.executable, "-c", SAVE, str(tmp_path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as running:
            assert running.stdout is not None
            running.stdout.readline()
            left = [path.name for path in tmp_path.rglob("*.partial")]
            time.sleep(rng.random() * 0.05)
            running.send_signal(signal.SIGKILL)
        assert len(left) <= 1, "those of earlier kills are removed at the next start"
        assert load_model(tmp_path / "ezclip").variant == "ezclip"


def test_25_a_full_disk_keeps_the_old_file(folder: Path, backbone: Backbone) -> None:
    """A limit on file sizes simulates the full disk: both make a write fail in the middle."""
    import resource

    before = (folder / ADAPTER).read_bytes()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, old[1]))
    try:
        with pytest.raises((OSError, CheckpointError)):
            save_model(make_model(backbone, "ezclip", scale=0.1), backbone, folder, summary={"preset": "paper"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert (folder / ADAPTER).read_bytes() == before
    assert not list(folder.glob("*.partial"))


def test_26_round_trip(folder: Path, backbone: Backbone) -> None:
    """Trained tensors are restored bit by bit."""
    first = make_model(backbone, "ezclip")
    assert any((tensor != tensor.half()).any() for tensor in first.trainable_parameters().values())
    save_model(first, backbone, folder.parent / "again", summary={"preset": "paper"})
    again = load_model(folder.parent / "again")
    for name, tensor in first.trainable_parameters().items():
        assert torch.equal(tensor, again.trainable_parameters()[name])
    assert set(load_file(folder.parent / "again" / ADAPTER)) == set(first.trainable_parameters())
    assert f'"sha256": "{backbone.sha256}"' in (folder.parent / "again" / CONFIG).read_text()


def test_26_only_what_is_tuned_is_stored(folder: Path) -> None:
    """Of CLIP B/16 with 8 frames 5.2 million values, at most 22 MB in single precision."""
    with torch.device("meta"):
        clip = build_backbone("ViT-B-16-quickgelu", open_clip.get_model_config("ViT-B-16-quickgelu"))
        stored = build_ezclip(clip, "ezclip", num_frames=8).trainable_parameters().values()
    assert sum(tensor.numel() for tensor in stored) == 5_204_736 and 4 * 5_204_736 <= 22e6
    small = load_model(folder).trainable_parameters().values()
    assert (folder / ADAPTER).stat().st_size < 4 * sum(tensor.numel() for tensor in small) + 10_000


def test_27_the_official_layout_converts() -> None:
    """No key is missing or left over (both are errors), and the embeddings equal those of the release's code."""
    expected = torch.load(FIXTURES / "none_expected.pt", weights_only=True)
    model = load_official(FIXTURES / "none_official.pt")
    with torch.no_grad():
        frames = model.encode_video(expected["frames"].unflatten(0, (-1, expected["T"])))
        texts = model.encode_text(expected["tokens"])
    assert (frames - expected["frame_embeddings"]).abs().max() < 1e-5
    assert (texts - expected["text_embeddings"]).abs().max() < 1e-5
