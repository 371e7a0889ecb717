"""Class descriptions from a user's language model: an OpenAI-compatible endpoint or transformers."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from ezclip.errors import LabelError, UserError
from ezclip.progress import Progress, Steps
from ezclip.text.templates import read_descriptions
from ezclip.text.tokens import tokenize

Ask = Callable[[list[dict[str, str]]], str]  # maps a conversation to the model's answer
MIN_WORDS, MAX_WORDS = 25, 45
ATTEMPTS = 4


def problem(text: str) -> str:
    """Why a description is invalid, or ""."""
    words = len(text.split())
    if not MIN_WORDS <= words <= MAX_WORDS:
        return f"It has {words} words; it must have {MIN_WORDS} to {MAX_WORDS}."
    if text[-1] not in ".!?" or "\n" in text:
        return "It must be full sentences in one paragraph."
    if tokenize([text])[1]:
        return "It has more than the 75 tokens that CLIP reads; use shorter words."
    return ""


def describe_label(label: str, ask: Ask) -> str:
    """Ask for a description; invalid answers are returned to the model with the reason, at most three times.

    Raises UserError if all answers are invalid.
    """
    prompt = (
        f"Describe {label!r} as an action performed by humans, for somebody who has to find it among silent videos. "
        "Say what can be seen: bodies, hands, objects, place and movement. Write one or two full sentences of "
        f"{MIN_WORDS} to {MAX_WORDS} words, without a title, and do not say what the action is for."
    )
    conversation = [{"role": "user", "content": prompt}]
    reason = ""
    for _ in range(ATTEMPTS):
        answer = ask(conversation).strip()
        if not (reason := problem(answer) if answer else "It is empty."):
            return answer
        conversation += [{"role": "assistant", "content": answer}, {"role": "user", "content": f"{reason} Try again."}]
    raise UserError(f"The language model gave no usable description of {label!r} in {ATTEMPTS} tries. {reason}")


def write_descriptions(labels: list[str], ask: Ask, out: Path) -> Steps[int]:
    """Append descriptions of all labels that lack one to ``out``, a CSV file in the release's format.

    Each row is written at once and existing rows are kept, even if a label cannot be described (UserError) or ``out``
    has another format (LabelError). Returns the number of new rows.
    """
    existing = read_descriptions(out) if out.exists() and out.stat().st_size > len("number") else {}
    missing = [label for label in labels if label not in existing]
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if not existing:
            writer.writerow(["number", "class", "description"])
        for i, label in enumerate(missing):
            yield Progress(i / len(missing), f"describing {label}")
            writer.writerow([len(existing) + i, label, describe_label(label, ask)])
            file.flush()
    return len(missing)


def endpoint(url: str, model: str, key: str) -> Ask:
    """A language model behind an OpenAI-compatible API, such as http://localhost:8000/v1.

    Raises UserError if the package openai is missing; calls raise it if the endpoint is unreachable or refuses.
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
    """A chat model of transformers, given by its name on the Hub or its folder.

    Raises UserError if the package transformers is missing or the model cannot be loaded.
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
