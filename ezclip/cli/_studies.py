"""The commands of the studies, derived from their declarations."""

from __future__ import annotations

import dataclasses
import json
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_origin

import tyro

from ezclip.checkpoints.catalog import check_model_name
from ezclip.cli._shared import check_out, labels_from_options, print_json, warn
from ezclip.errors import ConfigError, LabelError, UserError, VideoError
from ezclip.parameters import ParameterField, build, parameters_of
from ezclip.progress import Watch, on_terminal
from ezclip.studies.declaration import SET_PREFIX, Study
from ezclip.text.labels import label_sets
from ezclip.text.templates import read_descriptions
from ezclip.types import Document

if TYPE_CHECKING:
    from ezclip.studies.declaration import Result
    from ezclip.studies.host import Host


def _show_default(default: str) -> str:
    return "" if default in ("''", "None") else f"(default: {default})"


def option(kind: Any, help: str, *marks: Any, name: str | None = None, metavar: str | None = None) -> Any:
    """An annotated command-line option."""
    return Annotated[
        kind, tyro.conf.arg(name=name, help=help, help_behavior_hint=_show_default, metavar=metavar), *marks
    ]


def _option_field(study: type[Study], field: ParameterField) -> tuple[str, Any, Any]:
    """Name, annotation and default of a parameter's option; the default of a required one is MISSING."""
    p, kind, default, metavar = field.parameter, field.type, field.default, None
    help = f"{p.help} One of {', '.join(p.allowed)}." if p.allowed and kind is str else p.help
    if get_origin(kind) is Literal:  # the study rejects other values, with the message of the endpoint and the page
        kind, metavar = str, f"{{{','.join(p.allowed)}}}"
    if p.kind == "clip" and study.verb == "predict":
        kind, help = tuple[str, ...], "Video files or folders of frames."
    elif p.kind == "stream":
        kind = str
    elif p.kind == "sentences":
        kind, default, help = Path | None, None, f"{p.help} A CSV with number, class and sentence."
    if p.kind in ("clip", "clips", "stream", "archive", "index") or p.kind == "query" and p.allowed:
        default = dataclasses.MISSING
    marks = [tyro.conf.Positional] if p.kind in ("clip", "clips", "stream", "table", "index", "query") else []
    return field.name, option(kind, help, *marks, name=p.flag or None, metavar=metavar), default


@cache
def command_of(study: type[Study]) -> type:
    """The command of a study: a dataclass whose fields are its command-line options, with ``run``."""
    fields = [_option_field(study, field) for field in parameters_of(study)]
    names = {name for name, *_ in fields}
    if "labels" in names:
        fields += [
            ("labels_file", option(Path | None, 'Class names: a text file, one per line, or a CSV with "name".'), None),
            ("label_set", option(str | None, f"A shipped label set: {', '.join(label_sets())}."), None),
        ]
    if study.printed:
        fields.append(("top_k", option(int, "Number of predictions printed."), study.printed))
    if study.verb == "evaluate":
        fields.append(("batch_size", option(int, "Clips in one forward pass."), 16))
        fields.append(("workers", option(int, "Clips decoded at once; 0 takes all cores but one."), 0))
    out = "Folder for the report: figures, tables and one self-contained page"
    fields += [
        ("out", option(Path | None, f"{' or a file '.join([out, *study.tables])}."), None),
        ("device", option(str, "auto, cpu, cuda or mps."), "auto"),
        ("json", option(bool, "Print JSON."), False),
    ]
    fields.sort(key=lambda field: field[2] is not dataclasses.MISSING)
    specs = [(name, kind, dataclasses.field(default=default)) for name, kind, default in fields]
    command = dataclasses.make_dataclass(study.verb, specs, namespace={"run": lambda self: _run(study, vars(self))})
    command.__doc__ = study.__doc__
    return command


def _parameter_values(study: type[Study], options: dict[str, Any]) -> dict[str, Any]:
    """The values of the study's parameters from the values of the command-line options."""
    values = {field.name: options[field.name] for field in parameters_of(study) if field.name in options}
    if "labels_file" in options:
        sources = (options["labels"] or None, options["labels_file"], options["label_set"])
        if options["label_set"] is not None and sources[:2] == (None, None):
            values["labels"] = f"{SET_PREFIX}{options['label_set']}"
        elif study.needs_labels or any(source is not None for source in sources):
            values["labels"] = "\n".join(labels_from_options(*sources))
    if isinstance(path := values.get("sentences"), Path):
        values["sentences"] = read_descriptions(path)
    if isinstance(values.get("frames"), str):
        values["frames"] = (values["frames"],)
    return values


def _check(study: Study, options: dict[str, Any]) -> None:
    """Reject invalid input before torch is imported."""
    if options["out"] is not None:
        check_out(options["out"].parent if options["out"].suffix in study.tables else options["out"])
    for name in study.models():
        check_model_name(name)
    labels, sentences = getattr(study, "labels", ""), getattr(study, "sentences", {})
    if labels and sentences and (unknown := [name for name in sentences if name not in study.user_labels()[0]]):
        raise LabelError(f"{len(unknown)} sentences are not for a class name, first {unknown[0]!r}.")
    if options.get("top_k", 1) < 1:
        raise UserError(f"--top-k is {options['top_k']}; it must be at least 1.")
    if options.get("batch_size", 1) < 1 or options.get("workers", 0) < 0:
        raise ConfigError("--batch-size must be at least 1, --workers at least 0.")


def _run(study_type: type[Study], options: dict[str, Any]) -> int:
    """Check, run, write and print."""
    values = _parameter_values(study_type, options)
    clips, separately = values.get("clips", values.get("clip", "")), study_type.verb == "predict"
    clips = (clips,) if isinstance(clips, str) else clips
    if separately:
        if not clips:
            raise UserError("Give at least one clip.")
        values["clip"] = clips[0]
        separately = len(clips) > 1
    study = build(study_type, values)
    if not separately and (missing := [path for path in clips if path and not Path(path).exists()]):
        raise VideoError(f"There is no file {Path(missing[0]).name}; check the path.")
    _check(study, options)
    from ezclip.studies.host import Host

    host = Host(options["device"], batch_size=options.get("batch_size", 16), workers=options.get("workers", 0))
    if separately:
        return _run_separately(study, clips, host, options)
    if study.verb == "live":
        return _run_live(study, host, options)
    result: Result = on_terminal(study.run(host))
    if study.printed:
        result = result.best(options["top_k"])
    files = result.write(options["out"]) if options["out"] is not None else {}
    if options["json"]:
        paths = {"files": {name: str(path) for name, path in files.items()}}
        print_json(result.as_json() | (paths if study.files or study.verb == "frames" else {}))
        return 0
    warn(getattr(result, "warnings", []))
    print(result.text())
    if "page" in files:
        print(f"The report is {files['page']}", file=sys.stderr)
    elif files:
        print(*files.values(), sep="\n")
    return 0


def _run_separately(study: Study, clips: tuple[str, ...], host: Host, options: dict[str, Any]) -> int:
    """Run the study on each clip, with one report per clip; an unreadable clip is reported and skipped."""
    documents: list[Document] = []
    for number, clip in enumerate(clips, 1):
        try:
            result = on_terminal(study.replace(clip=clip).run(host)).best(options["top_k"])
            document, text = result.as_json(), result.text()
            if options["out"] is not None:
                result.write(options["out"] / f"{number}_{Path(clip).stem}")
        except VideoError as error:
            document, text = {"clip": Path(clip).name, "error": str(error)}, f"{Path(clip).name}\n  {error}"
        documents.append(document)
        if not options["json"]:
            print(text)
    if options["json"]:
        print_json(documents)
    if any("error" in document for document in documents):
        print("Some clips could not be read; see their errors.", file=sys.stderr)
        return 2
    return 0


def _run_live(study: Study, host: Host, options: dict[str, Any]) -> int:
    """Print each window until the source ends or the user interrupts, then write the report of the last window."""
    last = None
    with suppress(KeyboardInterrupt):
        for step in Watch(study.run(host)):
            if step.partial is not None:
                last = step.partial.best(options["top_k"])
                line = json.dumps(last.as_json(), ensure_ascii=False) if options["json"] else last.text()
                print(line, flush=True)
    if last is not None and options["out"] is not None:
        last.write(options["out"])
    return 0
