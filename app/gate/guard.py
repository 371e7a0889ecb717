"""ASGI middleware in front of Gradio: security headers, and limits on uploads."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

from app.gate.owners import Owners, browser_of, new_cookie

log = logging.getLogger(__name__)
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BYTES = 5_000_000_000  # of all stored uploads, see ``delete_cache`` in ``main``
MAX_FILES = 5_000
MAX_PER_CLIENT = 900  # files per address and hour, on a public server
HOUR = 3600.0
RESERVE = 500_000_000  # bytes of disk space that uploads must leave free
STALE_SECONDS = 60  # an upload without a write for this long has been interrupted
# Gradio's response to inputs that it rejects before they reach an endpoint.
NULL_ERROR = b'data: {"error": null}'
INPUT_ERROR = b'data: {"error": "The inputs do not fit this endpoint; /gradio_api/info describes them."}'
# Routes of Gradio that this page does not use; the first writes a file for each state of a session.
UNUSED = ("/gradio_api/deep_link", "/gradio_api/dev/", "/gradio_api/vibe-", "/gradio_api/undo-vibe-", "/monitoring")
FOREIGN = "This upload was made in another browser; upload the file again."
FULL = "The server's disk is nearly full; try again later, or with a smaller file."
# Gradio's page needs inline scripts and styles and compiles templates; no resource comes from another host. A Space
# embeds the page in an iframe of huggingface.co.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'self' https://huggingface.co https://*.hf.space"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-site",
}


class Guard:
    """ASGI middleware.

    Args:
        app: the application.
        max_bytes: total size of all uploads.
        max_files: total number of uploads.
        reserve: bytes of disk space to leave free.
        max_per_client: files per address and hour; None sets no limit.
        public: files shipped with the app, see ``Owners``.
    """

    def __init__(
        self,
        app: Any,
        *,
        max_bytes: float = MAX_BYTES,
        max_files: int = MAX_FILES,
        reserve: float = RESERVE,
        max_per_client: int | None = MAX_PER_CLIENT,
        public: Iterable[Path] = (),
    ):
        self.app, self.max_bytes, self.max_files, self.reserve = app, max_bytes, max_files, reserve
        self.max_per_client, self.owners = max_per_client, Owners(public)
        self._history: dict[str, deque[tuple[float, int]]] = defaultdict(deque)  # address -> (time, number of files)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reject uploads beyond the limits and uploads of other browsers; add headers, and messages to null errors."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        action = scope["path"].rstrip("/").rpartition("/")[2] if scope["method"] == "POST" else ""
        request_headers = scope.get("headers", [])
        browser, uploaded = browser_of(request_headers), False

        async def with_headers(message: Message) -> None:
            nonlocal uploaded
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                added = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in present]
                if not browser and scope["path"].rstrip("/") in ("", "/config"):
                    added.append(new_cookie(secure=scope.get("scheme") == "https"))
                message["headers"] = [*message["headers"], *added]
                uploaded = action == "upload" and message["status"] == 200
            elif message.get("body") and "/call/" in scope["path"]:
                message["body"] = message["body"].replace(NULL_ERROR, INPUT_ERROR)
            elif uploaded:
                count = self.owners.add(message.get("body", b""), browser)
                self._history[_address(scope)].append((time.time(), count))
            await send(message)

        if scope["path"].startswith(UNUSED):
            await _answer(with_headers, 404, "There is nothing here.")
            return
        if action != "upload":
            multipart = any(k == b"content-type" and v.startswith(b"multipart/") for k, v in request_headers)
            body = b""
            if action and not multipart:
                body, receive = await _read_body(receive)
            if any(self.owners.foreign(text, browser) for text in (body, scope["path"].encode())):
                await _answer(with_headers, 403, json.dumps({"detail": FOREIGN}))
                return
            with suppress(*([KeyError] if action == "cancel" else [])):
                await self.app(scope, receive, with_headers)
                return
            await _answer(send, 200, '{"success": true}')  # Gradio fails if the event ends in the meantime
            return
        length = next((int(v) for k, v in request_headers if k == b"content-length" and v.isdigit()), 0)
        if refusal := self.refusal(length, _address(scope)):
            await _answer(with_headers, 507, refusal)
            return
        start = time.time()
        try:
            await self.app(scope, receive, with_headers)
        except OSError:
            log.exception("an upload failed")
            uploads(untouched_since=time.time() + 1, not_before=start)
            await _answer(with_headers, 507, FULL)

    def refusal(self, length: int, address: str = "") -> str | None:
        """The reason to reject an upload of ``length`` bytes from an address, or None."""
        for entries in self._history.values():
            while entries and entries[0][0] < time.time() - HOUR:
                entries.popleft()
        self._history = defaultdict(deque, {key: entries for key, entries in self._history.items() if entries})
        if self.max_per_client is not None and sum(count for _, count in self._history[address]) >= self.max_per_client:
            return "You have sent too many files within an hour. Try again later, or send one zip."
        folder = Path(get_upload_folder())
        folder.mkdir(parents=True, exist_ok=True)
        sizes = uploads(untouched_since=time.time() - STALE_SECONDS)
        if shutil.disk_usage(folder).free - length < self.reserve:
            return FULL
        if len(sizes) >= self.max_files or sum(sizes) + length > self.max_bytes:
            return "The server holds too many uploads; they are removed within an hour. Try again later."
        return None


def uploads(*, untouched_since: float, not_before: float = 0.0) -> list[int]:
    """Remove interrupted uploads and return the sizes of the others.

    Gradio writes an unfinished upload into the root of its upload folder and moves it to a sub-folder when complete.

    Args:
        untouched_since: remove unfinished uploads without a write since this time,
        not_before: if they were written to after this time.
    """
    root, sizes = Path(get_upload_folder()), []
    for parent, _, names in os.walk(root):
        for file in (Path(parent) / name for name in names):
            with suppress(OSError):  # removed by another thread
                stat = file.stat()
                if Path(parent) == root and not_before <= stat.st_mtime < untouched_since:
                    file.unlink()
                else:
                    sizes.append(stat.st_size)
    return sizes


def _address(scope: Scope) -> str:
    return (scope.get("client") or ("", 0))[0]


async def _read_body(receive: Receive) -> tuple[bytes, Receive]:
    """The body of a request, and a ``receive`` that replays it."""
    messages = deque[Message]()
    while not messages or messages[-1].get("more_body"):
        messages.append(await receive())

    async def replay() -> Message:
        return messages.popleft() if messages else await receive()

    return b"".join(message.get("body", b"") for message in list(messages)), replay


async def _answer(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
