"""The named endpoints: one per study, derived from its declaration, and the list of models.

They are public: CHANGELOG lists their changes. A deprecated name of an endpoint works for one more version.
"""

import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from app.actions.uploads import unpack_zip
from app.controls import endpoint_input
from app.events import MODEL, client_disconnected
from app.services import Services
from app.zero_gpu import CLIP, LONG, on_gpu
from ezclip.checkpoints.cards import shipped_variants
from ezclip.checkpoints.catalog import DEFAULT
from ezclip.errors import UserError, as_user_error
from ezclip.parameters import ParameterField, build, parameters_of
from ezclip.progress import Watch
from ezclip.studies import all_studies
from ezclip.studies.declaration import Alias, Study
from ezclip.types import Document, Keywords
from ezclip.video.pictures import PICTURE_SUFFIXES

log = logging.getLogger(__name__)


def add_endpoints(services: Services) -> None:
    """Add the endpoints; their inputs are invisible components."""
    answer = gr.JSON(visible=False, label="answer")
    files = gr.File(visible=False, label="files", file_count="multiple")

    def add(name: str, action: Callable[..., Any], inputs: list[Any], outputs: Any) -> None:
        public: Keywords = {"api_visibility": "public", "api_name": name, "api_description": action.__doc__}
        gr.Button(visible=False).click(action, inputs, outputs, **(MODEL | public))

    for study in all_studies():
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
    """The function of a study's endpoint, with the parameters as its signature, and their invisible components."""
    alias = alias or Alias(study.verb, old=False)
    renamed = dict(alias.parameters)
    parameters = parameters_of(study)
    names = [renamed.get(field.name, field.name) for field in parameters]
    defaults_by_name = {field.name: field.default for field in parameters}
    if defaults_by_name.get("model") == DEFAULT:
        defaults_by_name["model"] = services.default
    defaults = list((defaults_by_name | dict(alias.defaults)).values())

    def call(*values: Any) -> Any:
        if alias.old:
            message = f"/{alias.name} is now called /{study.verb}; the old name is deprecated."
            log.warning(message)
            gr.Warning(message)
        try:
            arguments = {
                field.name: _parse_value(services, field, default if value is None else value)
                for field, value, default in zip(parameters, values, defaults, strict=True)
            }
            request = build(study, arguments)
            for name in request.models():
                services.check(name)  # read no model that is not offered
            watch = Watch(services.run(request))
            for _ in watch:
                if client_disconnected():
                    watch.close()
                    raise gr.Error("The client has left.", print_exception=False)
            result = watch.result
            if not study.files:
                return result.as_json()
            paths = result.write(services.scratch())
            files = {"files": {name: Path(path).name for name, path in paths.items()}}
            return result.as_json() | files, [str(path) for path in paths.values()]
        except gr.Error:
            raise
        except Exception as error:
            raise gr.Error(str(as_user_error(error)), print_exception=False) from error

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    call.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])  # type: ignore
    call.__name__ = alias.name
    call.__doc__ = f"{(study.__doc__ or '').split(chr(10))[0]} The JSON of ``python -m ezclip {study.verb} --json``."
    inputs = [endpoint_input(*spec) for spec in zip(parameters, defaults, names, strict=True)]
    return call, inputs


def _parse_value(services: Services, field: ParameterField, value: Any) -> Any:
    """Convert a value sent by a client to the value of a parameter."""
    kind = field.parameter.kind
    if kind == "archive":
        return str(unpack_zip(services, value or ""))
    if kind == "table" and value and value not in shipped_variants():
        if not services.local and not Path(value).resolve().is_relative_to(Path(get_upload_folder()).resolve()):
            raise UserError(f"There are no such shipped results; choose one of {', '.join(shipped_variants())}.")
    if kind == "index" and value and not services.local:
        raise UserError("Folders are read only where the app serves its own machine; use ezclip search there.")
    if kind in ("clips", "stream"):
        for path in map(Path, value or ()):
            if kind == "stream" and path.suffix.lower() not in PICTURE_SUFFIXES:
                raise UserError(f"{path.name} is not a picture; give JPEG, PNG or WebP files in time order.")
        return tuple(value or ())
    if kind == "models" and isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    if field.type is int and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
