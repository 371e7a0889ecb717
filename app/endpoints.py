"""The named endpoints: one for each study, derived from its declaration, and the list of models.

They are public: CHANGELOG lists their changes. An endpoint's former name works for one more version.
"""

import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from app.actions.uploads import unpacked_zip
from app.controls import input_of
from app.events import MODEL, client_left
from app.services import Services
from app.zero_gpu import CLIP, LONG, on_gpu
from ezclip.checkpoints.cards import shipped_variants
from ezclip.checkpoints.catalog import DEFAULT
from ezclip.errors import UserError, as_user_error
from ezclip.parameters import Declared, build, declared
from ezclip.progress import Watch
from ezclip.studies import STUDIES
from ezclip.studies.declaration import Alias, Study
from ezclip.types import Document, Keywords
from ezclip.video.pictures import PICTURE_SUFFIXES

log = logging.getLogger(__name__)


def add_endpoints(services: Services) -> None:
    """Add the endpoints; their inputs are components that the page does not show."""
    answer = gr.JSON(visible=False, label="answer")
    files = gr.File(visible=False, label="files", file_count="multiple")

    def add(name: str, action: Callable[..., Any], inputs: list[Any], outputs: Any) -> None:
        public: Keywords = {"api_visibility": "public", "api_name": name, "api_description": action.__doc__}
        gr.Button(visible=False).click(action, inputs, outputs, **(MODEL | public))

    for study in STUDIES.values():
        for alias in (None, *study.aliases):
            action, inputs = endpoint(services, study, alias)
            timed = on_gpu(action, LONG if study.long else CLIP)
            add(action.__name__, timed, inputs, [answer, files] if study.files else answer)

    def on_models() -> list[Document]:
        """The cards of all models; the JSON of ``python -m ezclip models --json``."""
        return [services.card(name) for name in services.model_names()]

    add("models", on_models, [], answer)


def endpoint(
    services: Services, study: type[Study], alias: Alias | None = None
) -> tuple[Callable[..., Any], list[Any]]:
    """The function of a study's endpoint, with its parameters as a signature, and their invisible components."""
    alias = alias or Alias(study.verb, old=False)
    renamed = dict(alias.parameters)
    parameters = declared(study)
    names = [renamed.get(one.name, one.name) for one in parameters]
    usual = {one.name: one.default for one in parameters}
    if usual.get("model") == DEFAULT:
        usual["model"] = services.default
    defaults = list((usual | dict(alias.defaults)).values())

    def call(*values: Any) -> Any:
        if alias.old:
            message = f"/{alias.name} is now called /{study.verb}; the old name is deprecated."
            log.warning(message)
            gr.Warning(message)
        try:
            given = {
                one.name: _read(services, one, default if value is None else value)
                for one, value, default in zip(parameters, values, defaults, strict=True)
            }
            made = build(study, given)
            for name in made.models():
                services.check(name)  # other models are not read
            watch = Watch(services.run(made))
            for _ in watch:
                if client_left():
                    watch.close()
                    raise gr.Error("The client has left.", print_exception=False)
            result = watch.result
            if not study.files:
                return result.as_json()
            written = result.write(services.scratch())
            listed = {"files": {name: Path(path).name for name, path in written.items()}}
            return result.as_json() | listed, [str(path) for path in written.values()]
        except gr.Error:
            raise
        except Exception as error:
            raise gr.Error(str(as_user_error(error)), print_exception=False) from error

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    call.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])  # type: ignore
    call.__name__ = alias.name
    call.__doc__ = f"{(study.__doc__ or '').split(chr(10))[0]} The JSON of ``python -m ezclip {study.verb} --json``."
    inputs = [input_of(one, default, name) for one, default, name in zip(parameters, defaults, names, strict=True)]
    return call, inputs


def _read(services: Services, one: Declared, value: Any) -> Any:
    """A parameter's value from what a client sends."""
    kind = one.parameter.kind
    if kind == "archive":
        return str(unpacked_zip(services, value or ""))
    if kind == "table" and value and value not in shipped_variants():
        if not services.typed and not Path(value).resolve().is_relative_to(Path(get_upload_folder()).resolve()):
            raise UserError(f"There are no such shipped results; choose one of {', '.join(shipped_variants())}.")
    if kind == "index" and value and not services.typed:
        raise UserError("Folders are read only where the app serves its own machine; use ezclip search there.")
    if kind in ("clips", "stream"):
        for path in map(Path, value or ()):
            if kind == "stream" and path.suffix.lower() not in PICTURE_SUFFIXES:
                raise UserError(f"{path.name} is not a picture; give JPEG, PNG or WebP files in time order.")
        return tuple(value or ())
    if kind == "models" and isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    if one.type is int and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
