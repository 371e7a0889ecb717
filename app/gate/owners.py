"""Whose uploads are whose: a cookie names a browser, and only a browser that sent a file may use it.

Gradio finds an upload by the salted hash of its content, whoever asks. A client that keeps no cookie is told apart from
those that do, but not from others of its kind.
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
MOST = 20_000  # uploads whose owners are kept; they are removed from the disk within an hour
_HASH = re.compile(rb"[0-9a-f]{64}", re.IGNORECASE)


class Owners:
    """The browsers that sent each upload.

    Args:
        public: files of the app's own, which stay everybody's whoever uploads them, too.
    """

    def __init__(self, public: Iterable[Path] = ()):
        self._public = {hash_file(path).encode() for path in public}
        self._of: dict[bytes, set[str]] = {}

    def add(self, answer: bytes, browser: str) -> int:
        """Note who sent the files that the answer to an upload names; returns how many there are."""
        named = _hashes(answer)
        for name in named:
            if name not in self._public:
                self._of.setdefault(name, set()).add(browser)
        for oldest in list(self._of)[: max(0, len(self._of) - MOST)]:
            del self._of[oldest]
        return len(named)

    def foreign(self, request: bytes, browser: str) -> bool:
        """Whether a request names an upload that this browser did not send."""
        return any(browser not in self._of.get(name, {browser}) for name in _hashes(request))


def _hashes(text: bytes) -> list[bytes]:
    """The hashes that occur in a text, also those that JSON writes with escapes."""
    if b"\\u" in text:
        try:
            text = json.dumps(json.loads(text)).encode()
        except ValueError:
            pass  # Gradio refuses it
    return [found.lower() for found in _HASH.findall(text)]


def browser_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The name that a request's cookie gives, or an empty one."""
    sent = next((value for name, value in headers if name == b"cookie"), b"")
    try:
        cookies: Mapping[str, Any] = SimpleCookie(sent.decode("latin-1"))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def new_cookie(*, secure: bool) -> tuple[bytes, bytes]:
    """A header that names a browser; over https it also holds inside the frame of a Space."""
    rules = "SameSite=None; Secure; Partitioned" if secure else "SameSite=Lax"
    return b"set-cookie", f"{COOKIE}={secrets.token_urlsafe(24)}; Path=/; HttpOnly; {rules}".encode()
