"""Class descriptions from the user's own language model: an OpenAI-compatible endpoint, or transformers."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from ezclip.errors import LabelError, UserError
from ezclip.progress import Progress, Steps
from ezclip.text.templates import read_descriptions
from ezclip.text.tokens import tokenize

Ask = Callable[[list[dict[str, str]]], str]  # a conversation to the model's answer
LEAST, MOST = 25, 45  # words
TRIES = 4


def problem(text: str) -> str:
    """Why a description cannot be used, or ""."""
    words = len(text.split())
    if not LEAST <= words <= MOST:
        return f"It has {words} words; it must have {LEAST} to {MOST}."
    if text[-1] not in ".!?" or "\n" in text:
        return "It must be full sentences in one paragraph."
    if tokenize([text])[1]:
        return "It has more than the 75 tokens that CLIP reads; use shorter words."
    return ""


def describe_label(label: str, ask: Ask) -> str:
    """One description; an answer that cannot be used is sent back with the reason, three times at most.

    Raises UserError where no answer could be used.
    """
    order = (
        f"Describe {label!r} as an action performed by humans, for somebody who has to find it among silent videos. "
        "Say what can be seen: bodies, hands, objects, place and movement. Write one or two full sentences of "
        f"{LEAST} to {MOST} words, without a title, and do not say what the action is for."
    )
    conversation = [{"role": "user", "content": order}]
    why = ""
    for _ in range(TRIES):
        answer = ask(conversation).strip()
        if not (why := problem(answer) if answer else "It is empty."):
            return answer
        conversation += [{"role": "assistant", "content": answer}, {"role": "user", "content": f"{why} Try again."}]
    raise UserError(f"The language model gave no usable description of {label!r} in {TRIES} tries. {why}")


def write_descriptions(labels: list[str], ask: Ask, out: Path) -> Steps[int]:
    """Describe every label and add it at once to ``out``, a CSV file in the release's format; the number of new rows.

    Existing rows are kept, also where a label cannot be described (UserError) or ``out`` is no such file (LabelError).
    """
    there = read_descriptions(out) if out.exists() and out.stat().st_size > len("number") else {}
    left = [label for label in labels if label not in there]
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if not there:
            writer.writerow(["number", "class", "description"])
        for i, label in enumerate(left):
            yield Progress(i / len(left), f"describing {label}")
            writer.writerow([len(there) + i, label, describe_label(label, ask)])
            file.flush()
    return len(left)


def endpoint(url: str, model: str, key: str) -> Ask:
    """A language model behind an OpenAI-compatible API, such as http://localhost:8000/v1.

    Raises UserError without the package openai; when called, where the endpoint is unreachable or refuses.
    """
    try:
        import openai
    except ImportError as error:
        raise UserError('An endpoint needs the package openai; run pip install "ezclip[describe]".') from error
    client = openai.OpenAI(base_url=url, api_key=key, max_retries=2)

    def ask(conversation: list[dict[str, str]]) -> str:
        try:
            answer = client.chat.completions.create(model=model, messages=conversation, max_tokens=200)  # type: ignore
        except openai.APIStatusError as error:
            raise UserError(f"The endpoint refused with status {error.status_code}; check model and key.") from error
        except openai.APIConnectionError as error:
            raise UserError(f"The endpoint {url} does not answer; check the address.") from error
        return answer.choices[0].message.content or ""

    return ask


def local(model: str) -> Ask:
    """A chat model of transformers, by its name on the Hub or its folder.

    Raises UserError without the package transformers, or for a model that cannot be loaded.
    """
    try:
        from transformers import pipeline
    except ImportError as error:
        raise UserError('A local model needs transformers; run pip install "ezclip[local]".') from error
    try:
        generate = pipeline("text-generation", model=model)
    except (OSError, ValueError) as error:
        raise UserError(f"transformers cannot load {Path(model).name}: {str(error).splitlines()[0]}") from error
    if generate.tokenizer is None or not generate.tokenizer.chat_template:
        raise LabelError(f"{Path(model).name} is not a chat model; use an instruction-tuned one.")
    return lambda conversation: generate(conversation, max_new_tokens=120)[0]["generated_text"][-1]["content"]
