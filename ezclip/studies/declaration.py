"""Base classes of studies (frozen dataclasses of declared parameters) and of their results."""

from __future__ import annotations

import csv
import io
import shlex
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Self, TypeVar

from ezclip.checkpoints.cards import provenance
from ezclip.checkpoints.catalog import BASELINE, DEFAULT
from ezclip.errors import UserError, VideoError
from ezclip.figures.report import Picture, Report, Table
from ezclip.files import spreadsheet_cell
from ezclip.parameters import Parameter, build, check_parameters, parameters_of, values_of
from ezclip.text.labels import label_set, parse_labels
from ezclip.text.templates import check_texts
from ezclip.types import Document

if TYPE_CHECKING:
    from ezclip.checkpoints.identity import Identity
    from ezclip.predictor import Predictor
    from ezclip.progress import Steps
    from ezclip.studies.host import Host

Request = TypeVar("Request", bound="Study | None")
SET_PREFIX = "set:"
LABELS_FILE, SENTENCES_FILE = "names.txt", "sentences.csv"  # read by the command of a result
NO_CLIP = "No clip yet: drop a video, record one, or click a sample."

ClipFile = Annotated[str, Parameter("Video file or folder of frames.", kind="clip")]
ClipFiles = Annotated[tuple[str, ...], Parameter("Video files or folders of frames.", kind="clips")]
_Labels = (
    "Class names, one per line or comma-separated, or set:NAME for a shipped label set; empty uses the model's own "
    "classes."
)
Labels = Annotated[str, Parameter(_Labels, "Class names", kind="labels")]
Model = Annotated[str, Parameter("Model name, folder, clip:ARCH/TAG or hf:organisation/name.", kind="model")]
Baseline = Annotated[str, Parameter("Model to compare with; empty for none.", kind="model")]
_Texts = (
    "Prompt text of a class name: as the model was trained, the bare names, 16 templates, the shipped descriptions, "
    'the held-out paraphrases of Tabletop classes, or your own template such as "a video of {}".'
)
Texts = Annotated[str, Parameter(_Texts, "Prompt text")]
_Sentences = Parameter("Custom sentences for some classes, used instead of their prompt texts.", kind="sentences")
Sentences = Annotated[dict[str, str], _Sentences]


class Result(ABC):
    """A study's result; subclasses are frozen dataclasses whose first field is the study."""

    @abstractmethod
    def as_json(self) -> Document:
        """The public document."""

    @abstractmethod
    def report(self) -> Report:
        """Figures and tables."""

    @abstractmethod
    def text(self) -> str:
        """The lines that the command prints."""

    def best(self, count: int) -> Result:
        """The result with only the best ``count`` predictions, if the study ranks."""
        return self

    def write(self, out: str | Path) -> dict[str, Path]:
        """Write the report in all its forms into a folder; name -> path."""
        return self.report().write(out)


@dataclass(frozen=True, eq=False)
class ModelsResult(Result, Generic[Request]):
    """A result of one or more models."""

    study: Request  # None for a result that no study produced
    identities: list[Identity]  # of the known models, the baseline first

    @property
    def models(self) -> list[str]:
        """Names of the models."""
        return [identity.name for identity in self.identities]

    def _report(
        self, title: str, lead: str, parts: Sequence[Table | Picture], data: Document | None = None, **facts: str
    ) -> Report:
        """A report of ``data`` (default: the public document); its provenance contains ``facts`` and the command."""
        if self.study is not None:
            facts["command"] = self.study.command()
        data = self.as_json() if data is None else data
        return Report(title, lead, data, provenance(self.identities, **facts), [*parts])


@dataclass(frozen=True)
class Alias:
    """Another name of a study's endpoint; a deprecated name works for one more version."""

    name: str  # of the endpoint
    parameters: tuple[tuple[str, str], ...] = ()  # new -> old parameter names
    defaults: tuple[tuple[str, Any], ...] = ()  # changed defaults
    old: bool = True  # whether it is deprecated and raises a warning


class Study:
    """One question that a user asks; subclasses are frozen dataclasses of declared parameters."""

    verb: ClassVar[str]  # name of its command and its endpoint
    old_flags: ClassVar[dict[str, str]] = {}  # deprecated -> current names of its options
    aliases: ClassVar[tuple[Alias, ...]] = ()  # other names of the endpoint
    files: ClassVar[bool] = False  # whether its endpoint also returns the report's files
    tables: ClassVar[tuple[str, ...]] = ()  # file suffixes that --out accepts instead of a folder
    needs_labels: ClassVar[bool] = False  # whether the command requires class names
    long: ClassVar[bool] = False  # whether it may take minutes
    printed: ClassVar[int] = 0  # predictions that the command prints by default; 0 if it has no such option

    def __post_init__(self) -> None:
        """Reject values outside their limits and choices, and invalid class names and texts."""
        check_parameters(self)
        values = values_of(self)
        if values.get("labels", "").strip():
            self.user_labels()
        if "texts" in values:
            check_texts(values["texts"])

    def __getitem__(self, name: str) -> Any:
        """The value of a declared parameter."""
        return values_of(self)[name]

    def replace(self, **values: Any) -> Self:
        """A copy with other values of some parameters."""
        return build(type(self), values_of(self) | values)

    def run(self, host: Host) -> Steps[Any]:
        """Yield progress and return the result; closing the generator cancels. Raises UserError for invalid input."""
        raise UserError(f"{type(self).__name__} cannot run.")

    def models(self) -> list[str]:
        """Unique names of the required models, the baseline first."""
        values = values_of(self)
        names = [values.get("baseline"), values.get("model"), *values.get("further", ())]
        return list(dict.fromkeys(name for name in names if name))

    def prepare(self, host: Host) -> Steps[tuple[dict[str, Predictor], Predictor, list[str], list[str]]]:
        """Load the models of a study of one clip; raises VideoError without a clip.

        Returns (all models by name, the model under study, its candidate class names, warnings about the names).
        """
        if not self["clip"]:
            raise VideoError(NO_CLIP)
        predictors = yield from host.predictors(self.models())
        model = predictors[self["model"]]
        return predictors, model, *self.class_names(model.identity)

    def user_labels(self) -> tuple[list[str], list[str]]:
        """The parsed parameter ``labels`` and warnings; raises LabelError for invalid class names."""
        text = self["labels"].strip()
        if text.startswith(SET_PREFIX):
            return label_set(text.removeprefix(SET_PREFIX).strip()), []
        return parse_labels(text) if text else ([], [])

    def class_names(self, identity: Identity) -> tuple[list[str], list[str]]:
        """The candidate class names, by default the training classes of the model, and warnings."""
        names, warnings = self.user_labels()
        return (names, warnings) if names else (list(identity.labels) or label_set("tabletop"), [])

    def prompt_texts(self, predictor: Predictor, names: list[str]) -> dict[str, list[str]]:
        """The sentences that represent each class name."""
        return predictor.sentences(names, self["texts"], self["sentences"])

    def command(self) -> str:
        """The command that reproduces the result; it reads class names and sentences from the ``companions``."""
        words: list[str] = []
        options: list[str] = []
        for spec, value in zip(parameters_of(type(self)), values_of(self).values(), strict=True):
            kind, flag = spec.parameter.kind, f"--{spec.flag}"
            if kind == "query":
                words += [value] if value else []
            elif kind in ("clip", "clips", "table", "stream", "index"):
                words += [Path(v).name for v in ([value] if isinstance(value, str) else value) if v]
            elif kind == "archive":
                options += [flag, Path(value).stem if value.endswith(".zip") else Path(value).name]
            elif kind == "labels":
                options += ["--labels-file", LABELS_FILE] if value.strip() else []
            elif kind == "sentences":
                options += ["--sentences", SENTENCES_FILE] if value else []
            elif value == spec.default:
                continue
            elif isinstance(value, bool):
                options += [flag] if value else []
            elif isinstance(value, tuple):
                options += [flag, *value]
            else:
                text = f"{value:.15g}" if isinstance(value, float) else str(value)
                options += [f"{flag}={text}"] if text.startswith("-") or not text else [flag, text]
        options += ["--out", self.verb]
        if any(word.startswith("-") for word in words):
            words, options = options, ["--", *words]
        return shlex.join(["python", "-m", "ezclip", self.verb, *words, *options])

    def companions(self) -> dict[str, str]:
        """Files that ``command`` reads in addition to its inputs: name -> content."""
        values = values_of(self)
        files: dict[str, str] = {}
        if values.get("labels", "").strip():
            files[LABELS_FILE] = "\n".join(self.user_labels()[0]) + "\n"
        if sentences := values.get("sentences"):
            table = io.StringIO(newline="")
            rows = ([i, *map(spreadsheet_cell, pair)] for i, pair in enumerate(sentences.items()))
            csv.writer(table).writerows([["number", "class", "description"], *rows])
            files[SENTENCES_FILE] = table.getvalue()
        return files


@dataclass(frozen=True)
class ClipStudy(Study):
    """A study of one clip under a model and a baseline."""

    clip: ClipFile = ""
    labels: Labels = ""
    model: Model = DEFAULT
    baseline: Baseline = BASELINE
    texts: Texts = "trained"
    sentences: Sentences = field(default_factory=dict)
