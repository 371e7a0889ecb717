"""Fetches a model of the gallery to the Hub's cache or to a folder in checkpoints/."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import httpx
from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name

from ezclip.checkpoints import download
from ezclip.checkpoints.download import HOSTS, Hosts, MissingFile, Remote, check_space, transfer
from ezclip.checkpoints.gallery import REVISION, Offer, checkpoints, find_offer
from ezclip.errors import CheckpointError, UserError
from ezclip.files import PARTIAL, sha256_of
from ezclip.progress import Report, Steps, T, Watch, in_thread, rescale
from ezclip.types import Document

_TIMEOUT = 4.5  # seconds for a host to respond or to send data, including name resolution
_CONVERTED = 0.52  # size of a converted folder relative to its .pt file: half precision, and the adapters
_UNKNOWN_COMMIT = "0" * 40  # of files downloaded with a browser
_CONVERTING = 0.9  # progress at which the conversion begins
_BASE = 0.4  # progress after the base CLIP is fetched


@dataclass(frozen=True)
class FetchedModel:
    """A model that is now on this machine."""

    offer: Offer
    sha256: str  # of the downloaded file; empty if it was already present

    @property
    def use(self) -> str:
        """An example command."""
        return f'python -m ezclip predict CLIP --labels "waving, clapping" --model {self.offer.name}'

    def as_json(self) -> Document:
        """The output of ``ezclip get --json``."""
        return {"name": self.offer.name, "sha256": self.sha256, "use": self.use}


def fetch(offer: Offer, hosts: Hosts | None = None) -> Steps[FetchedModel]:
    """Download a model and its base CLIP, and convert .pt files; closing the generator keeps partial downloads.

    Raises:
        CheckpointError: with instructions for downloading with a browser.
    """
    try:
        return (yield from _fetch(offer, hosts or HOSTS))
    except UserError as error:
        raise CheckpointError(f"{error} {browser_instructions(offer)}") from error


def browser_instructions(offer: Offer) -> str:
    """How to download a model with a browser."""
    file = offer.files[0].replace("|", " or ")
    return (
        f"Or download {file} in a browser from {offer.page}, then drop it on the page under More, Models, or run: "
        f"python -m ezclip get {offer.name} --file FILE"
    )


def _fetch(offer: Offer, hosts: Hosts) -> Steps[FetchedModel]:
    if offer.is_local():
        return FetchedModel(offer, "")
    if offer.base and not find_offer(offer.base).is_local():
        yield from rescale(_fetch(find_offer(offer.base), hosts), 0.0, _BASE, f"{offer.base}: ")
        return (yield from rescale(_fetch(offer, hosts), _BASE, 1.0, f"{offer.name}: "))
    if offer.needs_conversion and offer.download_path().is_file():  # not converted yet
        return (yield from _convert(offer, offer.download_path(), "", remove=True))
    with download.client() as http:
        remotes = yield from _with_timeout(lambda: _query(http, offer, hosts), offer.host)
        targets = [_target(offer, remote) for remote in remotes.values()]
        partials = {download.partial_path(r, target) for r, target in zip(remotes.values(), targets, strict=True)}
        _remove_other_versions(offer, partials)
        sizes = [remote.size or 1e6 * (offer.mb or 0) for remote in remotes.values()]
        remaining = sum(
            size - download.partial_size(remote, target)
            for size, remote, target in zip(sizes, remotes.values(), targets, strict=True)
            if not target.is_file()
        )
        check_space(
            targets[0].parent, remaining * download.MARGIN + (sizes[0] * _CONVERTED if offer.needs_conversion else 0)
        )
        start = download.ZIP if offer.host != "hub" else b""
        end, done, digest = _CONVERTING if offer.needs_conversion else 1.0, 0.0, ""
        for (name, remote), target, size in zip(remotes.items(), targets, sizes, strict=True):
            share = size / max(sum(sizes), 1)
            if not target.is_file():
                work = partial(transfer, http, remote, target, start=start)
                steps = _stop_if_stalled(in_thread(work, "downloading"), remote)
                steps = _report_megabytes(steps, size, download.partial_size(remote, target))
                sha256 = yield from rescale(steps, end * done, end * (done + share))
                digest = digest or sha256
            if offer.host == "hub":
                _link(offer, remote.commit, target, name)
            done += share
    if offer.needs_conversion:
        return (yield from rescale(_convert(offer, targets[0], digest, remove=True), end, 1.0))
    return FetchedModel(offer, digest)


def _query(http: httpx.Client, offer: Offer, hosts: Hosts) -> dict[str, Remote]:
    """The remote files by name, the weights first."""
    if offer.host == "drive":
        return {offer.files[0]: download.query_drive(http, hosts.drive, offer.address)}
    if offer.host == "github":
        return {offer.files[0]: download.query_github(http, hosts.github, offer.address, offer.files[0])}
    remotes = {}
    for file in offer.files:
        names = file.rstrip("?").split("|")
        for name in names:
            try:
                remotes[name] = download.query_hub(http, hosts.hub, offer.address, REVISION, name)
                break
            except MissingFile:
                if name == names[-1] and not file.endswith("?"):
                    raise
    return remotes


def _with_timeout(work: Callable[[], T], host: str) -> Steps[T]:
    """Give up after ``_TIMEOUT``; a name server that does not respond would block its thread for longer."""
    start = time.monotonic()
    watch = Watch(in_thread(lambda _: work(), f"asking {download.NAMES[host]}"))
    for step in watch:
        if time.monotonic() - start > _TIMEOUT:
            watch.close()
            raise download.unreachable_error(host)
        yield step
    return watch.result


def _stop_if_stalled(steps: Steps[T], remote: Remote) -> Steps[T]:
    """Give up after ``_TIMEOUT`` without a byte; connecting may try several addresses, each with its own timeout."""
    fraction, last_change, watch = 0.0, time.monotonic(), Watch(steps)
    for step in watch:
        if step.fraction != fraction:
            fraction, last_change = step.fraction, time.monotonic()
        elif remote.size and fraction < 1 and time.monotonic() - last_change > _TIMEOUT:
            watch.close()
            raise download.stalled_error(remote.host, int(fraction * remote.size), remote.size)
        yield step
    return watch.result


def _report_megabytes(steps: Steps[T], size: float, resumed_at: int) -> Steps[T]:
    """Replace the messages by megabytes and speed."""
    start, watch = time.monotonic(), Watch(steps)
    for step in watch:
        received, seconds = step.fraction * size, time.monotonic() - start
        has_speed = seconds > 1 and received > resumed_at
        speed = f", {(received - resumed_at) / 1e6 / seconds:.1f} MB/s" if has_speed else ""
        yield replace(step, message=f"{received / 1e6:.0f} of {size / 1e6:.0f} MB{speed}")
    return watch.result


def _target(offer: Offer, remote: Remote) -> Path:
    """Path of a downloaded file."""
    return _cache(offer) / "blobs" / remote.etag if offer.host == "hub" else offer.download_path()


def _cache(offer: Offer) -> Path:
    """The folder of a repository in the Hub's cache, where open_clip and transformers find its files."""
    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=offer.address, repo_type="model")


def _remove_other_versions(offer: Offer, current: set[Path]) -> None:
    """Remove partial downloads of earlier versions of the files."""
    is_hub = offer.host == "hub"
    folder, prefix = (_cache(offer) / "blobs", "") if is_hub else (offer.download_path().parent, f"{offer.files[0]}.")
    for part in set(folder.glob(f".{prefix}*{PARTIAL}")) - current:
        part.unlink()


def _link(offer: Offer, commit: str, blob: Path, name: str) -> None:
    """Link a blob of the Hub's cache to its name in a commit, and point ``REVISION`` to the commit."""
    link, ref = _cache(offer) / "snapshots" / commit / name, _cache(offer) / "refs" / REVISION
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    try:
        link.symlink_to(os.path.relpath(blob, link.parent))
    except OSError:  # Windows requires a privilege for symlinks
        shutil.copyfile(blob, link)
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_text(commit, "utf-8")


def adopt(offer: Offer, file: Path) -> Steps[FetchedModel]:
    """Use a file downloaded with a browser as the weights of a model.

    Raises:
        CheckpointError: wrong type or size of file.
    """
    if not file.is_file():
        raise CheckpointError(f"There is no file {file.name}; give the one that was downloaded.")
    if offer.base and not find_offer(offer.base).is_local():
        raise CheckpointError(
            f"{offer.name} is built on {offer.base}; fetch that first: python -m ezclip get {offer.base}"
        )
    if offer.needs_conversion:
        return (yield from _convert(offer, file, "", remove=False))
    names = offer.files[0].split("|")
    name = next((name for name in names if Path(name).suffix == file.suffix), None)
    size = file.stat().st_size
    if name is None or (offer.mb and abs(size / 1e6 / offer.mb - 1) > 0.02):
        expected = f" of about {offer.size}" if offer.mb else ""
        raise CheckpointError(
            f"{file.name} ({size / 1e6:.0f} MB) is not the file of {offer.name}; give {' or '.join(names)}{expected}."
        )
    digest = yield from in_thread(lambda _: sha256_of(file), "hashing")
    target = _cache(offer) / "blobs" / digest if offer.host == "hub" else offer.download_path()
    check_space(target.parent, size * download.MARGIN)

    def copy(_: Report) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)

    yield from in_thread(copy, "copying")
    if offer.host == "hub":
        ref = _cache(offer) / "refs" / REVISION
        _link(offer, ref.read_text("utf-8") if ref.is_file() else _UNKNOWN_COMMIT, target, name)
    return FetchedModel(offer, digest)


def _convert(offer: Offer, file: Path, digest: str, *, remove: bool) -> Steps[FetchedModel]:
    """Convert an official file to a model folder; ``remove`` deletes the file afterwards and if it is unusable."""

    def work(_: Report) -> str:
        from ezclip.checkpoints.convert import convert

        sha256 = digest or sha256_of(file)
        try:
            convert(file, checkpoints() / offer.name, clip=offer.base or None)
        except CheckpointError as error:
            if not remove:
                raise
            file.unlink()
            raise download.unexpected_file_error() from error
        if remove:
            file.unlink()
        return sha256

    return FetchedModel(offer, (yield from in_thread(work, "converting")))
