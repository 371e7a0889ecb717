"""Attention maps of a clip, written to files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from ezclip.checkpoints.catalog import BASELINE, DEFAULT
from ezclip.errors import UserError
from ezclip.explanation.methods import DEFAULT_METHOD, METHODS, MapSettings
from ezclip.figures.influence import draw_influence
from ezclip.figures.report import Report, Table
from ezclip.parameters import Parameter, build, values_of
from ezclip.progress import Progress, Steps, rescale
from ezclip.studies.analysis import Analyse, Faithful, MethodName
from ezclip.studies.analysis_report import Analysis, faithfulness_table, save_maps, strip_figure
from ezclip.studies.declaration import Baseline, ClipFile, Labels, Model, Result, Study
from ezclip.studies.host import Host
from ezclip.studies.stage.frames import MEANING, SOURCE, shapley_by_model
from ezclip.text.labels import check_labels
from ezclip.types import Document

if TYPE_CHECKING:
    from ezclip.evaluation.tokens import Tokens
    from ezclip.explanation.shapley import FrameValues, Shapley
    from ezclip.predictor import Encoded, Predictor


@dataclass(frozen=True)
class Explain(Study):
    """Write attention maps of a clip: a strip of overlays, the T x T influence matrix, and the numbers.

    Example: python -m ezclip explain clip.mp4 --out maps --baseline tabletop/base
    """

    verb: ClassVar[str] = "explain"
    old_flags: ClassVar[dict[str, str]] = {"--prove": "--faithfulness"}
    files: ClassVar[bool] = True
    clip: ClipFile = ""
    labels: Labels = ""
    model: Model = DEFAULT
    baseline: Baseline = BASELINE
    label: Annotated[str, Parameter("Class to explain, added to the class names; empty uses the model's best.")] = ""
    method: MethodName = DEFAULT_METHOD
    settings: MapSettings = MapSettings()
    faithfulness: Faithful = False
    shapley: Annotated[bool, Parameter("Also measure each frame's Shapley value for the label.")] = False
    words: Annotated[bool, Parameter("Also measure the relevance of each word of the label's texts, best first.")] = (
        False
    )
    tokens: Annotated[bool, Parameter("Also list tokens of high norm in each layer, with and without prompts.")] = False

    def run(self, host: Host) -> Steps[Maps]:
        """Analyse the clip for its maps."""
        labels, target = self.labels, ""
        if self.label:
            names, _ = self.class_names(host.predictor(self.model).identity)
            names, _ = check_labels([*names, self.label])
            key = " ".join(self.label.split()).casefold()
            labels, target = "\n".join(names), next(name for name in names if name.casefold() == key)
        study = build(Analyse, values_of(self) | {"labels": labels, "target": target})
        analysis = yield from rescale(study.run(host), 0.0, 0.5 if self.shapley else 1.0)
        if (attribution := analysis.model.attribution).absent:
            lacks = host.predictor(self.model).model.unsupported_maps
            supported = next(name for name in ("occlusion", *METHODS) if METHODS[name].needs not in lacks)
            raise UserError(f"{self.model}: {attribution.note} Choose another, such as --method {supported}.")
        values, words, norms = {}, {}, {}
        if self.shapley:
            values = yield from rescale(shapley_by_model(host, analysis), 0.5, 1.0)
        if self.tokens:
            norms = yield from rescale(tokens_of(host, analysis), 1.0, 1.0)
        for r in analysis.results:
            predictor = host.predictor(r.name)
            encoded, texts = host.encode(predictor, analysis.clip), study.prompt_texts(predictor, [analysis.target])
            lacks = predictor.model.unsupported_maps.get("blocks")
            if self.words and lacks and r.name == self.model:
                raise UserError(f"{r.name} has no relevance of words: {lacks}. Leave out --words.")
            if self.words and not lacks:
                words[r.name] = _words(predictor, encoded, texts[analysis.target])
        return Maps(self, analysis, str(host.predictor(self.model).model.dtype), values, words, norms)


def tokens_of(host: Host, analysis: Analysis) -> Steps[dict[str, Tokens]]:
    """Model -> norms of the patch tokens on the clip of an analysis; models without blocks are left out."""
    from ezclip.evaluation.tokens import measure_tokens

    clip = yield from host.clip(analysis.study["clip"], len(analysis.clip))  # analysis.clip may be downscaled
    norms = {}
    for i, r in enumerate(analysis.results):
        predictor = host.predictor(r.name)
        yield Progress(i / len(analysis.results), f"{r.name}: norms of its tokens")
        if not predictor.model.unsupported_maps.get("blocks"):
            norms[r.name] = measure_tokens(predictor, host.encode(predictor, clip))
    return norms


def tokens_table(norms: dict[str, Tokens]) -> Table:
    """A row per layer and model."""
    rows = [
        [name, k, layer.median, layer.largest, layer.ratio, layer.high, str(layer.at)]
        + ([prompt.attention, prompt.even, prompt.without.ratio, prompt.without.high] if prompt else [None] * 4)
        for name, tokens in norms.items()
        for k, (layer, prompt) in enumerate(zip(tokens.layers, tokens.prompts, strict=True), 1)
    ]
    columns = ["model", "layer", "median norm", "largest", "ratio", "above 30", "frame, row, column of the largest"]
    columns += ["attention on the prompt", "if even", "ratio without prompts", "above 30 without prompts"]
    registers = [f"{name}: {tokens.register}" for name, tokens in norms.items() if tokens.register is not None]
    note = (
        "Norms of the patch tokens that each block returns; the threshold of 30 is known for ViT-B/16 alone. A "
        "prompt acts as a register if it takes more than an even share of attention and, without prompts, patches "
        f"have more outliers. {'; '.join(registers)}"
    )
    return Table("tokens", "Tokens of high norm", columns, rows, note.strip())


def _words(predictor: Predictor, encoded: Encoded, sentences: list[str]) -> list[Document]:
    from ezclip.explanation.grad_eclip import rank_sentences, word_relevance

    ranked = rank_sentences(predictor, encoded.frames, sentences)
    relevance = {sentence: word_relevance(predictor, encoded.frames, sentence) for sentence in ranked}
    return [{"text": text, "words": [list(pair) for pair in pairs]} for text, pairs in relevance.items() if pairs]


def _with_margin(game: Shapley | None, frame: int) -> list[float | None]:
    """Value and half interval of a frame (counted from 1); None if missing."""
    if game is None:
        return [None, None]
    return [float(game.values[frame - 1]), None if game.margin is None else float(game.margin[frame - 1])]


@dataclass(frozen=True, eq=False)
class Maps(Result):
    """The maps of an analysis."""

    study: Explain
    analysis: Analysis
    dtype: str
    shapley: dict[str, FrameValues]  # by model; empty if not requested
    words: dict[str, list[Document]]  # by model, each prompt text with its words and their relevance, best first
    tokens: dict[str, Tokens]  # by model, the norms of its patch tokens; empty if not requested

    def as_json(self) -> Document:
        """Label, method, influence, scores and faithfulness; if requested, frames, words and tokens."""
        a = self.analysis
        influence = a.model.attribution.influence
        scored = {r.name: next(p for p in r.predictions if p.label == a.target) for r in a.results}
        gains = {
            f.name: {"deletion_gain": f.deletion, "insertion_gain": f.insertion}
            | {"score": asdict(f.score), "logit": asdict(f.logit), "warning": f.warning}
            for f in a.faithfulness
            if f.score and f.logit
        }
        return {
            "clip": a.clip.name,
            "model": a.model.name,
            "baseline": None if a.baseline is a.model else a.baseline.name,
            "label": a.target,
            "method": self.study.method,
            "dtype": self.dtype.removeprefix("torch."),
            "influence": None if influence is None else influence.tolist(),
            "scores": {name: {"score": p.score, "logit": p.logit} for name, p in scored.items()},
            "faithfulness": gains or None,
            "shapley": {name: values.as_json() for name, values in self.shapley.items()} or None,
            "words": self.words or None,
            "tokens": {name: norms.as_json() for name, norms in self.tokens.items()} or None,
        }

    @property
    def tables(self) -> list[Table]:
        """The requested tables of faithfulness, words, frames and tokens."""
        tables = [faithfulness_table(self.analysis)] if self.study.faithfulness else []
        if self.words:
            rows = [[m, t["text"], *pair] for m, texts in self.words.items() for t in texts for pair in t["words"]]
            title = f"Words of “{self.analysis.target}” by their contribution to the similarity with this clip"
            note = (
                "Shares of the cosine with the clip that Grad-ECLIP gives the words; those of a text sum to 1. The "
                "text that fits the clip best is the first."
            )
            tables.append(Table("words", title, ["model", "text", "word", "relevance"], rows, note))
        if self.shapley:
            rows = [
                [name, t, *_with_margin(values.readout, t), *_with_margin(values.removal, t), answer]
                for name, values in self.shapley.items()
                for t, answer in enumerate(values.answers, 1)
            ]
            columns = ["model", "frame", "readout", "± 95 %", "removal", "removal, ± 95 %", "answer of the frame alone"]
            title = f"Shapley values of the frames for “{self.analysis.target}”"
            tables.append(Table("shapley", title, columns, rows, " ".join([*MEANING.values(), SOURCE])))
        if self.tokens:
            tables.append(tokens_table(self.tokens))
        return tables

    def text(self) -> str:
        """The verdict and the requested tables."""
        return "\n\n".join([self.analysis.verdict, *(table.text() for table in self.tables)])

    def report(self) -> Report:
        """The report of the analysis, in which the requested tables replace those of the same name."""
        report, tables = self.analysis.report(), {table.name: table for table in self.tables}
        report.parts = [tables.pop(part.name, part) for part in report.parts] + list(tables.values())
        return report

    def write(self, out: str | Path) -> dict[str, Path]:
        """Write strip.png, maps.npz, influence.png if frames exchange information, and the requested tables."""
        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        a, files = self.analysis, {"strip": out / "strip.png", "maps": out / "maps.npz"}
        strip_figure(a).savefig(files["strip"], dpi=150)
        save_maps(files["maps"], a, [a.model, *(r for r in a.results if r is not a.model)])
        if (influence := a.model.attribution.influence) is not None:
            files["influence"] = out / "influence.png"
            draw_influence(influence, a.clip.seconds, title=a.model.name).savefig(files["influence"], dpi=150)
        for table in self.tables:
            files |= table.write(out)
        return files
