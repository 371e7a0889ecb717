"""Fetching models from a stand-in for all three hosts: resuming, cancelling, error messages, loading the result."""

import hashlib
import re
import shutil
import socket
import time
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from huggingface_hub import constants

from ezclip.checkpoints import download
from ezclip.checkpoints import fetch as fetching
from ezclip.checkpoints.download import Hosts
from ezclip.checkpoints.fetch import adopt, fetch
from ezclip.checkpoints.gallery import Offer, find_offer
from ezclip.checkpoints.load import load_model
from ezclip.errors import CheckpointError
from ezclip.files import PARTIAL
from ezclip.progress import Watch, finish
from tests.conftest import FIXTURES, SOON, TINY
from tests.ezclip.checkpoints.test_mote import written
from tests.hosts import COMMIT, CONFIRM, LOGIN, OTHER, QUOTA, WEIGHTS, StandIn, stand_in
from tests.hosts import tiny_clip as make_tiny_clip

OFFICIAL = find_offer("official/zero-shot")
HUB = replace(find_offer("clip:ViT-B-32-256/datacomp_s34b_b86k"), name="clip:tiny/standin", address="org/tiny", mb=None)
GITHUB = replace(find_offer("mote/MoTE_B16"), base="")


@pytest.fixture
def hosts() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hub cache and an empty checkpoints/."""
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path


def parts(folder: Path) -> list[Path]:
    return list(folder.rglob(f".*{PARTIAL}"))


def fails(offer: Offer, hosts: Hosts) -> str:
    began = time.monotonic()
    with pytest.raises(CheckpointError) as caught:
        finish(fetch(offer, hosts))
    assert time.monotonic() - began < SOON
    assert offer.page in str(caught.value) and "browser" in str(caught.value)
    return str(caught.value)


def ranges(server: StandIn) -> list[str]:
    return [headers.get("Range", "") for method, _, headers in server.seen if method == "GET"]


@pytest.fixture
def tiny_clip(here: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Weights of a small open_clip model under a tag of open_clip's."""
    return make_tiny_clip(here, monkeypatch)


def test_a_model_of_the_hub_loads_by_its_tag_without_a_network(
    hosts: StandIn, tiny_clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts.content.files[WEIGHTS] = tiny_clip
    assert not HUB.is_local()
    fetched = finish(fetch(HUB, hosts.hosts))
    assert fetched.sha256 == hashlib.sha256(tiny_clip).hexdigest() and HUB.is_local()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_model("clip:tiny/standin").variant == "clip"
    before = len(hosts.seen)
    assert finish(fetch(HUB, hosts.hosts)).sha256 == "" and len(hosts.seen) == before


def test_the_hub_is_asked_once_by_head_and_the_token_stays_with_it(
    hosts: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hosts.content.files[WEIGHTS] = b"weights"
    finish(fetch(HUB, hosts.hosts))
    assert [method for method, _, _ in hosts.seen] == ["HEAD", "GET"]
    assert all(h.get("authorization") == "Bearer hf_secret" for _, _, h in hosts.seen)
    assert hosts.content.seen and not any("authorization" in map(str.lower, h) for _, _, h in hosts.content.seen)


def test_the_second_name_of_the_weights_and_a_renamed_repository(hosts: StandIn, here: Path) -> None:
    hosts.content.files["open_clip_pytorch_model.bin"] = b"PK\x03\x04"
    moved = replace(HUB, address="moved/tiny")
    finish(fetch(moved, hosts.hosts))
    assert moved.is_local()
    link = here / "cache/models--moved--tiny/snapshots" / COMMIT / "open_clip_pytorch_model.bin"
    assert link.read_bytes() == b"PK\x03\x04"


def test_files_that_may_lack_are_left_out(hosts: StandIn) -> None:
    hosts.content.files |= {WEIGHTS: b"weights", "tokenizer.json": b"{}"}
    siglip = replace(HUB, files=[WEIGHTS, "tokenizer.json", "tokenizer_config.json?"])
    finish(fetch(siglip, hosts.hosts))
    assert siglip.is_local() and not replace(HUB, files=[WEIGHTS, "vocab.json"]).is_local()


def test_a_broken_connection_is_continued_at_once(hosts: StandIn) -> None:
    data = bytes(range(256)) * 4000
    hosts.content.files[WEIGHTS], hosts.content.cuts = data, [0.5]
    assert finish(fetch(HUB, hosts.hosts)).sha256 == hashlib.sha256(data).hexdigest()
    assert ranges(hosts.content) == ["", f"bytes={len(data) // 2}-"]


def test_a_host_without_ranges_begins_anew_but_not_for_ever(hosts: StandIn) -> None:
    data = bytes(range(256)) * 4000
    hosts.content.files[WEIGHTS], hosts.content.cuts, hosts.content.ranges = data, [0.5, 0.5], False
    assert "broke off at 1 of 1 MB" in fails(HUB, hosts.hosts) and len(hosts.content.seen) == 2
    hosts.content.cuts = [0.4]
    with pytest.raises(CheckpointError, match="broke off"):  # gets no further than before
        finish(fetch(HUB, hosts.hosts))
    assert finish(fetch(HUB, hosts.hosts)).sha256 == hashlib.sha256(data).hexdigest()


def test_a_download_that_broke_off_is_continued_by_the_next_call(hosts: StandIn, here: Path) -> None:
    data = bytes(range(256)) * 8000  # 2 MB
    hosts.content.files[WEIGHTS], hosts.content.cuts = data, [0.5, 0.5, 0.5]
    assert "broke off at 1 of 2 MB; the partial download is kept, start it again to continue." in fails(
        HUB, hosts.hosts
    )
    assert [p.stat().st_size for p in parts(here)] == [len(data) // 2] and not HUB.is_local()
    hosts.content.cuts, hosts.content.seen = [], []
    watch = Watch(fetch(HUB, hosts.hosts))
    shares = [step.fraction for step in watch]
    assert watch.result.sha256 == hashlib.sha256(data).hexdigest()
    assert ranges(hosts.content) == [f"bytes={len(data) // 2}-"]
    assert parts(here) == [] and shares == sorted(shares)


def test_what_came_of_another_version_is_not_continued(hosts: StandIn, here: Path) -> None:
    hosts.content.files[WEIGHTS], hosts.content.cuts = b"old" * 1000, [0.5, 0.5]
    fails(HUB, hosts.hosts)
    hosts.content.files[WEIGHTS], hosts.content.cuts, hosts.content.seen = b"new" * 1000, [], []
    finish(fetch(HUB, hosts.hosts))
    assert ranges(hosts.content) == [""] and parts(here) == []


def test_a_damaged_file_is_removed(hosts: StandIn, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts.content.files[WEIGHTS] = b"weights"
    monkeypatch.setattr(download.Remote, "sha256", "0" * 64)
    assert "checksum does not match" in fails(HUB, hosts.hosts)
    assert parts(here) == [] and not HUB.is_local()


def test_cancel_keeps_what_came(hosts: StandIn, here: Path) -> None:
    data = bytes(4_000_000)
    hosts.content.files[WEIGHTS], hosts.content.rate = data, 1_000_000.0
    watch = Watch(fetch(HUB, hosts.hosts))
    for step in watch:
        if step.fraction > 0.1:
            break
    began = time.monotonic()
    watch.close()
    assert time.monotonic() - began < SOON
    hosts.content.rate, hosts.content.seen = 0.0, []
    finish(fetch(HUB, hosts.hosts))
    assert re.fullmatch(r"bytes=[1-9]\d+-", ranges(hosts.content)[0])


def test_an_official_file_is_converted_and_loads_by_the_same_name(hosts: StandIn, here: Path) -> None:
    hosts.files[OFFICIAL.address] = (FIXTURES / "deep_official.pt").read_bytes()
    hosts.content.files[OFFICIAL.address] = hosts.files[OFFICIAL.address]
    fetched = finish(fetch(OFFICIAL, hosts.hosts))
    assert fetched.sha256 == hashlib.sha256(hosts.files[OFFICIAL.address]).hexdigest() and OFFICIAL.is_local()
    assert load_model(OFFICIAL.name).variant == "ezclip"
    assert not list(here.rglob("*.pt")) and OFFICIAL.name in fetched.use


def test_drives_page_before_a_large_file_is_followed_once(hosts: StandIn) -> None:
    hosts.content.files[OFFICIAL.address] = (FIXTURES / "none_official.pt").read_bytes()
    hosts.page = CONFIRM
    finish(fetch(OFFICIAL, hosts.hosts))
    assert OFFICIAL.is_local() and any("uuid=u-1" in path for _, path, _ in hosts.seen)


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        (LOGIN, "no longer public at this address; ask on github.com/Shahzadnit/EZ-CLIP."),
        (QUOTA, "Google Drive has reached its daily limit for this file."),
        (OTHER, "a page of an unexpected kind."),
        ('<p class="uc-error-subcaption">Not &lt;now&gt;.</p>', "answered with a page: Not <now>."),
    ],
)
def test_a_page_of_drive_in_place_of_the_file(hosts: StandIn, page: str, sentence: str) -> None:
    hosts.page = page
    assert sentence in fails(OFFICIAL, hosts.hosts)
    assert not OFFICIAL.is_local()


@pytest.mark.parametrize("content", [b"<html>", b"PK\x03\x04 of something else"])
def test_another_file_is_not_loaded_and_not_kept(hosts: StandIn, here: Path, content: bytes) -> None:
    hosts.content.files[OFFICIAL.address] = content
    sentence = "The file at this address is not the expected checkpoint; it was not loaded."
    assert sentence in fails(OFFICIAL, hosts.hosts)
    assert not OFFICIAL.is_local() and not list(here.rglob("*.pt"))


def test_a_release_of_github_and_the_clip_that_it_is_built_on(
    hosts: StandIn, here: Path, tiny_clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer = replace(find_offer("mote/MoTE_B16"), base=HUB.name)
    monkeypatch.setattr(fetching, "find_offer", {HUB.name: HUB}.get)
    written(here / "o.pt", sizes=TINY)
    hosts.content.files |= {"MoTE_B16.pt": (here / "o.pt").read_bytes(), WEIGHTS: tiny_clip}
    with pytest.raises(CheckpointError, match="built on clip:tiny/standin; fetch that first"):
        finish(adopt(offer, here / "o.pt"))
    assert offer.name in finish(fetch(offer, hosts.hosts)).use
    assert offer.is_local() and HUB.is_local() and not offer.download_path().exists()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_model(offer.name).variant == "mote"
    shutil.rmtree(here / "checkpoints" / "mote")
    finish(adopt(offer, here / "o.pt"))
    assert offer.is_local() and (here / "o.pt").is_file()


@pytest.mark.parametrize(
    ("offer", "status", "code", "sentence"),
    [
        (HUB, 404, "EntryNotFound", "The repository no longer has this file."),
        (HUB, 404, "RevisionNotFound", "This version was withdrawn; update ezclip."),
        (HUB, 401, "", "The Hub has no such repository, or it is private."),
        (HUB, 403, "GatedRepo", "request access on its page, then run `hf auth login`"),
        (HUB, 429, "", "The Hub is busy or refuses (429); try again in a few minutes."),
        (HUB, 200, "proxy", "What answered is not the Hub; check HF_ENDPOINT and the proxy."),
        (GITHUB, 404, "", "GitHub no longer has this file."),
        (GITHUB, 503, "", "GitHub is busy or refuses (503)"),
        (OFFICIAL, 403, "", "daily limit"),
        (OFFICIAL, 404, "", "no longer public"),
        (OFFICIAL, 429, "", "Google Drive is busy or refuses (429)"),
    ],
)
def test_a_host_that_refuses(hosts: StandIn, offer: Offer, status: int, code: str, sentence: str) -> None:
    hosts.status, hosts.code = status, code
    assert sentence in fails(offer, hosts.hosts)


@pytest.mark.parametrize("offer", [HUB, GITHUB, OFFICIAL])
def test_no_network(offer: Offer) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert "cannot be reached from this machine." in fails(offer, Hosts(dead, dead, dead))


@pytest.mark.slow
def test_a_host_that_never_answers(hosts: StandIn) -> None:
    hosts.silent = True
    assert "cannot be reached from this machine." in fails(OFFICIAL, hosts.hosts)
    hosts.silent, hosts.content.silent, hosts.content.files[WEIGHTS] = False, True, bytes(2_000_000)
    assert "broke off at 0 of 2 MB" in fails(HUB, hosts.hosts)


@pytest.mark.slow
@pytest.mark.parametrize("answered", [0, 1])  # the first question is that for the size
def test_a_name_server_that_hangs(hosts: StandIn, monkeypatch: pytest.MonkeyPatch, answered: int) -> None:
    hosts.content.files[WEIGHTS], real, lookups = bytes(2_000_000), socket.getaddrinfo, []

    def resolve(*arguments: Any, **options: Any) -> Any:
        lookups.append(arguments)
        if len(lookups) > answered:
            time.sleep(12)
        return real(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert "cannot be reached from this machine." in fails(HUB, hosts.hosts)


@pytest.mark.slow
def test_a_file_that_another_process_is_fetching(hosts: StandIn, here: Path) -> None:
    hosts.content.files[WEIGHTS] = b"weights"
    blobs = here / "cache/models--org--tiny/blobs"
    blobs.mkdir(parents=True)
    with FileLock(blobs / f".{hashlib.sha256(b'weights').hexdigest()}.lock"):
        assert "This file is being downloaded already" in fails(HUB, hosts.hosts)


def test_offline_mode_asks_nobody(hosts: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in fails(HUB, hosts.hosts) and hosts.seen == []


def test_a_full_disk_is_reported_before_anything_is_fetched(hosts: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts.content.files[WEIGHTS] = bytes(1_000_000)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 1_000_000))
    assert "0.0 GB is needed and 0.0 GB is free on the disk of blobs/" in fails(HUB, hosts.hosts)
    assert hosts.content.seen == []


def test_files_that_a_browser_downloaded(here: Path, tiny_clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    adopted = finish(adopt(HUB, here / WEIGHTS))
    assert adopted.sha256 == hashlib.sha256(tiny_clip).hexdigest()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_model("clip:tiny/standin").variant == "clip"
    finish(adopt(OFFICIAL, FIXTURES / "deep_official.pt"))
    assert load_model(OFFICIAL.name).variant == "ezclip" and (FIXTURES / "deep_official.pt").is_file()
    with pytest.raises(CheckpointError, match="is not the file of clip:tiny/standin"):
        finish(adopt(HUB, FIXTURES / "deep_official.pt"))
    with pytest.raises(CheckpointError, match="give .* of about 605 MB"):
        finish(adopt(replace(HUB, mb=605), here / WEIGHTS))
