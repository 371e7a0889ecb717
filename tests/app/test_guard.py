"""The middleware before Gradio; ``tests/reliability`` tests the limits on uploads."""

import asyncio

import pytest

from app.gate.guard import Guard, Message, Receive, Scope, Send


def answers(path: str) -> list[Message]:
    """The answer to a client if Gradio fails, as when an event ends while it is cancelled."""
    sent: list[Message] = []

    async def gradio(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError("an event")

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Guard(gradio)({"type": "http", "method": "POST", "path": path}, receive, send))
    return sent


def test_a_cancel_that_comes_too_late_succeeds() -> None:
    start, body = answers("/gradio_api/cancel")
    assert start["status"] == 200 and body["body"] == b'{"success": true}'
    with pytest.raises(KeyError):
        answers("/gradio_api/queue/join")
