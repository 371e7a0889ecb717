"""Downloads files from the Hugging Face Hub, GitHub and Google Drive; imports no torch.

What came of a file stays beside its place, so that the next call continues. Every failure is a sentence.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
from filelock import FileLock, Timeout
from huggingface_hub import constants
from huggingface_hub.utils import build_hf_headers

from ezclip.errors import CheckpointError
from ezclip.files import PARTIAL, sync
from ezclip.progress import Report

SECONDS = 4.0  # that a host may be silent
MARGIN = 1.05  # times the size of a file that must be free
ZIP = b"PK\x03\x04"  # the first bytes of PyTorch's files
_LOCK_SECONDS = SECONDS + 0.2  # in which a cancelled download notices it
_PAUSE = 0.5  # seconds before a broken transfer is continued
_HOPS = 5  # redirections inside the Hub
_SHA256 = re.compile(r"[0-9a-f]{64}")
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Hosts:
    """The addresses of the three hosts, without a slash at the end."""

    hub: str = constants.ENDPOINT
    github: str = "https://github.com"
    drive: str = "https://drive.usercontent.google.com"


HOSTS = Hosts()
NAMES = {"hub": "The Hub", "github": "GitHub", "drive": "Google Drive"}


class Missing(CheckpointError):
    """The repository is there, the file is not."""


@dataclass(frozen=True)
class Remote:
    """A file as its host announces it."""

    host: str  # a key of ``NAMES``
    address: str  # asked again for each try: what it redirects to expires
    size: int | None = None  # bytes, where they are announced
    etag: str = ""
    commit: str = ""  # of the Hub

    @property
    def sha256(self) -> str:
        """Of the content; empty where the host does not announce it."""
        return self.etag if _SHA256.fullmatch(self.etag) else ""


@contextmanager
def client() -> Iterator[httpx.Client]:
    """An HTTP client that gives up after ``SECONDS`` of silence."""
    headers = {"Accept-Encoding": "identity", "User-Agent": "ezclip"}
    with httpx.Client(timeout=SECONDS, follow_redirects=True, headers=headers) as made:
        yield made


def ask_hub(http: httpx.Client, base: str, repo: str, revision: str, file: str) -> Remote:
    """Ask for a file of a repository; raises ``Missing`` if there is none, CheckpointError for another failure."""
    if constants.HF_HUB_OFFLINE:
        raise CheckpointError("Offline mode is on (HF_HUB_OFFLINE); unset it to download.")
    address = here = f"{base}/{repo}/resolve/{revision}/{file}"
    answer = _head(http, "hub", here, headers=build_hf_headers(), follow_redirects=False)
    for _ in range(_HOPS):  # a renamed repository; the content's own address is not followed, it has no X-Linked-Etag
        place = answer.headers.get("location", "")
        if answer.status_code not in _REDIRECTS or not place.startswith("/"):
            break
        here = urljoin(here, place)
        answer = _head(http, "hub", here, headers=build_hf_headers(), follow_redirects=False)
    if answer.status_code >= 400:
        raise _refused("hub", answer)
    found = answer.headers
    etag = found.get("x-linked-etag", found.get("etag", "")).removeprefix("W/").strip('"')
    commit, size = found.get("x-repo-commit", ""), found.get("x-linked-size", _length(answer))
    if not re.fullmatch(r"[0-9a-f]{40}", commit) or not re.fullmatch(r"[\w-]+", etag):
        raise CheckpointError("What answered is not the Hub; check HF_ENDPOINT and the proxy.")
    return Remote("hub", address, int(size) if size else None, etag, commit)


def ask_github(http: httpx.Client, base: str, path: str, file: str) -> Remote:
    """Ask for a file of a release; raises CheckpointError."""
    answer = _head(http, "github", address := f"{base}/{path}/{file}")
    if answer.status_code >= 400:
        raise _refused("github", answer)
    return _announced("github", address, answer)


def ask_drive(http: httpx.Client, base: str, file_id: str) -> Remote:
    """Ask for a file by its id, through the page that Drive may put before it; raises CheckpointError."""
    address = f"{base}/download?id={file_id}&export=download&confirm=t"
    for last in (False, True):
        try:
            with http.stream("GET", address) as answer:  # whether Drive answers HEAD alike is not documented
                if answer.status_code == 200 and "content-disposition" in answer.headers:
                    return _announced("drive", address, answer)
                page = answer
                page.read()
        except httpx.HTTPError as error:
            raise unreachable("drive") from error
        form = _Page(page.text)
        if page.status_code >= 400 or last or not form.fields:
            raise _refused("drive", page)
        address = str(httpx.URL(urljoin(address, form.action)).copy_merge_params(form.fields))
    raise AssertionError


def _announced(host: str, address: str, answer: httpx.Response) -> Remote:
    length = _length(answer)
    return Remote(host, address, int(length) if length else None, answer.headers.get("etag", "").strip('"'))


def _length(answer: httpx.Response) -> str:
    return answer.headers.get("content-length", "")


def _head(http: httpx.Client, host: str, address: str, **options: Any) -> httpx.Response:
    try:
        return http.head(address, **options)
    except httpx.HTTPError as error:
        raise unreachable(host) from error


class _Page(HTMLParser):
    """Drive's page before a large file: where its form leads and the hidden fields; and the reason of a refusal."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.action, self.fields, self._inside = "", {}, False
        self.feed(text)
        found = re.search(r'class="uc-error-subcaption"[^>]*>(.*?)</', text, re.S)
        self.reason = unescape(re.sub("<[^>]*>", "", found[1])) if found else ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the form."""
        found = dict(attrs)
        if tag == "form":
            self._inside = found.get("id") == "download-form"
            self.action = found.get("action") or "" if self._inside else self.action
        elif tag == "input" and self._inside and found.get("type") == "hidden" and found.get("name"):
            self.fields[found["name"]] = found.get("value") or ""


def unreachable(host: str) -> CheckpointError:
    """No network, no name server, no proxy, or no answer."""
    return CheckpointError(
        f"{NAMES[host]} cannot be reached from this machine. Everything already downloaded works without a network."
    )


def _refused(host: str, answer: httpx.Response) -> CheckpointError:
    """Why a host does not give a file, in a sentence; reads the page of Drive."""
    status, code = answer.status_code, answer.headers.get("x-error-code", "")
    if host == "hub":
        if code == "GatedRepo":
            return CheckpointError("The repository is gated: request access on its page, then run `hf auth login`.")
        if code == "RevisionNotFound":
            return CheckpointError("This version was withdrawn; update ezclip.")
        if code == "EntryNotFound":
            return Missing("The repository no longer has this file.")
        if status in (401, 404):
            return CheckpointError("The Hub has no such repository, or it is private.")
    if host == "github" and status == 404:
        return CheckpointError("GitHub no longer has this file.")
    if host == "drive":
        text = answer.text
        if status == 403 or "Too many users" in text:
            return CheckpointError("Google Drive has reached its daily limit for this file. Try again tomorrow.")
        if status in (401, 404) or "accounts.google.com" in text or answer.url.host == "accounts.google.com":
            return CheckpointError(
                "The authors' file is no longer public at this address; ask on github.com/Shahzadnit/EZ-CLIP."
            )
        if status < 400:
            reason = _Page(text).reason
            known = f": {reason.strip().rstrip('.')}." if reason else " of an unexpected kind."
            return CheckpointError(f"Google Drive answered with a page{known}")
    return CheckpointError(f"{NAMES[host]} is busy or refuses ({status}); try again in some minutes.")


def check_space(folder: Path, needed: float) -> None:
    """Raise CheckpointError unless ``needed`` bytes are free where ``folder`` is or will be."""
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise CheckpointError(
            f"{needed / 1e9:.1f} GB is needed and {free / 1e9:.1f} GB is free on the disk of {folder.name}/."
        )


def partial(remote: Remote, target: Path) -> Path:
    """Where the bytes of a file are kept until it is whole; another version of the file has another place."""
    version = hashlib.sha256(f"{remote.etag} {remote.size}".encode()).hexdigest()[:12]
    return target.with_name(f".{target.name}.{version}{PARTIAL}")


def kept(remote: Remote, target: Path) -> int:
    """Bytes that an earlier call has kept."""
    part = partial(remote, target)
    return part.stat().st_size if part.is_file() else 0


def transfer(http: httpx.Client, remote: Remote, target: Path, report: Report, *, start: bytes = b"") -> str:
    """Download a file to ``target``, from where an earlier call broke off; a broken connection is continued.

    Args:
        http: from ``client``.
        remote: what one of the ``ask`` functions returned.
        target: of the whole file; nothing is there before its size and sha256 are those announced.
        report: receives the fraction; what it raises ends the transfer within ``SECONDS``, and the bytes are kept.
        start: first bytes that the file must have.

    Returns:
        The sha256 of the file.

    Raises:
        CheckpointError: cut off, refused, or not the file that was announced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = partial(remote, target)
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    until = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            lock.acquire(timeout=0.1)
            break
        except Timeout as error:
            report(0.0)
            if time.monotonic() > until:
                raise CheckpointError("This file is being downloaded already; wait for that.") from error
    try:
        digest = _received(http, remote, part, report, start)
        if remote.sha256 not in ("", digest):
            part.unlink()
            raise CheckpointError("The checksum does not match; download the file again.")
        sync(part)
        part.replace(target)
        return digest
    finally:
        lock.release()


def _received(http: httpx.Client, remote: Remote, part: Path, report: Report, start: bytes) -> str:
    """Fill ``part`` up to the announced size; its sha256."""
    digest, size = hashlib.sha256(), remote.size
    with part.open("a+b") as file:
        if size is None:  # whether the bytes are of the same file cannot be checked
            file.truncate(0)
        file.seek(0)
        while block := file.read(1 << 20):
            digest.update(block)
            report(file.tell() / size if size else 0.0)
        most = file.tell()  # a try that gets no further is the last
        while True:
            had = file.tell()
            if size is not None and had == size:
                return digest.hexdigest()
            headers = {"Range": f"bytes={had}-"} if had else {}
            headers |= build_hf_headers() if remote.host == "hub" else {}
            try:
                with http.stream("GET", remote.address, headers=headers) as answer:
                    at = _RANGE.fullmatch(answer.headers.get("content-range", ""))
                    goes_on = answer.status_code == 206 and at and (int(at[1]), int(at[2])) == (had, size or int(at[2]))
                    if not goes_on:
                        _check_file(answer, remote.host)
                        file.seek(0)
                        file.truncate()
                        digest = hashlib.sha256()
                        size = size if size is not None else int(_length(answer) or 0) or None
                    for chunk in answer.iter_raw():
                        if file.tell() == 0 and not chunk.startswith(start):
                            raise another()
                        file.write(chunk)
                        digest.update(chunk)
                        report(min(1.0, file.tell() / size) if size else 0.0)
            except httpx.ConnectError as error:
                raise stopped(remote.host, file.tell(), size) from error
            except httpx.TimeoutException as error:
                raise _broken(file.tell(), size) from error
            except httpx.HTTPError as error:
                if file.tell() <= most:
                    raise _broken(file.tell(), size) from error
                most = file.tell()
                file.flush()
                time.sleep(_PAUSE)
                continue
            file.flush()
            if size is None:
                return digest.hexdigest()
            if file.tell() > size:
                file.truncate(0)
                raise another()
            if file.tell() <= most:
                raise _broken(file.tell(), size)
            most = file.tell()


def _check_file(answer: httpx.Response, host: str) -> None:
    """Raise CheckpointError unless an answer is a whole file."""
    page = host == "drive" and answer.headers.get("content-type", "").startswith("text/html")
    if answer.status_code != 200 or page:
        answer.read()
        raise _refused(host, answer)


def stopped(host: str, came: int, size: int | None) -> CheckpointError:
    """A host that cannot be reached any more, after ``came`` bytes."""
    return _broken(came, size) if came else unreachable(host)


def _broken(came: int, size: int | None) -> CheckpointError:
    whole = f" of {size / 1e6:.0f}" if size else ""
    return CheckpointError(
        f"The download broke off at {came / 1e6:.0f}{whole} MB; the partial download is kept, "
        "start it again to continue."
    )


def another() -> CheckpointError:
    """It is whole, but something else."""
    return CheckpointError("The file at this address is not the expected checkpoint; it was not loaded.")
