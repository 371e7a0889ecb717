"""What stands before Gradio on every request: security headers, and limits on what uploads may fill."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

log = logging.getLogger(__name__)
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MOST_BYTES = 5_000_000_000  # of all uploads that are kept, see ``delete_cache`` in ``main``
MOST_FILES = 5_000
RESERVE = 500_000_000  # bytes of the disk that uploads never fill
STALE_SECONDS = 60  # without a byte, after which an upload has broken off
# Gradio's answer to inputs that it refuses itself, before an endpoint sees them.
SPEECHLESS = b'data: {"error": null}'
EXPLAINED = b'data: {"error": "The inputs do not fit this endpoint; /gradio_api/info describes them."}'
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
    """

    def __init__(
        self, app: Any, *, most_bytes: float = MOST_BYTES, most_files: int = MOST_FILES, reserve: float = RESERVE
    ):
        self.app, self.most_bytes, self.most_files, self.reserve = app, most_bytes, most_files, reserve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse an upload for which there is no room; add the headers to every answer, and a sentence to an error."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                added = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in given]
                message["headers"] = [*message["headers"], *added]
            elif message.get("body") and "/call/" in scope["path"]:
                message["body"] = message["body"].replace(SPEECHLESS, EXPLAINED)
            await send(message)

        asked = scope["path"].rstrip("/").rpartition("/")[2] if scope["method"] == "POST" else ""
        if asked != "upload":
            with suppress(*([KeyError] if asked == "cancel" else [])):
                await self.app(scope, receive, with_headers)
                return
            await _answer(send, 200, '{"success": true}')  # Gradio's own error where an event ends meanwhile
            return
        length = next((int(v) for k, v in scope["headers"] if k == b"content-length" and v.isdigit()), 0)
        if refusal := self.refusal(length):
            await _answer(with_headers, 507, refusal)
            return
        began = time.time()
        try:
            await self.app(scope, receive, with_headers)
        except OSError:
            log.exception("an upload failed")
            uploads(untouched_since=time.time() + 1, not_before=began)
            await _answer(with_headers, 507, FULL)

    def refusal(self, length: int) -> str | None:
        """Why an upload of ``length`` bytes cannot be taken now, or None."""
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


async def _answer(send: Send, status: int, sentence: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence.encode()})
