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
from ezclip.cli._shared import check_out, chosen_labels, print_json, warn
from ezclip.errors import ConfigError, LabelError, UserError, VideoError
from ezclip.parameters import Declared, build, declared
from ezclip.progress import Watch, on_terminal
from ezclip.studies.declaration import SET_PREFIX, Study
from ezclip.text.labels import label_sets
from ezclip.text.templates import read_descriptions
from ezclip.types import Document

if TYPE_CHECKING:
    from ezclip.studies.declaration import Result
    from ezclip.studies.host import Host


def option(kind: Any, help: str, *marks: Any, name: str | None = None, metavar: str | None = None) -> Any:
    """An annotated command-line option."""
    return Annotated[kind, tyro.conf.arg(name=name, help=help, help_behavior_hint="", metavar=metavar), *marks]


def _flag(study: type[Study], one: Declared) -> tuple[str, Any, Any]:
    """Name, annotation and default of a parameter's option; MISSING where it must be given."""
    p, kind, default, metavar = one.parameter, one.type, one.default, None
    help = f"{p.help} One of {', '.join(p.allowed)}." if p.allowed and kind is str else p.help
    if get_origin(kind) is Literal:  # the study refuses other values, in the same words as the endpoint and the page
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
    return one.name, option(kind, help, *marks, name=p.flag or None, metavar=metavar), default


@cache
def command_of(study: type[Study]) -> type:
    """The command of a study: a dataclass whose fields are its command line, with ``run``."""
    fields = [_flag(study, one) for one in declared(study)]
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
    rows = [(name, kind, dataclasses.field(default=default)) for name, kind, default in fields]
    made = dataclasses.make_dataclass(study.verb, rows, namespace={"run": lambda self: _run(study, vars(self))})
    made.__doc__ = study.__doc__
    return made


def _values(study: type[Study], given: dict[str, Any]) -> dict[str, Any]:
    """The study's values from those of its command line."""
    values = {one.name: given[one.name] for one in declared(study) if one.name in given}
    if "labels_file" in given:
        sources = (given["labels"] or None, given["labels_file"], given["label_set"])
        if given["label_set"] is not None and sources[:2] == (None, None):
            values["labels"] = f"{SET_PREFIX}{given['label_set']}"
        elif study.needs_labels or any(source is not None for source in sources):
            values["labels"] = "\n".join(chosen_labels(*sources))
    if isinstance(path := values.get("sentences"), Path):
        values["sentences"] = read_descriptions(path)
    if isinstance(values.get("frames"), str):
        values["frames"] = (values["frames"],)
    return values


def _check(study: Study, given: dict[str, Any]) -> None:
    """Reject invalid input before torch is imported."""
    if given["out"] is not None:
        check_out(given["out"].parent if given["out"].suffix in study.tables else given["out"])
    for name in study.models():
        check_model_name(name)
    labels, own = getattr(study, "labels", ""), getattr(study, "sentences", {})
    if labels and own and (unknown := [name for name in own if name not in study.given_labels()[0]]):
        raise LabelError(f"{len(unknown)} sentences are not for a class name, first {unknown[0]!r}.")
    if given.get("top_k", 1) < 1:
        raise UserError(f"--top-k is {given['top_k']}; it must be at least 1.")
    if given.get("batch_size", 1) < 1 or given.get("workers", 0) < 0:
        raise ConfigError("--batch-size must be at least 1, --workers at least 0.")


def _run(study: type[Study], given: dict[str, Any]) -> int:
    """Check, run, write and print."""
    values = _values(study, given)
    clips, each = values.get("clips", values.get("clip", "")), study.verb == "predict"
    clips = (clips,) if isinstance(clips, str) else clips
    if each:
        if not clips:
            raise UserError("Give at least one clip.")
        values["clip"] = clips[0]
        each = len(clips) > 1
    made = build(study, values)
    if not each and (missing := [path for path in clips if path and not Path(path).exists()]):
        raise VideoError(f"There is no file {Path(missing[0]).name}; check the path.")
    _check(made, given)
    from ezclip.studies.host import Host

    host = Host(given["device"], batch_size=given.get("batch_size", 16), workers=given.get("workers", 0))
    if each:
        return _run_each(made, clips, host, given)
    if study.verb == "live":
        return _run_live(made, host, given)
    result: Result = on_terminal(made.run(host))
    if study.printed:
        result = result.best(given["top_k"])
    files = result.write(given["out"]) if given["out"] is not None else {}
    if given["json"]:
        listed = {"files": {name: str(path) for name, path in files.items()}}
        print_json(result.as_json() | (listed if study.files or study.verb == "frames" else {}))
        return 0
    warn(getattr(result, "warnings", []))
    print(result.text())
    if "page" in files:
        print(f"The report is {files['page']}", file=sys.stderr)
    elif files:
        print(*files.values(), sep="\n")
    return 0


def _run_each(study: Study, clips: tuple[str, ...], host: Host, given: dict[str, Any]) -> int:
    """One clip after the other, each with a report of its own; one that fails is named and does not stop the others."""
    documents: list[Document] = []
    for number, clip in enumerate(clips, 1):
        try:
            result = on_terminal(study.but(clip=clip).run(host)).best(given["top_k"])
            document, text = result.as_json(), result.text()
            if given["out"] is not None:
                result.write(given["out"] / f"{number}_{Path(clip).stem}")
        except VideoError as error:
            document, text = {"clip": Path(clip).name, "error": str(error)}, f"{Path(clip).name}\n  {error}"
        documents.append(document)
        if not given["json"]:
            print(text)
    if given["json"]:
        print_json(documents)
    if any("error" in document for document in documents):
        print("Some clips could not be read; see their errors.", file=sys.stderr)
        return 2
    return 0


def _run_live(study: Study, host: Host, given: dict[str, Any]) -> int:
    """A line for each window until the source ends or the user interrupts; then the report of the last one."""
    newest = None
    with suppress(KeyboardInterrupt):
        for step in Watch(study.run(host)):
            if step.partial is not None:
                newest = step.partial.best(given["top_k"])
                line = json.dumps(newest.as_json(), ensure_ascii=False) if given["json"] else newest.text()
                print(line, flush=True)
    if newest is not None and given["out"] is not None:
        newest.write(given["out"])
    return 0
