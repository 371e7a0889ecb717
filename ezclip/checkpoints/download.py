"""Downloads files from the Hugging Face Hub, GitHub and Google Drive; does not import torch.

A partial download is kept next to the target file and resumed by the next call. Failures are CheckpointErrors.
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

SECONDS = 4.0  # timeout for a silent host
MARGIN = 1.05  # required free space, relative to the file size
ZIP = b"PK\x03\x04"  # first bytes of PyTorch files
_LOCK_SECONDS = SECONDS + 0.2  # a cancelled download releases its lock within this time
_PAUSE = 0.5  # seconds before a broken transfer is resumed
_HOPS = 5  # redirects inside the Hub
_SHA256 = re.compile(r"[0-9a-f]{64}")
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Hosts:
    """Base URLs of the three hosts, without a trailing slash."""

    hub: str = constants.ENDPOINT
    github: str = "https://github.com"
    drive: str = "https://drive.usercontent.google.com"


HOSTS = Hosts()
NAMES = {"hub": "The Hub", "github": "GitHub", "drive": "Google Drive"}


class MissingFile(CheckpointError):
    """The repository exists, but not the file."""


@dataclass(frozen=True)
class Remote:
    """A file as announced by its host."""

    host: str  # a key of ``NAMES``
    address: str  # requested anew for each attempt, because redirects expire
    size: int | None = None  # in bytes; None if not announced
    etag: str = ""
    commit: str = ""  # on the Hub

    @property
    def sha256(self) -> str:
        """SHA-256 of the content; empty if the host does not announce it."""
        return self.etag if _SHA256.fullmatch(self.etag) else ""


@contextmanager
def client() -> Iterator[httpx.Client]:
    """An HTTP client that gives up after ``SECONDS`` of silence."""
    headers = {"Accept-Encoding": "identity", "User-Agent": "ezclip"}
    with httpx.Client(timeout=SECONDS, follow_redirects=True, headers=headers) as http:
        yield http


def query_hub(http: httpx.Client, base: str, repo: str, revision: str, file: str) -> Remote:
    """Query a file of a repository; raises ``MissingFile`` if it does not exist, else CheckpointError."""
    if constants.HF_HUB_OFFLINE:
        raise CheckpointError("Offline mode is on (HF_HUB_OFFLINE); unset it to download.")
    address = url = f"{base}/{repo}/resolve/{revision}/{file}"
    response = _head(http, "hub", url, headers=build_hf_headers(), follow_redirects=False)
    for _ in range(_HOPS):  # follow renamed repositories, but not to the content, which has no X-Linked-Etag
        location = response.headers.get("location", "")
        if response.status_code not in _REDIRECTS or not location.startswith("/"):
            break
        url = urljoin(url, location)
        response = _head(http, "hub", url, headers=build_hf_headers(), follow_redirects=False)
    if response.status_code >= 400:
        raise _refusal("hub", response)
    headers = response.headers
    etag = headers.get("x-linked-etag", headers.get("etag", "")).removeprefix("W/").strip('"')
    commit, size = headers.get("x-repo-commit", ""), headers.get("x-linked-size", _length(response))
    if not re.fullmatch(r"[0-9a-f]{40}", commit) or not re.fullmatch(r"[\w-]+", etag):
        raise CheckpointError("What answered is not the Hub; check HF_ENDPOINT and the proxy.")
    return Remote("hub", address, int(size) if size else None, etag, commit)


def query_github(http: httpx.Client, base: str, path: str, file: str) -> Remote:
    """Query a file of a release; raises CheckpointError."""
    response = _head(http, "github", address := f"{base}/{path}/{file}")
    if response.status_code >= 400:
        raise _refusal("github", response)
    return _parse_headers("github", address, response)


def query_drive(http: httpx.Client, base: str, file_id: str) -> Remote:
    """Query a file by its id, passing through Drive's confirmation page if needed; raises CheckpointError."""
    address = f"{base}/download?id={file_id}&export=download&confirm=t"
    for is_last in (False, True):
        try:
            with http.stream("GET", address) as response:  # Drive's reply to HEAD is not documented
                if response.status_code == 200 and "content-disposition" in response.headers:
                    return _parse_headers("drive", address, response)
                response.read()
        except httpx.HTTPError as error:
            raise unreachable_error("drive") from error
        form = _Page(response.text)
        if response.status_code >= 400 or is_last or not form.fields:
            raise _refusal("drive", response)
        address = str(httpx.URL(urljoin(address, form.action)).copy_merge_params(form.fields))
    raise AssertionError


def _parse_headers(host: str, address: str, response: httpx.Response) -> Remote:
    length = _length(response)
    return Remote(host, address, int(length) if length else None, response.headers.get("etag", "").strip('"'))


def _length(response: httpx.Response) -> str:
    return response.headers.get("content-length", "")


def _head(http: httpx.Client, host: str, address: str, **options: Any) -> httpx.Response:
    try:
        return http.head(address, **options)
    except httpx.HTTPError as error:
        raise unreachable_error(host) from error


class _Page(HTMLParser):
    """Drive's HTML page: the action and hidden fields of its confirmation form, and the reason of a refusal."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.action, self.fields, self._in_form = "", {}, False
        self.feed(text)
        match = re.search(r'class="uc-error-subcaption"[^>]*>(.*?)</', text, re.S)
        self.reason = unescape(re.sub("<[^>]*>", "", match[1])) if match else ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the form."""
        values = dict(attrs)
        if tag == "form":
            self._in_form = values.get("id") == "download-form"
            self.action = values.get("action") or "" if self._in_form else self.action
        elif tag == "input" and self._in_form and values.get("type") == "hidden" and values.get("name"):
            self.fields[values["name"]] = values.get("value") or ""


def unreachable_error(host: str) -> CheckpointError:
    """No network, name server or proxy, or no response."""
    return CheckpointError(
        f"{NAMES[host]} cannot be reached from this machine. Everything already downloaded works without a network."
    )


def _refusal(host: str, response: httpx.Response) -> CheckpointError:
    """The error for a refused download, with the reason from Drive's page."""
    status, code = response.status_code, response.headers.get("x-error-code", "")
    if host == "hub":
        if code == "GatedRepo":
            return CheckpointError("The repository is gated: request access on its page, then run `hf auth login`.")
        if code == "RevisionNotFound":
            return CheckpointError("This version was withdrawn; update ezclip.")
        if code == "EntryNotFound":
            return MissingFile("The repository no longer has this file.")
        if status in (401, 404):
            return CheckpointError("The Hub has no such repository, or it is private.")
    if host == "github" and status == 404:
        return CheckpointError("GitHub no longer has this file.")
    if host == "drive":
        text = response.text
        if status == 403 or "Too many users" in text:
            return CheckpointError("Google Drive has reached its daily limit for this file. Try again tomorrow.")
        if status in (401, 404) or "accounts.google.com" in text or response.url.host == "accounts.google.com":
            return CheckpointError(
                "The authors' file is no longer public at this address; ask on github.com/Shahzadnit/EZ-CLIP."
            )
        if status < 400:
            reason = _Page(text).reason
            ending = f": {reason.strip().rstrip('.')}." if reason else " of an unexpected kind."
            return CheckpointError(f"Google Drive answered with a page{ending}")
    return CheckpointError(f"{NAMES[host]} is busy or refuses ({status}); try again in a few minutes.")


def check_space(folder: Path, size: float) -> None:
    """Raise CheckpointError unless ``size`` bytes are free on the disk of ``folder``, which need not exist."""
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free < size:
        raise CheckpointError(
            f"{size / 1e9:.1f} GB is needed and {free / 1e9:.1f} GB is free on the disk of {folder.name}/."
        )


def partial_path(remote: Remote, target: Path) -> Path:
    """Path of the partial download, which depends on the version of the remote file."""
    version = hashlib.sha256(f"{remote.etag} {remote.size}".encode()).hexdigest()[:12]
    return target.with_name(f".{target.name}.{version}{PARTIAL}")


def partial_size(remote: Remote, target: Path) -> int:
    """Bytes of the partial download."""
    part = partial_path(remote, target)
    return part.stat().st_size if part.is_file() else 0


def transfer(http: httpx.Client, remote: Remote, target: Path, report: Report, *, start: bytes = b"") -> str:
    """Download a file to ``target``, resuming a partial download and broken connections.

    Args:
        http: from ``client``.
        remote: from one of the ``query`` functions.
        target: path of the file; it is created only after size and SHA-256 are verified.
        report: receives the fraction done; an exception it raises cancels the transfer within ``SECONDS`` and keeps
            the partial download.
        start: required first bytes of the file.

    Returns:
        The SHA-256 of the file.

    Raises:
        CheckpointError: interrupted, refused, or not the announced file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = partial_path(remote, target)
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            lock.acquire(timeout=0.1)
            break
        except Timeout as error:
            report(0.0)
            if time.monotonic() > deadline:
                raise CheckpointError("This file is being downloaded already; wait for that.") from error
    try:
        digest = _receive(http, remote, part, report, start)
        if remote.sha256 not in ("", digest):
            part.unlink()
            raise CheckpointError("The checksum does not match; download the file again.")
        sync(part)
        part.replace(target)
        return digest
    finally:
        lock.release()


def _receive(http: httpx.Client, remote: Remote, part: Path, report: Report, start: bytes) -> str:
    """Download to ``part`` up to the announced size; returns the SHA-256."""
    digest, size = hashlib.sha256(), remote.size
    with part.open("a+b") as file:
        if size is None:  # cannot check that it is the same file
            file.truncate(0)
        file.seek(0)
        while block := file.read(1 << 20):
            digest.update(block)
            report(file.tell() / size if size else 0.0)
        furthest = file.tell()  # give up after an attempt without progress
        while True:
            offset = file.tell()
            if size is not None and offset == size:
                return digest.hexdigest()
            headers = {"Range": f"bytes={offset}-"} if offset else {}
            headers |= build_hf_headers() if remote.host == "hub" else {}
            try:
                with http.stream("GET", remote.address, headers=headers) as response:
                    span = _RANGE.fullmatch(response.headers.get("content-range", ""))
                    resumes = span and (int(span[1]), int(span[2])) == (offset, size or int(span[2]))
                    if response.status_code != 206 or not resumes:
                        _check_response(response, remote.host)
                        file.seek(0)
                        file.truncate()
                        digest = hashlib.sha256()
                        size = size if size is not None else int(_length(response) or 0) or None
                    for chunk in response.iter_raw():
                        if file.tell() == 0 and not chunk.startswith(start):
                            raise unexpected_file_error()
                        file.write(chunk)
                        digest.update(chunk)
                        report(min(1.0, file.tell() / size) if size else 0.0)
            except httpx.ConnectError as error:
                raise stalled_error(remote.host, file.tell(), size) from error
            except httpx.TimeoutException as error:
                raise _interrupted(file.tell(), size) from error
            except httpx.HTTPError as error:
                if file.tell() <= furthest:
                    raise _interrupted(file.tell(), size) from error
                furthest = file.tell()
                file.flush()
                time.sleep(_PAUSE)
                continue
            file.flush()
            if size is None:
                return digest.hexdigest()
            if file.tell() > size:
                file.truncate(0)
                raise unexpected_file_error()
            if file.tell() <= furthest:
                raise _interrupted(file.tell(), size)
            furthest = file.tell()


def _check_response(response: httpx.Response, host: str) -> None:
    """Raise CheckpointError unless a response is a complete file."""
    is_page = host == "drive" and response.headers.get("content-type", "").startswith("text/html")
    if response.status_code != 200 or is_page:
        response.read()
        raise _refusal(host, response)


def stalled_error(host: str, received: int, size: int | None) -> CheckpointError:
    """The host became unreachable after ``received`` bytes."""
    return _interrupted(received, size) if received else unreachable_error(host)


def _interrupted(received: int, size: int | None) -> CheckpointError:
    total = f" of {size / 1e6:.0f}" if size else ""
    return CheckpointError(
        f"The download broke off at {received / 1e6:.0f}{total} MB; the partial download is kept, "
        "start it again to continue."
    )


def unexpected_file_error() -> CheckpointError:
    """The download is complete but is not a checkpoint."""
    return CheckpointError("The file at this address is not the expected checkpoint; it was not loaded.")
