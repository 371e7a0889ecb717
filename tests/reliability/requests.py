"""Plain HTTP requests to the app."""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from gradio_client import Client

ROOT = Path(__file__).parents[2]
TRACES = re.compile(r"Traceback|File \"/|site-packages")


def get(address: str, patience: float = 10) -> tuple[int, bytes]:
    """Status and body of an answer."""
    return request("GET", address, patience=patience)


def request(method: str, address: str, body: bytes | None = None, patience: float = 10) -> tuple[int, bytes]:
    """Status and body of the answer to a request, whose body is JSON."""
    sent = urllib.request.Request(address, body, {"content-type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(sent, timeout=patience) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except http.client.IncompleteRead as error:
        return 0, error.partial


def post(address: str, data: Any) -> tuple[int, Any]:
    """Status and JSON of the answer to a JSON body."""
    request = urllib.request.Request(address, json.dumps(data).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


def upload(url: str, name: str, content: bytes) -> tuple[int, str]:
    """Status and body of the answer to an upload."""
    boundary = "reliability"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
    body = head + content + f"\r\n--{boundary}--\r\n".encode()
    kind = {"content-type": f"multipart/form-data; boundary={boundary}"}
    request = urllib.request.Request(f"{url}/gradio_api/upload", body, kind)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except urllib.error.URLError:  # refused before the body was sent
        return 413, ""


def event(url: str, fn_index: int, data: list[Any], session: str, patience: float = 60) -> str:
    """Messages of the queue for an event (public or of the page) until it is complete."""
    body = {"fn_index": fn_index, "data": data, "session_hash": session}
    status, answer = post(f"{url}/gradio_api/queue/join", body)
    if status != 200:
        return str(answer)
    return get(f"{url}/gradio_api/queue/data?session_hash={session}", patience)[1].decode(errors="replace")


def asked(client: Client, endpoint: str, file: Any, labels: Any = "a, b") -> list[Any]:
    """The values of an endpoint's inputs, defaults for the rest."""
    inputs = next(one["inputs"] for one in client.config["dependencies"] if one["api_name"] == endpoint)
    return [file, labels, *([None] * (len(inputs) - 2))]


def file_data(url: str, clip: Path) -> dict[str, Any]:
    """Upload a clip and return the file data that a client sends."""
    return {"path": json.loads(upload(url, clip.name, clip.read_bytes())[1])[0], "meta": {"_type": "gradio.FileData"}}
