"""The paper's protocols on the user's data sets: which clips are trained, which are tested, and with which recipe.

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
from ezclip.checkpoints.load import placed, resolve_backbone
from ezclip.config import STRICT, TrainConfig, load_config
from ezclip.data.manifest import Row, labels_of, read_rows, write_manifest
from ezclip.errors import ConfigError
from ezclip.evaluation.embed import ONE_VIEW, ViewCount
from ezclip.evaluation.metrics import harmonic_mean, wilson
from ezclip.evaluation.run import embed_all, score_all
from ezclip.files import write_json
from ezclip.model.builders import build_ezclip
from ezclip.predictor import Predictor, choose_device, native_dtype
from ezclip.progress import Steps, within
from ezclip.reproduction.splits import Unseen, base_classes, shots_of, unseen_classes
from ezclip.training.batches import steps_per_epoch
from ezclip.training.loop import train
from ezclip.types import RIVALS, Built, Document, PromptDepth, Rival

log = logging.getLogger(__name__)
Preset = Literal["paper", "released"]
TEXTS = {"descriptions": "shipped"}  # what the configuration of a run calls the text of a table's row


@checked(frozen=True, config=STRICT)
class Lists:
    """Manifests of one data set: those that are trained, and by data set those that are tested and averaged over."""

    train: list[str]
    test: dict[str, list[str]]


@checked(frozen=True, config=STRICT)
class Protocol:
    """One of configs/protocols.

    Attributes:
        about: one sentence.
        sets: lists by the data set that is trained.
        presets: by preset, overrides of configs/<preset>.yaml for "all" sets and for single ones; by rival those of
            configs/methods/<rival>.yaml. "validation: test" watches the test clips, and so selects the best epoch on
            them; "validation: NAME" watches the data set's manifest of that name, if there is one.
        halves: train on the base half of the classes and test both halves.
        unseen: tested sets of which classes that were trained are left out.
        draws: how many times a number of shots is drawn.
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
    shots: int | None = None  # clips a class; None takes all
    method: Built = "ezclip"  # "clip" is tested as it is
    prompt_depth: PromptDepth = "deep"
    backbone: str = "clip:ViT-B-16-quickgelu/openai"  # "clip:ARCH/TAG" or a folder
    num_frames: int = 8  # T
    text: str = "descriptions"  # those that ship, "templates", "names" or a CSV file, in training and testing
    preset: Preset = "released"  # recipe of EZ-CLIP; a rival has its own
    seed: int = 0  # of the training and of the draw of shots

    @property
    def recipe(self) -> Preset | Rival:
        """Key of ``Protocol.presets``."""
        return cast(Rival, self.method) if self.method in RIVALS else self.preset

    @property
    def name(self) -> str:
        """Relative path of the run, without a suffix; two runs that differ have two names."""
        what = f"{self.method}-shallow" if self.prompt_depth == "shallow" else self.method
        plain_clip = self.backbone.startswith("clip:")
        backbone = self.backbone.removeprefix("clip:") if plain_clip else Path(self.backbone).name
        told = [what, backbone, f"T{self.num_frames}", Path(self.text).stem, self.recipe, f"seed{self.seed}"]
        plain = "_".join(re.sub(r"[^A-Za-z0-9.-]+", "-", part) for part in told)
        return f"{self.protocol}/{self.trained_on}/{self.shots or 'all'}/{plain}"


def protocols(root: Path) -> dict[str, Protocol]:
    """All protocols by name.

    Raises:
        ConfigError: one that cannot be used.
    """
    return {p.stem: load_config(Protocol, p, []) for p in sorted((root / "configs" / "protocols").glob("*.yaml"))}


@dataclass
class Place:
    """Where runs read and write, and how they are tested."""

    root: Path  # holds configs/; runs go to root/runs/protocols, results to root/results/protocols
    data: Path  # holds one folder for each data set
    overrides: tuple[str, ...] = ()  # "key=value" of the training configuration, for every run
    views: ViewCount = ONE_VIEW  # of each tested clip
    workers: int = 0  # test clips decoded at once; 0 takes all cores but one
    backbones: dict[str, str] = field(default_factory=dict)  # open_clip's ARCH -> file or folder to load it from

    def backbone(self, run: Run) -> str:
        """What a run loads as its backbone; its name and so its result stay those of ``run.backbone``."""
        arch = clip_tag(run.backbone)[0] if run.backbone.startswith(CLIP_PREFIX) else ""
        file = self.backbones.get(arch)
        if file is None or Path(file).is_dir():
            return file or run.backbone
        return f"{CLIP_PREFIX}{arch}/{file}"

    def rows(self, data_set: str, lists: Sequence[str]) -> list[Row]:
        """The clips of some manifests of a data set.

        Raises:
            ConfigError: one is missing; says which, and what makes it.
        """
        found: list[Row] = []
        for name in lists:
            if (path := self.list_at(data_set, name)) is None:
                raise ConfigError(
                    f"{self.data.name} has no {data_set}/{name}.jsonl or .parquet; write it with python -m ezclip data "
                    f"check LIST --out {self.data.name}/{data_set}/{name}.jsonl."
                )
            found += read_rows(path)
        return found

    def list_at(self, data_set: str, name: str) -> Path | None:
        """The manifest ``name`` of a data set, if there is one."""
        places = [self.data / data_set / f"{name}{suffix}" for suffix in (".parquet", ".jsonl")]
        return next((place for place in places if place.is_file()), None)

    def result(self, run: Run) -> Path:
        """Where a run's result lies."""
        return self.root / "results" / "protocols" / f"{run.name}.json"


def carry_out(run: Run, place: Place) -> Steps[Document]:
    """Train a run, going on where it was left, test its last and its best epoch, and store the result.

    Returns:
        "run", "config", "shots" (where the draw of the clips comes from), and under "last" and "best" for each tested
        set "top1", "top5" and "per_class" as means over its lists; with halves "base", "novel" and "harmonic_mean";
        for an unseen set "classes", their number, and under "unseen" the same figures by rule, see
        ``splits.unseen_classes``; and "intervals" of the accuracies, 95 % Wilson, as of the first list's clips alone.

    Raises:
        ConfigError: an unknown protocol or data set, or lists that are missing.
    """
    known = protocols(place.root)
    if run.protocol not in known:
        raise ConfigError(f"There is no protocol {run.protocol!r}; choose one of {', '.join(known)}.")
    protocol = known[run.protocol]
    if run.trained_on not in protocol.sets:
        raise ConfigError(f"{run.protocol} is not defined on {run.trained_on!r}; {', '.join(protocol.sets)} are.")
    lists = protocol.sets[run.trained_on]
    rows = place.rows(run.trained_on, lists.train)
    base = base_classes(place.data / run.trained_on, rows) if protocol.halves else labels_of(rows)
    rows, drawn = [row for row in rows if row.label in set(base)], "all clips"
    if run.shots is not None and run.method != "clip":
        rows, drawn = shots_of(place.data / run.trained_on, run.protocol, rows, run.shots, run.seed)
    # read first: a missing list shows before hours of training
    tests = {name: [place.rows(name, [one]) for one in split] for name, split in lists.test.items()}

    result: Document = {"run": dataclasses.asdict(run), "views": str(place.views), "shots": drawn}
    models = {"last": place.backbone(run)}
    if run.method != "clip":
        config = _configure(run, protocol, place, rows, tests)
        yield from within(train(config, resume=True), 0.0, 0.9, f"training {run.name}: ")
        result["config"] = dataclasses.asdict(config)
        out = Path(config.out)
        models = {"last": str(out / "model")} | ({"best": str(out / "best")} if (out / "best").is_dir() else {})
    state = PartialState()
    if state.is_main_process:
        for which, model in models.items():
            steps = _test(model, run, protocol, place, tests, base)
            result[which] = yield from within(steps, 0.9, 1.0, f"testing {run.name}, {which} epoch: ")
        write_json(place.result(run), result)
    state.wait_for_everyone()
    return result


def _configure(
    run: Run, protocol: Protocol, place: Place, rows: list[Row], tests: dict[str, list[list[Row]]]
) -> TrainConfig:
    """Write the lists of a run into its folder and return its configuration."""
    out = place.root / "runs" / "protocols" / run.name
    recipes = protocol.presets.get(run.recipe, {})
    recipe = {**recipes.get("all", {}), **recipes.get(run.trained_on, {})}
    own = {key: getattr(run, key) for key in ("method", "prompt_depth", "num_frames", "seed")}
    own |= {
        "backbone": place.backbone(run),
        "text": TEXTS.get(run.text, run.text),
        "out": str(out),
        "data": str(_write(out / "train.parquet", rows)),
    }
    settings = [f"{key}={json.dumps(value)}" for key, value in (recipe | own).items()]
    path = place.root / "configs" / ("methods" if run.method in RIVALS else "") / f"{run.recipe}.yaml"
    config = load_config(TrainConfig, path, [*settings, *place.overrides])
    if config.validation is None or Path(config.validation).exists():
        return config
    if config.validation == "test":
        watched: Sequence[Row] = tests[run.trained_on][0]
    elif given := place.list_at(run.trained_on, config.validation):
        watched = read_rows(given)
    else:
        log.warning("%s has no manifest %s to watch: no best epoch is kept.", run.trained_on, config.validation)
        return dataclasses.replace(config, validation=None)
    labels = set(labels_of(rows))
    validation = str(_write(out / "watched.parquet", [row for row in watched if row.label in labels]))
    return dataclasses.replace(config, validation=validation, eval_every=steps_per_epoch(config, len(rows)))


def _write(path: Path, rows: Sequence[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [{**dataclasses.asdict(row), "path": str(row.path.resolve())} for row in rows]
    if PartialState().is_main_process:
        write_manifest(path, entries)
    PartialState().wait_for_everyone()
    return path


def _test(
    model: str, run: Run, protocol: Protocol, place: Place, tests: dict[str, list[list[Row]]], base: list[str]
) -> Steps[Document]:
    if run.method == "clip":
        device = choose_device("auto")
        clip = build_ezclip(resolve_backbone(model), "clip", num_frames=run.num_frames).eval()
        predictor = Predictor(placed(clip, device, native_dtype(device)), run.backbone)
    else:
        predictor = Predictor.load(model)
    found: Document = {}
    for name, splits in tests.items():
        reports: dict[str, list[Document]] = {}
        for rows in splits:
            labels = labels_of(rows)
            parts = {"all": [labels]}
            if protocol.halves:
                parts = {"base": [base], "novel": [[label for label in labels if label not in base]]}
            elif name in protocol.unseen:
                parts = unseen_classes(name, labels, base)
            tested = {label for lists in parts.values() for among in lists for label in among}
            own = [row for row in rows if row.label in tested]
            embedded = yield from embed_all(predictor, own, views=place.views, workers=place.workers)
            for part, lists in parts.items():
                for among in lists:
                    clips = [one.among(among) for one in embedded]
                    reports.setdefault(part, []).append(score_all(predictor, clips, among, run.text).report())
        found[name] = _halves(reports) if protocol.halves else _whole(reports)
    return found


def _halves(reports: dict[str, list[Document]]) -> Document:
    """Accuracies of both halves of a set, their harmonic mean, and the accuracy of each class."""
    base, novel = (float(np.mean([r["top1"] for r in reports[half]])) for half in ("base", "novel"))
    per_class = {
        name: row | {"half": half} for half in ("base", "novel") for name, row in reports[half][0]["per_class"].items()
    }
    intervals = {half: _interval(found, reports[half][0]["n"]) for half, found in (("base", base), ("novel", novel))}
    means = {"base": base, "novel": novel, "harmonic_mean": harmonic_mean(base, novel)}
    return means | {"intervals": intervals, "per_class": per_class}


def _whole(reports: dict[str, list[Document]]) -> Document:
    """Means over the lists of a set; of an unseen one by each rule, the paper's first."""
    by_rule = {rule: _means(found) for rule, found in reports.items()}
    main: str = next(rule for rule in ("all", *get_args(Unseen)) if rule in reports)
    result = by_rule[main] | {"per_class": reports[main][0]["per_class"]}
    return result if main == "all" else result | {"unseen": by_rule}


def _means(reports: list[Document]) -> Document:
    means: Document = {key: float(np.mean([r[key] for r in reports])) for key in ("top1", "top5")}
    means["intervals"] = {"top1": _interval(means["top1"], reports[0]["n"])}
    return means | {"lists": [r["top1"] for r in reports], "classes": len(reports[0]["per_class"])}


def _interval(accuracy: float, n: int) -> tuple[float, float]:
    return wilson(round(accuracy * n), n)
