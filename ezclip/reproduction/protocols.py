"""The paper's protocols on the user's data sets: training clips, test clips and recipes.

A data set is a folder DATA/<set> with manifests that ``ezclip data check`` wrote: train.jsonl, test1.parquet and so on.
"""

import dataclasses
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
from accelerate import PartialState
from pydantic.dataclasses import dataclass as checked

from ezclip.checkpoints.catalog import CLIP_PREFIX, clip_tag
from ezclip.checkpoints.load import move_model, resolve_backbone
from ezclip.config import STRICT, TrainConfig, load_config
from ezclip.data.manifest import Row, labels_of, read_rows, write_manifest
from ezclip.errors import ConfigError
from ezclip.evaluation.embed import ONE_VIEW, ViewCount
from ezclip.evaluation.metrics import harmonic_mean, wilson
from ezclip.evaluation.run import embed_all, score_all
from ezclip.files import write_json
from ezclip.model.builders import build_ezclip
from ezclip.predictor import Predictor, choose_device, native_dtype
from ezclip.progress import Steps, rescale
from ezclip.reproduction.splits import Unseen, base_classes, shots_of, unseen_classes
from ezclip.training.batches import steps_per_epoch
from ezclip.training.loop import train
from ezclip.types import RIVALS, Document, NativeMethod, PromptDepth, Rival

log = logging.getLogger(__name__)
Preset = Literal["paper", "released"]
TEXTS = {"descriptions": "shipped"}  # text of a table's row -> ``TrainConfig.text``


@checked(frozen=True, config=STRICT)
class Lists:
    """Manifests to train on, and by tested data set the manifests whose results are averaged."""

    train: list[str]
    test: dict[str, list[str]]


@checked(frozen=True, config=STRICT)
class Protocol:
    """One of configs/protocols.

    Attributes:
        about: one sentence.
        sets: training data set -> lists.
        presets: by preset, overrides of configs/<preset>.yaml for "all" sets and for single ones; by rival, overrides
            of configs/methods/<rival>.yaml. "validation: test" selects the best epoch on the test clips; "validation:
            NAME" selects it on the data set's manifest of that name, if there is one.
        halves: train on the base half of the classes and test both halves.
        unseen: tested sets whose training classes are excluded.
        draws: number of draws of few-shot clips.
    """

    about: str
    sets: dict[str, Lists]
    presets: dict[Preset | Rival, dict[str, Document]]
    halves: bool = False
    unseen: list[str] = field(default_factory=list)
    draws: int = 1


@dataclass(frozen=True)
class Run:
    """One training of a protocol."""

    protocol: str  # name of a file in configs/protocols
    trained_on: str  # data set
    shots: int | None = None  # clips per class; None takes all
    method: NativeMethod = "ezclip"  # "clip" is tested without training
    prompt_depth: PromptDepth = "deep"
    backbone: str = "clip:ViT-B-16-quickgelu/openai"  # "clip:ARCH/TAG" or a folder
    num_frames: int = 8  # T
    text: str = "descriptions"  # the shipped ones, "templates", "names" or a CSV file, for training and testing
    preset: Preset = "released"  # recipe of EZ-CLIP; each rival has one recipe
    seed: int = 0  # for training and for drawing the shots

    @property
    def recipe(self) -> Preset | Rival:
        """Key of ``Protocol.presets``."""
        return cast(Rival, self.method) if self.method in RIVALS else self.preset

    @property
    def name(self) -> str:
        """Relative path of the run without a suffix, unique to its fields."""
        method = f"{self.method}-shallow" if self.prompt_depth == "shallow" else self.method
        plain_clip = self.backbone.startswith("clip:")
        backbone = self.backbone.removeprefix("clip:") if plain_clip else Path(self.backbone).name
        parts = [method, backbone, f"T{self.num_frames}", Path(self.text).stem, self.recipe, f"seed{self.seed}"]
        name = "_".join(re.sub(r"[^A-Za-z0-9.-]+", "-", part) for part in parts)
        return f"{self.protocol}/{self.trained_on}/{self.shots or 'all'}/{name}"


def protocols(root: Path) -> dict[str, Protocol]:
    """All protocols by name.

    Raises:
        ConfigError: an invalid protocol file.
    """
    return {p.stem: load_config(Protocol, p, []) for p in sorted((root / "configs" / "protocols").glob("*.yaml"))}


@dataclass
class Workspace:
    """Where runs read and write, and how they are tested."""

    root: Path  # holds configs/; runs go to root/runs/protocols, results to root/results/protocols
    data: Path  # holds one folder for each data set
    overrides: tuple[str, ...] = ()  # "key=value" of the training configuration, for every run
    views: ViewCount = ONE_VIEW  # per test clip
    workers: int = 0  # test clips decoded in parallel; 0 uses all cores but one
    backbones: dict[str, str] = field(default_factory=dict)  # open_clip's ARCH -> file or folder to load it from

    def backbone(self, run: Run) -> str:
        """The backbone that a run loads; the run is still named after ``run.backbone``."""
        arch = clip_tag(run.backbone)[0] if run.backbone.startswith(CLIP_PREFIX) else ""
        file = self.backbones.get(arch)
        if file is None or Path(file).is_dir():
            return file or run.backbone
        return f"{CLIP_PREFIX}{arch}/{file}"

    def rows(self, data_set: str, lists: Sequence[str]) -> list[Row]:
        """The clips of the named manifests of a data set.

        Raises:
            ConfigError: a manifest is missing; the message says how to write it.
        """
        rows: list[Row] = []
        for name in lists:
            if (path := self.manifest(data_set, name)) is None:
                raise ConfigError(
                    f"{self.data.name} has no {data_set}/{name}.jsonl or .parquet; write it with python -m ezclip data "
                    f"check LIST --out {self.data.name}/{data_set}/{name}.jsonl."
                )
            rows += read_rows(path)
        return rows

    def manifest(self, data_set: str, name: str) -> Path | None:
        """The manifest ``name`` of a data set, if it exists."""
        paths = [self.data / data_set / f"{name}{suffix}" for suffix in (".parquet", ".jsonl")]
        return next((path for path in paths if path.is_file()), None)

    def result(self, run: Run) -> Path:
        """Path of a run's result."""
        return self.root / "results" / "protocols" / f"{run.name}.json"


def carry_out(run: Run, workspace: Workspace) -> Steps[Document]:
    """Train a run, resuming if it was interrupted, test its last and its best epoch, and store the result.

    Returns:
        "run", "config", "views", "shots" (origin of the few-shot draw), and under "last" and "best" for each tested set
        "top1", "top5" and "per_class" as means over its lists; with halves "base", "novel" and "harmonic_mean"; for an
        unseen set "classes", their number, and under "unseen" the same metrics by rule, see ``splits.unseen_classes``;
        and "intervals", 95 % Wilson intervals of the accuracies for the number of clips in the first list.

    Raises:
        ConfigError: an unknown protocol or data set, or a missing list.
    """
    available = protocols(workspace.root)
    if run.protocol not in available:
        raise ConfigError(f"There is no protocol {run.protocol!r}; choose one of {', '.join(available)}.")
    protocol = available[run.protocol]
    if run.trained_on not in protocol.sets:
        raise ConfigError(f"{run.protocol} is not defined on {run.trained_on!r}; {', '.join(protocol.sets)} are.")
    lists = protocol.sets[run.trained_on]
    rows = workspace.rows(run.trained_on, lists.train)
    base = base_classes(workspace.data / run.trained_on, rows) if protocol.halves else labels_of(rows)
    rows, origin = [row for row in rows if row.label in set(base)], "all clips"
    if run.shots is not None and run.method != "clip":
        rows, origin = shots_of(workspace.data / run.trained_on, run.protocol, rows, run.shots, run.seed)
    # read before training, so that a missing list fails early
    tests = {name: [workspace.rows(name, [manifest]) for manifest in split] for name, split in lists.test.items()}

    result: Document = {"run": dataclasses.asdict(run), "views": str(workspace.views), "shots": origin}
    models = {"last": workspace.backbone(run)}
    if run.method != "clip":
        config = _configure(run, protocol, workspace, rows, tests)
        yield from rescale(train(config, resume=True), 0.0, 0.9, f"training {run.name}: ")
        result["config"] = dataclasses.asdict(config)
        out = Path(config.out)
        models = {"last": str(out / "model")} | ({"best": str(out / "best")} if (out / "best").is_dir() else {})
    state = PartialState()
    if state.is_main_process:
        for epoch, model in models.items():
            steps = _test(model, run, protocol, workspace, tests, base)
            result[epoch] = yield from rescale(steps, 0.9, 1.0, f"testing {run.name}, {epoch} epoch: ")
        write_json(workspace.result(run), result)
    state.wait_for_everyone()
    return result


def _configure(
    run: Run, protocol: Protocol, workspace: Workspace, rows: list[Row], tests: dict[str, list[list[Row]]]
) -> TrainConfig:
    """Write the manifests of a run into its folder and return its configuration."""
    out = workspace.root / "runs" / "protocols" / run.name
    recipes = protocol.presets.get(run.recipe, {})
    recipe = {**recipes.get("all", {}), **recipes.get(run.trained_on, {})}
    fields = {key: getattr(run, key) for key in ("method", "prompt_depth", "num_frames", "seed")}
    fields |= {
        "backbone": workspace.backbone(run),
        "text": TEXTS.get(run.text, run.text),
        "out": str(out),
        "data": str(_write(out / "train.parquet", rows)),
    }
    settings = [f"{key}={json.dumps(value)}" for key, value in (recipe | fields).items()]
    path = workspace.root / "configs" / ("methods" if run.method in RIVALS else "") / f"{run.recipe}.yaml"
    config = load_config(TrainConfig, path, [*settings, *workspace.overrides])
    if config.validation is None or Path(config.validation).exists():
        return config
    if config.validation == "test":
        clips: Sequence[Row] = tests[run.trained_on][0]
    elif manifest := workspace.manifest(run.trained_on, config.validation):
        clips = read_rows(manifest)
    else:
        log.warning("%s has no manifest %s to watch: no best epoch is kept.", run.trained_on, config.validation)
        return dataclasses.replace(config, validation=None)
    labels = set(labels_of(rows))
    validation = str(_write(out / "watched.parquet", [row for row in clips if row.label in labels]))
    return dataclasses.replace(config, validation=validation, eval_every=steps_per_epoch(config, len(rows)))


def _write(path: Path, rows: Sequence[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [{**dataclasses.asdict(row), "path": str(row.path.resolve())} for row in rows]
    if PartialState().is_main_process:
        write_manifest(path, entries)
    PartialState().wait_for_everyone()
    return path


def _test(
    model: str, run: Run, protocol: Protocol, workspace: Workspace, tests: dict[str, list[list[Row]]], base: list[str]
) -> Steps[Document]:
    if run.method == "clip":
        device = choose_device("auto")
        clip = build_ezclip(resolve_backbone(model), "clip", num_frames=run.num_frames).eval()
        predictor = Predictor(move_model(clip, device, native_dtype(device)), run.backbone)
    else:
        predictor = Predictor.load(model)
    results: Document = {}
    for name, splits in tests.items():
        reports: dict[str, list[Document]] = {}
        for rows in splits:
            labels = labels_of(rows)
            parts = {"all": [labels]}
            if protocol.halves:
                parts = {"base": [base], "novel": [[label for label in labels if label not in base]]}
            elif name in protocol.unseen:
                parts = unseen_classes(name, labels, base)
            tested = {label for lists in parts.values() for classes in lists for label in classes}
            clips = [row for row in rows if row.label in tested]
            batches = yield from embed_all(predictor, clips, views=workspace.views, workers=workspace.workers)
            for part, lists in parts.items():
                for classes in lists:
                    selected = [batch.select(classes) for batch in batches]
                    reports.setdefault(part, []).append(score_all(predictor, selected, classes, run.text).report())
        results[name] = _halves(reports) if protocol.halves else _whole(reports)
    return results


def _halves(reports: dict[str, list[Document]]) -> Document:
    """Accuracies of both halves of a set, their harmonic mean, and the accuracy of each class."""
    base, novel = (float(np.mean([r["top1"] for r in reports[half]])) for half in ("base", "novel"))
    per_class = {
        name: row | {"half": half} for half in ("base", "novel") for name, row in reports[half][0]["per_class"].items()
    }
    intervals = {half: _interval(top1, reports[half][0]["n"]) for half, top1 in (("base", base), ("novel", novel))}
    means = {"base": base, "novel": novel, "harmonic_mean": harmonic_mean(base, novel)}
    return means | {"intervals": intervals, "per_class": per_class}


def _whole(reports: dict[str, list[Document]]) -> Document:
    """Means over the lists of a set; for an unseen set by each rule, the paper's first."""
    by_rule = {rule: _means(lists) for rule, lists in reports.items()}
    main: str = next(rule for rule in ("all", *get_args(Unseen)) if rule in reports)
    result = by_rule[main] | {"per_class": reports[main][0]["per_class"]}
    return result if main == "all" else result | {"unseen": by_rule}


def _means(reports: list[Document]) -> Document:
    means: Document = {key: float(np.mean([r[key] for r in reports])) for key in ("top1", "top5")}
    means["intervals"] = {"top1": _interval(means["top1"], reports[0]["n"])}
    return means | {"lists": [r["top1"] for r in reports], "classes": len(reports[0]["per_class"])}


def _interval(accuracy: float, n: int) -> tuple[float, float]:
    return wilson(round(accuracy * n), n)
