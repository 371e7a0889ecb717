"""What stands before Gradio on every request: security headers, and limits on what uploads may fill."""

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

MOST_BYTES = 5_000_000_000  # of all uploads that are kept, see ``delete_cache`` in ``main``
MOST_FILES = 5_000
MOST_EACH = 900  # files that one address uploads within an hour, where the app is open to others
HOUR = 3600.0
RESERVE = 500_000_000  # bytes of the disk that uploads never fill
STALE_SECONDS = 60  # without a byte, after which an upload has broken off
# Gradio's answer to inputs that it refuses itself, before an endpoint sees them.
SPEECHLESS = b'data: {"error": null}'
EXPLAINED = b'data: {"error": "The inputs do not fit this endpoint; /gradio_api/info describes them."}'
# Gradio's routes that this page has no use for; the first writes a file for each state of a session.
UNUSED = ("/gradio_api/deep_link", "/gradio_api/dev/", "/gradio_api/vibe-", "/gradio_api/undo-vibe-", "/monitoring")
FOREIGN = "This upload was made in another browser; upload the file again."
FULL = "The server's disk is nearly full; try again later, or with a smaller file."
# Gradio's page needs inline scripts and styles and compiles templates; nothing comes from another host. A Space shows
# the page in a frame of huggingface.co.
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
        app: what it guards.
        most_bytes: of all uploads together.
        most_files: of all uploads together.
        reserve: bytes of the disk that stay free.
        most_each: files that one address uploads within an hour; None sets no limit.
        public: files of the app's own, see ``Owners``.
    """

    def __init__(
        self,
        app: Any,
        *,
        most_bytes: float = MOST_BYTES,
        most_files: int = MOST_FILES,
        reserve: float = RESERVE,
        most_each: int | None = MOST_EACH,
        public: Iterable[Path] = (),
    ):
        self.app, self.most_bytes, self.most_files, self.reserve = app, most_bytes, most_files, reserve
        self.most_each, self.owners = most_each, Owners(public)
        self._sent: dict[str, deque[tuple[float, int]]] = defaultdict(deque)  # when an address sent how many files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse uploads without room and those of others; add headers to every answer, and a sentence to an error."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = scope["path"].rstrip("/").rpartition("/")[2] if scope["method"] == "POST" else ""
        given_headers = scope.get("headers", [])
        browser, uploaded = browser_of(given_headers), False

        async def with_headers(message: Message) -> None:
            nonlocal uploaded
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                added = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in given]
                if not browser and scope["path"].rstrip("/") in ("", "/config"):
                    added.append(new_cookie(secure=scope.get("scheme") == "https"))
                message["headers"] = [*message["headers"], *added]
                uploaded = asked == "upload" and message["status"] == 200
            elif message.get("body") and "/call/" in scope["path"]:
                message["body"] = message["body"].replace(SPEECHLESS, EXPLAINED)
            elif uploaded:
                count = self.owners.add(message.get("body", b""), browser)
                self._sent[_address(scope)].append((time.time(), count))
            await send(message)

        if scope["path"].startswith(UNUSED):
            await _answer(with_headers, 404, "There is nothing here.")
            return
        if asked != "upload":
            form = any(k == b"content-type" and v.startswith(b"multipart/") for k, v in given_headers)
            content = b""
            if asked and not form:
                content, receive = await _read(receive)
            if any(self.owners.foreign(named, browser) for named in (content, scope["path"].encode())):
                await _answer(with_headers, 403, json.dumps({"detail": FOREIGN}))
                return
            with suppress(*([KeyError] if asked == "cancel" else [])):
                await self.app(scope, receive, with_headers)
                return
            await _answer(send, 200, '{"success": true}')  # Gradio's own error where an event ends meanwhile
            return
        length = next((int(v) for k, v in given_headers if k == b"content-length" and v.isdigit()), 0)
        if refusal := self.refusal(length, _address(scope)):
            await _answer(with_headers, 507, refusal)
            return
        began = time.time()
        try:
            await self.app(scope, receive, with_headers)
        except OSError:
            log.exception("an upload failed")
            uploads(untouched_since=time.time() + 1, not_before=began)
            await _answer(with_headers, 507, FULL)

    def refusal(self, length: int, address: str = "") -> str | None:
        """Why an upload of ``length`` bytes from an address cannot be taken now, or None."""
        for sent in self._sent.values():
            while sent and sent[0][0] < time.time() - HOUR:
                sent.popleft()
        self._sent = defaultdict(deque, {key: sent for key, sent in self._sent.items() if sent})
        if self.most_each is not None and sum(count for _, count in self._sent[address]) >= self.most_each:
            return "You have sent too many files within an hour. Try again later, or send one zip."
        folder = Path(get_upload_folder())
        folder.mkdir(parents=True, exist_ok=True)
        kept = uploads(untouched_since=time.time() - STALE_SECONDS)
        if shutil.disk_usage(folder).free - length < self.reserve:
            return FULL
        if len(kept) >= self.most_files or sum(kept) + length > self.most_bytes:
            return "The server holds too many uploads; they are removed within an hour. Try again later."
        return None


def uploads(*, untouched_since: float, not_before: float = 0.0) -> list[int]:
    """The sizes of the uploads, after removing those that broke off.

    Gradio writes an upload into the folder itself and moves it into one of its own when it is whole.

    Args:
        untouched_since: remove unfinished ones without a write since this time.
        not_before: but only those written to after this time.
    """
    root, sizes = Path(get_upload_folder()), []
    for parent, _, names in os.walk(root):
        for file in (Path(parent) / name for name in names):
            with suppress(OSError):  # removed by another thread
                found = file.stat()
                if Path(parent) == root and not_before <= found.st_mtime < untouched_since:
                    file.unlink()
                else:
                    sizes.append(found.st_size)
    return sizes


def _address(scope: Scope) -> str:
    return (scope.get("client") or ("", 0))[0]


async def _read(receive: Receive) -> tuple[bytes, Receive]:
    """The body of a request, and what reads it once more."""
    messages = deque[Message]()
    while not messages or messages[-1].get("more_body"):
        messages.append(await receive())

    async def again() -> Message:
        return messages.popleft() if messages else await receive()

    return b"".join(message.get("body", b"") for message in list(messages)), again


async def _answer(send: Send, status: int, sentence: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence.encode()})
