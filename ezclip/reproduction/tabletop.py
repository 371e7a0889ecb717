"""What ``ezclip reproduce tabletop`` does: draw the benchmark, pretrain the backbone, train the variants, test them."""

import dataclasses
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from ezclip.checkpoints.catalog import ADAPTER
from ezclip.config import PretrainConfig, TrainConfig, load_config
from ezclip.data.manifest import MANIFEST, read_rows, write_manifest
from ezclip.data.tabletop.classes import LABELS, PAIRS
from ezclip.data.tabletop.generate import SHEET, synthesise
from ezclip.data.tabletop.static_bias import VERSIONS
from ezclip.errors import ConfigError
from ezclip.evaluation.efficiency import Subject, measure_on_device
from ezclip.evaluation.metrics import frame_spread, harmonic_mean, shared_variance, wilson
from ezclip.evaluation.run import evaluate
from ezclip.evaluation.shipped import TEST_SEED
from ezclip.files import sha256_of
from ezclip.model.backbone import Backbone
from ezclip.predictor import Predictor
from ezclip.progress import Progress, Steps
from ezclip.reproduction.methods import ALIKE, RATES
from ezclip.reproduction.report.training_sections import TEXT_KINDS
from ezclip.reproduction.static_bias import static_bias
from ezclip.reproduction.study import study, training_curves
from ezclip.training.loop import train
from ezclip.training.pretrain import pretrain
from ezclip.types import RIVALS, VARIANTS, Document, Method

NOVEL = tuple(PAIRS[3])  # pushing right to left and its partner; their words and motions occur in base classes
SHOTS = (2, 4, 8, 16)


@dataclass(frozen=True)
class Scale:
    """Amount of data and training."""

    clips: int = 220  # training clips per class
    validation: int = 8  # validation clips per class
    test: int = 16  # test clips per class, drawn with a separate seed
    ood: int = 18  # out-of-distribution clips per class, alternating between families
    ood_motions: int | None = None  # number of motions with out-of-distribution clips; None takes all
    wider: int = 8  # test clips per class of the wider world
    static: int = 4  # scenes per class in the static bias test, each in all versions
    pretraining: tuple[str, ...] = ()  # overrides of configs/pretrain_tabletop.yaml and pretrain_tabletop_more.yaml
    training: tuple[str, ...] = ()  # overrides of configs/tabletop.yaml
    shots_steps: int = 400  # optimiser steps of a few-shot run
    alike_steps: int = 100  # optimiser steps of each method trained alike
    faithful_classes: int | None = None  # number of classes in the faithfulness test; None takes all


FULL = Scale()
FAST = Scale(
    clips=4,
    validation=1,
    test=1,
    ood=9,
    ood_motions=1,
    wider=1,
    static=1,
    pretraining=(
        "stills=64",
        "test_stills=64",
        "steps=3",
        "batch_size=32",
        "compile=false",
        "sizes={image_size: 48, width: 64, layers: 2, text_width: 64, text_layers: 1, embed_dim: 32}",
    ),
    training=("steps=3", "batch_size=8", "compile=false", "eval_every=3"),
    shots_steps=2,
    alike_steps=2,
    faithful_classes=2,
)


@dataclass
class Reproduction:
    """The stages and the folders they read and write."""

    root: Path  # contains configs/; data, runs and results are written below it
    scale: Scale = FULL
    results: Path = field(init=False)  # folder of the stages' JSON files

    def __post_init__(self) -> None:
        """Full runs use data/, runs/ and results/; fast trial runs use the same folders below runs/fast."""
        base = self.root if self.scale is FULL else self.root / "runs" / "fast"
        self.results = base / "results" / "tabletop"
        self.data, self.runs = base / "data" / "tabletop", base / "runs" / "tabletop"

    def read_result(self, name: str) -> Document | None:
        """The result of a stage, or None if it is not finished."""
        path = self.results / f"{name}.json"
        return json.loads(path.read_text("utf-8")) if path.is_file() else None

    def draw(self) -> Steps[Document]:
        """Draw the splits of the benchmark: training, validation, test and out-of-distribution clips."""
        s = self.scale
        yield from synthesise(self.data, clips_per_class=s.clips, split="train", seed=0)
        yield from synthesise(self.data, clips_per_class=s.validation, split="val", seed=0)
        test = self.data / "test"
        yield from synthesise(test, clips_per_class=s.test, split="val", seed=TEST_SEED, masks=True)
        options = {"seed": TEST_SEED, "masks": True, "motions": s.ood_motions}
        yield from synthesise(test, clips_per_class=s.ood, split="ood", **options)
        folder = self.data / "train"
        rows = _json_lines(folder / MANIFEST)
        write_manifest(folder / "base_classes.jsonl", [row for row in rows if row["label"] not in NOVEL])
        for shots in SHOTS:
            write_manifest(folder / f"shots_{shots}.jsonl", [r for r in rows if int(Path(r["path"]).stem) < shots])
        return {"clips": len(rows), "classes": len({row["label"] for row in rows})}

    def backbone(self) -> Steps[Document]:
        """Pretrain the backbone on stills, in two runs."""
        start, runs = self.runs / "backbone_start", []
        for name, *overrides in (
            ("pretrain_tabletop", f"out={start}"),
            ("pretrain_tabletop_more", f"out={self.runs / 'backbone'}", f"init={start}"),
        ):
            path = self.root / "configs" / f"{name}.yaml"
            runs.append((yield from pretrain(load_config(PretrainConfig, path, [*self.scale.pretraining, *overrides]))))
        return {"zero_shot": runs[-1]["zero_shot"], "pretraining_seconds": [run["seconds"] for run in runs]}

    def fit(self, name: str, *overrides: str, recipe: str = "tabletop") -> Steps[Document]:
        """Train with configs/RECIPE.yaml and overrides, and test on the training classes."""
        settings = [
            f"backbone={self.runs / 'backbone'}",
            f"data={self.data / 'train' / MANIFEST}",
            f"validation={self.data / 'val' / MANIFEST}",
            f"cache={self.data.parent / 'cache'}",
            *self.scale.training,
            f"out={self.runs / name}",
            *overrides,
        ]
        config = load_config(TrainConfig, self.root / "configs" / f"{recipe}.yaml", settings)
        summary = yield from train(config, resume=True)
        result = yield from self.test(name, summary["labels"])
        steps = [row for row in _json_lines(self.runs / name / "metrics.jsonl") if "val_top1" in row]
        return {
            "config": dataclasses.asdict(config) | {"backbone": "runs/tabletop/backbone"},
            "seed": config.seed,
            "curve": [{k: v for k, v in row.items() if k == "step" or k.startswith("val_")} for row in steps],
            "training_seconds": summary["training"]["seconds"],
            "adapter_sha256": sha256_of(self.runs / name / "model" / ADAPTER),
            "result": result,
        }

    def test(
        self, name: str, labels: list[str], among: list[str] | None = None, texts: str = "trained"
    ) -> Steps[Document]:
        """Accuracies and frame spread of a run on the test clips of ``labels``, classified among ``among`` if given."""
        rows = [row for row in read_rows(self.data / "test" / "val") if row.label in labels]
        predictor = Predictor.load(self.runs / name / "model")
        evaluation = yield from evaluate(predictor, rows, among or labels, static=True, texts=texts)
        report = evaluation.report() | {"classes": len(among or labels), "model": name}
        report.pop("per_class")
        report["interval"] = wilson(round(report["top1"] * report["n"]), report["n"])
        spread = frame_spread(evaluation.frames, evaluation.static, "released", unit=True)
        return report | {"spread": spread.as_json()}

    def motion_loss(self) -> Steps[Document]:
        """What the motion loss changes in the frame embeddings of each variant, on all test clips."""
        models: Document = {}
        for name in (*VARIANTS, "calibrated"):
            if not (self.runs / name / "model").is_dir():
                continue
            predictor = Predictor.load(self.runs / name / "model")
            rows = read_rows(self.data / "test" / "val")
            e = yield from evaluate(predictor, rows, LABELS, static=True)
            models[name] = {
                "norm": float(e.frames.norm(dim=-1).mean()),
                "raw": frame_spread(e.frames, e.static, "released", unit=False).as_json(),
                "unit": frame_spread(e.frames, e.static, "released", unit=True).as_json(),
                "shared": shared_variance(e.frames),
            }
        return {"models": models}

    def texts(self) -> Steps[Document]:
        """Table 10 at test time: test variants that were trained on bare names with other texts."""
        results: Document = {"base": {}, "ezclip": {}}
        for variant, by_text in results.items():
            for kind in TEXT_KINDS:
                by_text[kind] = yield from self.test(variant, LABELS, texts=kind)
        return results

    def fit_on_texts(self, name: str, text: str, texts: str) -> Steps[Document]:
        """Table 10: train and test on texts other than bare names."""
        result = yield from self.fit(name, f"text={text}", "validation=null")
        return result | {"result": (yield from self.test(name, LABELS, texts=texts))}

    def base_to_novel(self, name: str, *overrides: str, recipe: str = "tabletop") -> Steps[Document]:
        """Train on the base classes, and test on base and on novel classes."""
        data = f"data={self.data / 'train' / 'base_classes.jsonl'}"
        base = yield from self.fit(name, data, "validation=null", *overrides, recipe=recipe)
        novel = yield from self.test(name, list(NOVEL))
        among_all = yield from self.test(name, list(NOVEL), LABELS)
        mean = harmonic_mean(base["result"]["top1"], novel["top1"])
        return base | {"novel": novel, "novel_among_all": among_all, "harmonic_mean": mean}

    def fit_alike(self, method: Method) -> Steps[Document]:
        """Train a method with the shared budget: base-to-novel with 16 clips per class."""
        folder = self.data / "train"
        rows = [row for row in _json_lines(folder / "base_classes.jsonl") if int(Path(row["path"]).stem) < SHOTS[-1]]
        manifest = folder / f"base_shots_{SHOTS[-1]}.jsonl"
        write_manifest(manifest, rows)
        name, recipe = f"methods/{method}", f"methods/{method}" if method in RIVALS else "tabletop"
        steps = f"steps={self.scale.alike_steps}"
        return (yield from self.base_to_novel(name, *ALIKE, *RATES[method], f"data={manifest}", steps, recipe=recipe))

    def costs(self) -> Steps[Document]:
        """Measure the costs of the models of ``fit_alike``, timed alternately."""
        yield Progress(0.0, "measuring")
        folders = [self.runs / "methods" / method / "model" for method in RATES]
        return measure_on_device([Subject(str(folder)) for folder in folders if folder.is_dir()], batch_size=4)

    def few_shot(self, shots: int, start: str | None) -> Steps[Document]:
        """Train on K clips per class, from the image backbone or from the run ``start`` on the base classes."""
        name = f"few_shot_{shots}" + ("_from_base" if start else "")
        init = [f"init={self.runs / start / 'model'}"] if start else []
        data = f"data={self.data / 'train' / f'shots_{shots}.jsonl'}"
        return (yield from self.fit(name, data, f"steps={self.scale.shots_steps}", "validation=null", *init))

    def models(self) -> dict[str, Predictor]:
        """Those of the four variants that have been trained."""
        backbones: dict[str, Backbone] = {}
        folders = {v: self.runs / v / "model" for v in VARIANTS}
        return {v: Predictor.load(path, backbones=backbones) for v, path in folders.items() if path.is_dir()}

    def study(self) -> Steps[Document]:
        """Run every study on the four variants; report and figures are written to RESULTS/study."""
        models = self.models()
        if not {"base", "ezclip"} <= models.keys():
            raise ConfigError("The study needs the trained variants base and ezclip; run those steps first.")
        test, ood = (read_rows(self.data / "test" / split) for split in ("val", "ood"))
        report = yield from study(
            models,
            test,
            ood,
            faithful_classes=self.scale.faithful_classes,
            provenance={"command": "python -m ezclip reproduce tabletop", "test seed": str(TEST_SEED)},
        )
        curves = {v: _json_lines(self.runs / v / "metrics.jsonl") for v in models}
        report.parts.insert(1, training_curves(curves))
        shutil.rmtree(self.results / "study", ignore_errors=True)
        report.write(self.results / "study")
        return {"lead": report.lead}

    def static_bias(self) -> Steps[Document]:
        """Run the static bias test on the four variants."""
        clips = self.scale.static * len(VERSIONS)
        manifest = yield from synthesise(self.data / "test", clips_per_class=clips, split="static", seed=TEST_SEED)
        results = yield from static_bias(self.models(), manifest.parent)
        self.results.mkdir(parents=True, exist_ok=True)
        Image.open(manifest.parent / SHEET).save(self.results / "static_bias.webp")
        return {"models": results}

    def wider_world(self) -> Steps[Document]:
        """Test the four variants on clips of the wider world, none of which any variant was trained on."""
        options = {"clips_per_class": self.scale.wider, "split": "val", "seed": TEST_SEED, "surfaces": 1.0}
        manifest = yield from synthesise(self.data / "wider", **options)
        results: Document = {}
        for variant, predictor in self.models().items():
            evaluation = yield from evaluate(predictor, read_rows(manifest.parent), LABELS)
            results[variant] = evaluation.report()["families"]
        return {"models": results}


def _json_lines(path: Path) -> list[Document]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
