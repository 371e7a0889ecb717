"""Ownership of uploads: a cookie identifies a browser, and only browsers that sent a file may use it.

Gradio itself serves an upload to any client that knows the salted hash of its content. Clients without a cookie are
distinguished from browsers, but not from each other.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

from gradio.processing_utils import hash_file

COOKIE = "ezclip-browser"
MAX_UPLOADS = 20_000  # uploads with known owners; their files are removed from the disk within an hour
_HASH = re.compile(rb"[0-9a-f]{64}", re.IGNORECASE)


class Owners:
    """The browsers that sent each upload.

    Args:
        public: files shipped with the app, which everybody may use whoever uploads them.
    """

    def __init__(self, public: Iterable[Path] = ()):
        self._public = {hash_file(path).encode() for path in public}
        self._browsers: dict[bytes, set[str]] = {}

    def add(self, response: bytes, browser: str) -> int:
        """Record the browser that sent the files named in the response to an upload; returns their number."""
        hashes = _hashes(response)
        for file_hash in hashes:
            if file_hash not in self._public:
                self._browsers.setdefault(file_hash, set()).add(browser)
        for oldest in list(self._browsers)[: max(0, len(self._browsers) - MAX_UPLOADS)]:
            del self._browsers[oldest]
        return len(hashes)

    def foreign(self, request: bytes, browser: str) -> bool:
        """Whether a request names an upload that this browser did not send."""
        return any(browser not in self._browsers.get(file_hash, {browser}) for file_hash in _hashes(request))


def _hashes(text: bytes) -> list[bytes]:
    """The hashes in a text, including those written with JSON escapes."""
    if b"\\u" in text:
        try:
            text = json.dumps(json.loads(text)).encode()
        except ValueError:
            pass  # Gradio rejects it
    return [match.lower() for match in _HASH.findall(text)]


def browser_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The browser identified by a request's cookie; empty without one."""
    cookie = next((value for name, value in headers if name == b"cookie"), b"")
    try:
        cookies: Mapping[str, Any] = SimpleCookie(cookie.decode("latin-1"))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def new_cookie(*, secure: bool) -> tuple[bytes, bytes]:
    """A header that sets a new cookie; over https it also works inside the iframe of a Space."""
    attributes = "SameSite=None; Secure; Partitioned" if secure else "SameSite=Lax"
    return b"set-cookie", f"{COOKIE}={secrets.token_urlsafe(24)}; Path=/; HttpOnly; {attributes}".encode()
