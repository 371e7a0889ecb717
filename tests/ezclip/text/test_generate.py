"""Descriptions from a language model: a stand-in endpoint over HTTP, and a tiny local model with random weights."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from pytest import CaptureFixture

from ezclip.cli import main
from ezclip.text.generate import problem
from ezclip.text.templates import read_descriptions

GOOD = (
    "A person stands at a table and moves a small object with one hand from one side to the other while the camera "
    "stays still and nothing else in the picture moves."
)


@pytest.fixture
def endpoint() -> Iterator[tuple[str, list[dict]]]:
    """Address of a model whose first answer for each class is too short, and the requests it received."""
    requests: list[dict] = []

    class Model(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append(request | {"path": self.path, "key": self.headers["Authorization"]})
            if "waiting" in request["messages"][0]["content"]:
                self.send_response(401)
                self.end_headers()
                return
            text = "Too short." if len(request["messages"]) == 1 else GOOD
            answer = {
                "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}]
            }
            body = json.dumps({"id": "1", "object": "chat.completion", "created": 0, "model": "m", **answer}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", requests
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_an_endpoint_describes_what_is_left(
    endpoint: tuple[str, list[dict]], tmp_path: Path, capsys: CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, requests = endpoint
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    out = tmp_path / "mine.csv"
    command = ["describe", "--out", str(out), "--endpoint", address, "--llm", "small"]
    assert main([*command, "--labels", "waving, pouring"]) == 0
    assert read_descriptions(out) == {"waving": GOOD, "pouring": GOOD}
    assert [(r["path"], r["model"], r["key"]) for r in requests] == [
        ("/v1/chat/completions", "small", "Bearer secret")
    ] * 4
    assert "'waving' as an action performed by humans" in requests[0]["messages"][0]["content"]
    assert "It has 2 words" in requests[1]["messages"][-1]["content"]

    assert main([*command, "--labels", "waving, pouring, lifting, waiting"]) == 2
    assert "status 401" in capsys.readouterr().err
    assert list(read_descriptions(out)) == ["waving", "pouring", "lifting"], "what was described stays"
    assert [r["messages"][0]["content"].split("'")[1] for r in requests[4:]] == ["lifting", "lifting", "waiting"]
    assert (
        main(["describe", "--out", str(out), "--endpoint", "http://127.0.0.1:9/v1", "--llm", "x", "--labels", "a"]) == 2
    )
    assert "does not answer" in capsys.readouterr().err


def test_a_local_model_that_cannot_write_is_given_up(tmp_path: Path, capsys: CaptureFixture[str]) -> None:
    import tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    letters = tokenizers.Tokenizer(tokenizers.models.BPE({chr(i): i for i in range(32, 127)}, [], unk_token=" "))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters, eos_token="~")
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    tokenizer.save_pretrained(tmp_path / "tiny")
    GPT2LMHeadModel(GPT2Config(vocab_size=128, n_positions=2048, n_embd=8, n_layer=1, n_head=1)).save_pretrained(
        tmp_path / "tiny"
    )
    command = ["describe", "--out", str(tmp_path / "d.csv"), "--labels", "waving", "--llm"]
    assert main([*command, str(tmp_path / "tiny")]) == 2
    assert "no usable description of 'waving' in 4 tries" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "gone")]) == 2
    assert "transformers cannot load gone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (GOOD, ""),
        ("Waves.", "1 words"),
        (GOOD.removesuffix("."), "full sentences"),
        (" ".join(["photosynthesis-like"] * 40) + ".", "75 tokens"),
    ],
)
def test_what_a_description_must_be(text: str, why: str) -> None:
    assert why in problem(text) and bool(problem(text)) == bool(why)
