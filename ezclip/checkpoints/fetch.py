"""Fetches a model of the gallery to where its loader looks: the Hub's cache, or a folder in checkpoints/."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name

from ezclip.checkpoints import download
from ezclip.checkpoints.download import HOSTS, Hosts, Missing, Remote, check_space, kept, partial, transfer
from ezclip.checkpoints.gallery import REVISION, Offer, checkpoints, find_offer
from ezclip.errors import CheckpointError, UserError
from ezclip.files import PARTIAL, sha256_of
from ezclip.progress import Report, Steps, T, Watch, in_thread, within
from ezclip.types import Document

_ANSWER_SECONDS = 4.5  # for a host to answer or to send more, name server included
_CONVERTED = 0.52  # size of a converted folder over that of its .pt file: half precision, and the adapters
_UNKNOWN_COMMIT = "0" * 40  # of a file that a browser downloaded
_CONVERTING = 0.9  # share at which the conversion begins
_BASE = 0.4  # share at which the CLIP that a model is built on is here


@dataclass(frozen=True)
class Fetched:
    """A model that is on this machine now."""

    offer: Offer
    sha256: str  # of the file that was fetched; empty if it was here already

    @property
    def use(self) -> str:
        """A command that uses it."""
        return f'python -m ezclip predict CLIP --labels "waving, clapping" --model {self.offer.name}'

    def as_json(self) -> Document:
        """What ``ezclip get --json`` prints."""
        return {"name": self.offer.name, "sha256": self.sha256, "use": self.use}


def fetch(offer: Offer, hosts: Hosts | None = None) -> Steps[Fetched]:
    """Download a model, with the CLIP that it is built on, and convert a .pt file; closing the generator keeps what
    came.

    Raises:
        CheckpointError: in a sentence, with the address for a browser and the place of the file.
    """
    try:
        return (yield from _fetched(offer, hosts or HOSTS))
    except UserError as error:
        raise CheckpointError(f"{error} {by_hand(offer)}") from error


def by_hand(offer: Offer) -> str:
    """How to fetch a model with a browser."""
    file = offer.files[0].replace("|", " or ")
    return (
        f"Or download {file} in a browser from {offer.page}, then drop it on the page under More, Models, or run: "
        f"python -m ezclip get {offer.name} --file FILE"
    )


def _fetched(offer: Offer, hosts: Hosts) -> Steps[Fetched]:
    if offer.here():
        return Fetched(offer, "")
    if offer.base and not find_offer(offer.base).here():
        yield from within(_fetched(find_offer(offer.base), hosts), 0.0, _BASE, f"{offer.base}: ")
        return (yield from within(_fetched(offer, hosts), _BASE, 1.0, f"{offer.name}: "))
    if offer.converted and offer.download().is_file():  # it was not converted yet
        return (yield from _converted(offer, offer.download(), "", own=True))
    with download.client() as http:
        remotes = yield from _in_time(lambda: _ask(http, offer, hosts), offer.host)
        places = [_place(offer, remote, name) for name, remote in remotes.items()]
        _remove_other_versions(offer, {partial(remote, p) for remote, p in zip(remotes.values(), places, strict=True)})
        sizes = [remote.size or 1e6 * (offer.mb or 0) for remote in remotes.values()]
        left = sum(size - kept(r, p) for size, r, p in zip(sizes, remotes.values(), places) if not p.is_file())
        check_space(places[0].parent, left * download.MARGIN + (sizes[0] * _CONVERTED if offer.converted else 0))
        start = download.ZIP if offer.host != "hub" else b""
        end, done, digest = _CONVERTING if offer.converted else 1.0, 0.0, ""
        for (name, remote), place, size in zip(remotes.items(), places, sizes, strict=True):
            share = size / max(sum(sizes), 1)
            if not place.is_file():
                work = _transfer(http, remote, place, start)
                steps = _megabytes(_moving(in_thread(work, "downloading"), remote), size, kept(remote, place))
                found = yield from within(steps, end * done, end * (done + share))
                digest = digest or found
            if offer.host == "hub":
                _link(offer, remote.commit, place, name)
            done += share
    if offer.converted:
        return (yield from within(_converted(offer, places[0], digest, own=True), end, 1.0))
    return Fetched(offer, digest)


def _transfer(http: httpx.Client, remote: Remote, place: Path, start: bytes) -> Callable[[Report], str]:
    return lambda report: transfer(http, remote, place, report, start=start)


def _ask(http: httpx.Client, offer: Offer, hosts: Hosts) -> dict[str, Remote]:
    """The files to fetch by their names, the weights first."""
    if offer.host == "drive":
        return {offer.files[0]: download.ask_drive(http, hosts.drive, offer.address)}
    if offer.host == "github":
        return {offer.files[0]: download.ask_github(http, hosts.github, offer.address, offer.files[0])}
    found = {}
    for wanted in offer.files:
        names = wanted.rstrip("?").split("|")
        for name in names:
            try:
                found[name] = download.ask_hub(http, hosts.hub, offer.address, REVISION, name)
                break
            except Missing:
                if name == names[-1] and not wanted.endswith("?"):
                    raise
    return found


def _in_time(work: Callable[[], T], host: str) -> Steps[T]:
    """Give up after ``_ANSWER_SECONDS``: a name server that does not answer keeps its thread for longer."""
    began = time.monotonic()
    watch = Watch(in_thread(lambda _: work(), f"asking {download.NAMES[host]}"))
    for step in watch:
        if time.monotonic() - began > _ANSWER_SECONDS:
            watch.close()
            raise download.unreachable(host)
        yield step
    return watch.result


def _moving(steps: Steps[T], remote: Remote) -> Steps[T]:
    """Give up after ``_ANSWER_SECONDS`` without a byte: connecting may try many addresses, each for its own time."""
    share, since, watch = 0.0, time.monotonic(), Watch(steps)
    for step in watch:
        if step.share != share:
            share, since = step.share, time.monotonic()
        elif remote.size and share < 1 and time.monotonic() - since > _ANSWER_SECONDS:
            watch.close()
            raise download.stopped(remote.host, int(share * remote.size), remote.size)
        yield step
    return watch.result


def _megabytes(steps: Steps[T], size: float, had: int) -> Steps[T]:
    """The same work, with megabytes and the speed."""
    began, watch = time.monotonic(), Watch(steps)
    for step in watch:
        came, passed = step.share * size, time.monotonic() - began
        speed = f", {(came - had) / 1e6 / passed:.1f} MB/s" if passed > 1 and came > had else ""
        yield replace(step, doing=f"{came / 1e6:.0f} of {size / 1e6:.0f} MB{speed}")
    return watch.result


def _place(offer: Offer, remote: Remote, name: str) -> Path:
    """Where a file is kept."""
    return _cache(offer) / "blobs" / remote.etag if offer.host == "hub" else offer.download()


def _cache(offer: Offer) -> Path:
    """The folder of a repository in the Hub's cache, where open_clip and transformers find its files."""
    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=offer.address, repo_type="model")


def _remove_other_versions(offer: Offer, now: set[Path]) -> None:
    """Remove what came of files that have changed since."""
    hub = offer.host == "hub"
    folder, of = (_cache(offer) / "blobs", "") if hub else (offer.download().parent, f"{offer.files[0]}.")
    for part in set(folder.glob(f".{of}*{PARTIAL}")) - now:
        part.unlink()


def _link(offer: Offer, commit: str, blob: Path, name: str) -> None:
    """Give a file in the Hub's cache its name in a commit, which becomes that of ``REVISION``."""
    link, ref = _cache(offer) / "snapshots" / commit / name, _cache(offer) / "refs" / REVISION
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    try:
        link.symlink_to(os.path.relpath(blob, link.parent))
    except OSError:  # Windows needs a right for links
        shutil.copyfile(blob, link)
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_text(commit, "utf-8")


def adopt(offer: Offer, file: Path) -> Steps[Fetched]:
    """Take a file that a browser downloaded as the weights of a model.

    Raises:
        CheckpointError: not a file of that kind or size.
    """
    if not file.is_file():
        raise CheckpointError(f"There is no file {file.name}; give the one that was downloaded.")
    if offer.base and not find_offer(offer.base).here():
        raise CheckpointError(
            f"{offer.name} is built on {offer.base}; fetch that first: python -m ezclip get {offer.base}"
        )
    if offer.converted:
        return (yield from _converted(offer, file, "", own=False))
    names = offer.files[0].split("|")
    name = next((name for name in names if Path(name).suffix == file.suffix), None)
    size = file.stat().st_size
    if name is None or (offer.mb and abs(size / 1e6 / offer.mb - 1) > 0.02):
        of = f" of about {offer.size}" if offer.mb else ""
        raise CheckpointError(
            f"{file.name} ({size / 1e6:.0f} MB) is not the file of {offer.name}; give {' or '.join(names)}{of}."
        )
    digest = yield from in_thread(lambda _: sha256_of(file), "hashing")
    place = _cache(offer) / "blobs" / digest if offer.host == "hub" else offer.download()
    check_space(place.parent, size * download.MARGIN)

    def copy(_: Report) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)

    yield from in_thread(copy, "copying")
    if offer.host == "hub":
        ref = _cache(offer) / "refs" / REVISION
        _link(offer, ref.read_text("utf-8") if ref.is_file() else _UNKNOWN_COMMIT, place, name)
    return Fetched(offer, digest)


def _converted(offer: Offer, file: Path, digest: str, *, own: bool) -> Steps[Fetched]:
    """Convert an official file to the folder of its name; ``own`` files are removed then, or if they are others."""

    def work(_: Report) -> str:
        from ezclip.checkpoints.convert import convert

        found = digest or sha256_of(file)
        try:
            convert(file, checkpoints() / offer.name, clip=offer.base or None)
        except CheckpointError as error:
            if not own:
                raise
            file.unlink()
            raise download.another() from error
        if own:
            file.unlink()
        return found

    found = yield from in_thread(work, "converting")
    return Fetched(offer, found)
