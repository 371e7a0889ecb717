"""Sections of RESULTS.md on the claims of the paper and on what its motion loss rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot

from scipy.stats import ttest_ind

from ezclip.data.tabletop.classes import LABELS, PARTNER
from ezclip.evaluation.metrics import wilson
from ezclip.reproduction.report.markdown import NOT_RUN, markdown, percent
from ezclip.types import Document

Results = dict[str, Document]  # stage of ``ezclip reproduce tabletop`` -> its JSON file
# Stages that claims compare, by short name: variants, and the texts of Table 10
COMPARED = {name: name for name in ("base", "motion", "prompts", "ezclip", "shallow")}
COMPARED |= {"templates": "ezclip_templates", "descriptions": "ezclip_described"}
SEEDS = 3  # from this number of trainings on, intervals are over seeds instead of clips


@dataclass(frozen=True)
class Estimate:
    """A difference with its 95 % interval, as fractions.

    Attributes:
        over: what the interval is over, for example "496 clips" or "3 seeds".
    """

    value: float
    low: float
    high: float
    over: str

    @property
    def verdict(self) -> str:
        """Whether a claim that the difference is positive holds."""
        return "holds" if self.low > 0 else "does not hold" if self.high < 0 else "undecided"

    def __str__(self) -> str:
        """In percentage points."""
        value, low, high = (f"{100 * v:+.1f}" for v in (self.value, self.low, self.high))
        return f"{value} points ({low} to {high}, over {self.over})"


def difference(first: Sequence[Document], second: Sequence[Document], key: str = "top1") -> Estimate:
    """How much more accurate the second of two methods is than the first.

    From ``SEEDS`` trainings each, the interval is Welch's over trainings; with fewer, it is Newcombe's (1998, method
    10) for the means over the trainings, treating the test clips of the two as independent, which is too wide for equal
    clips and does not cover the variation between trainings.

    Args:
        first: reports of trainings that differ in the seed alone, each with "n" and ``key``.
        second: those of the other method.
        key: "top1", of n clips, or "within_pairs", of those whose class has a partner.
    """
    share = len(PARTNER) / len(LABELS) if key == "within_pairs" else 1
    a, b = ([float(run[key]) for run in runs] for runs in (first, second))
    p, q = sum(a) / len(a), sum(b) / len(b)
    if min(len(a), len(b)) >= SEEDS:
        low, high = ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
        return Estimate(q - p, float(low), float(high), f"{min(len(a), len(b))} seeds")
    n, m = (round(share * runs[0]["n"]) for runs in (first, second))
    (p_low, p_high), (q_low, q_high) = wilson(round(p * n), n), wilson(round(q * m), m)
    d = q - p
    return Estimate(d, d - hypot(p_high - p, q - q_low), d + hypot(p - p_low, q_high - q), f"{min(n, m)} clips")


def claims_table(runs: dict[str, list[Document]], report: Document) -> list[list[str]]:
    """Rows of the table, the first its head; claims without measurements are omitted.

    Args:
        runs: reports of the trainings of each variant, one per seed.
        report: report.json of the study, or empty.
    """
    rows = [["claim of the paper", "here", "measured", "see"]]

    def compare(claim: str, first: str, second: str, see: str, key: str = "top1", of: str = "top-1") -> None:
        if first in runs and second in runs:
            estimate = difference(runs[first], runs[second], key)
            rows.append([claim, estimate.verdict, f"`{second}` against `{first}`, {of}: {estimate}", see])

    compare("Temporal prompts help", "base", "prompts", "Ablation")
    compare("They show the model the order of frames", "base", "prompts", "Ablation", "within_pairs", "within pairs")
    compare("The motion loss helps with prompts", "prompts", "ezclip", "Ablation")
    compare("The motion loss helps without prompts", "base", "motion", "Ablation")
    compare("Prompts in all layers are better than in the first", "shallow", "ezclip", "Ablation")
    compare("Descriptions are better texts than templates", "templates", "descriptions", "Prompt texts")
    if not report:
        return rows
    attention = {row["model"]: row for row in report["attention"] if row["family"] == "ordinary"}
    if beyond := attention.get("ezclip", {}).get("beyond_first"):
        mean, low, high = beyond
        estimate = Estimate(mean, low, high, f"{report['test']['ezclip']['n']} clips")
        measured = f"share of the rollout on what moves, `ezclip` against `base`: {estimate}"
        rows.append(["Attention moves to what moves", estimate.verdict, measured, "Attention on moving objects"])
    spread = report["spread"]["ezclip"]["released unit"]
    real, static = spread["real"], spread["static"]
    mean, low, high = (1 - static[a] / real[b] for a, b in (("mean", "mean"), ("high", "low"), ("low", "high")))
    verdict = "holds" if low > 0.5 else "does not hold" if high < 0.5 else "undecided"
    measured = (
        f"share of the spread of `ezclip` that a static copy does not show: {100 * mean:.1f} % ({100 * low:.1f} to "
        f"{100 * high:.1f}, over {real['n']} clips); holds from 50 %"
    )
    rows.append(["Frames spread because of motion", verdict, measured, "Frame spread"])
    ood = {name: [report["ood"][name]] for name in ("base", "ezclip")}
    gain, loss = difference(ood["base"], ood["ezclip"]), difference([report["test"]["ezclip"]], ood["ezclip"])
    measured = f"`ezclip` against `base` on shifted clips, top-1: {gain}"
    rows.append(["Better than adapters alone out of distribution", gain.verdict, measured, "Out of distribution"])
    verdict = "holds" if loss.low > -0.05 else "does not hold" if loss.high < -0.05 else "undecided"
    measured = f"`ezclip` on shifted against ordinary clips, top-1: {loss}; holds if less than 5 are lost"
    rows.append(["Keeps its accuracy out of distribution", verdict, measured, "Out of distribution"])
    return rows


def of_seeds(results: Results, name: str) -> list[Document]:
    """Test reports of a stage, one per seed."""
    return [run["result"] for key, run in results.items() if key == name or key.startswith(f"{name}_seed")]


def claims_section(results: Results, report: Document) -> str:
    """The section with ``claims_table``."""
    note = (
        "A claim holds if the 95 % interval lies above 0, and does not hold if it lies below. With fewer than "
        f"{SEEDS} trainings of a variant, intervals are over clips, not paired, and do not cover the variation between "
        "trainings. Differences are between means over all trainings."
    )
    runs = {name: reports for name, stage in COMPARED.items() if (reports := of_seeds(results, stage))}
    return f"## Claims of the paper\n\n{note}\n\n{markdown(claims_table(runs, report))}"


def motion_loss_section(results: Results, report: Document) -> str:
    """The section with the measurements of the stage "motion_loss"."""
    rows = [["variant", "norm", "Var + C", "of unit vectors", "of their static copies", "shared by all clips"]]
    for name, row in results.get("motion_loss", {}).get("models", {}).items():
        raw, unit, static = row["raw"]["real"]["mean"], row["unit"]["real"]["mean"], row["unit"]["static"]["mean"]
        shared = percent(row["shared"])
        rows.append([name, f"{row['norm']:.1f}", f"{raw:.3f}", f"{unit:.4f}", f"{static:.4f}", shared])
    note = (
        "Frame embeddings on the test clips: their norm; Var + C as the release's loss computes it; the same of unit "
        "vectors and of static copies; and the share of the variance over frames that is the same in all clips. [What "
        "the motion loss rewards](docs/MOTION_LOSS.md)"
    )
    return f"## What the motion loss rewards\n\n{note}\n\n{markdown(rows) if rows[1:] else NOT_RUN}"
