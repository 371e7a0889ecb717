"""Sections of RESULTS.md on the trainings, next to the paper's numbers."""

from pathlib import Path

from ezclip.reproduction.methods import (
    BUDGET,
    COST_HEAD,
    FAIRNESS,
    TABLETOP_HEAD,
    bench_ratios,
    bench_table,
    tabletop_rows,
)
from ezclip.reproduction.report.claims import Results, of_seeds
from ezclip.reproduction.report.markdown import NOT_RUN, markdown, percent
from ezclip.text.templates import KINDS
from ezclip.types import WITHIN_PAIRS, Document

TEXT_KINDS = KINDS[1:]  # prompt texts to test the variants on

# Top-1 in % from the paper (arXiv 2312.08010); SSv2 is the data set closest to ours.
PAPER_TABLE_5_SSV2 = {"base": (30.7, 15.4), "motion": (34.5, 16.3), "prompts": (45.1, 18.5), "ezclip": (54.0, 20.6)}
PAPER_TABLE_11_UCF = {"base": 75.5, "motion": 75.9, "prompts": 78.1, "shallow": 76.3, "ezclip": 79.1}
PAPER_TABLE_12_SSV2 = {2: 6.8, 4: 8.7, 8: 9.6, 16: 13.2}
PAPER_BASE_TO_NOVEL_SSV2 = (16.6, 13.3, 14.8)


def ablation(results: Results, report: Document) -> str:
    """Top-1, accuracy within pairs and frame spread of all variants."""
    rows = [["TVP", "motion loss", "variant", "top-1", WITHIN_PAIRS, "spread", "static share", "seeds"]]
    rows[0] += ["paper, SSv2 base", "novel", "paper, UCF"]
    cells = {
        "base": ("no", "no", "base"),
        "motion": ("no", "yes", "motion"),
        "prompts": ("yes", "no", "prompts"),
        "ezclip": ("yes", "yes", "ezclip"),
        "shallow": ("first layer", "yes", "ezclip, shallow"),
        "paper_reading": ("yes", "yes", "ezclip, paper's loss"),
        "calibrated": ("yes", "yes", "ezclip, calibrated"),
    }
    for name, first_cells in cells.items():
        runs = of_seeds(results, name)
        paper = (*PAPER_TABLE_5_SSV2.get(name, ("", "")), PAPER_TABLE_11_UCF.get(name, ""))
        measurements = [_runs(runs, "top1"), _runs(runs, "within_pairs"), *spread_cells(runs)]
        rows.append([*first_cells, *measurements, *map(str, (len(runs), *paper))])
    rows.append(["", "", "chance", percent(1 / _classes(results)), "50.0 %", *[""] * 6])
    note = (
        "Spread is Var + C of the L2-normalised frame embeddings; static share is the part that a static copy of the "
        "clip also shows."
    )
    return f"## Ablation (Tables 5 and 11)\n\n{note}\n\n{markdown(rows)}"


def base_to_novel(results: Results, report: Document) -> str:
    """Accuracy on classes that were not trained on."""
    rows = [["variant", "base classes", "novel", "harmonic mean", f"novel, {WITHIN_PAIRS}", "novel among all classes"]]
    for variant in ("base", "ezclip"):
        run = results.get(f"base_to_novel_{variant}")
        if run is None:
            rows.append([variant, *[NOT_RUN] * 5])
            continue
        novel = run["novel"]
        values = (run["result"]["top1"], novel["top1"], run["harmonic_mean"], novel["within_pairs"])
        rows.append([variant, *map(percent, (*values, run["novel_among_all"]["top1"]))])
    C = _classes(results)
    rows.append(["chance", percent(1 / (C - 2)), "50.0 %", "", "50.0 %", percent(1 / C)])
    base, novel, mean = PAPER_BASE_TO_NOVEL_SSV2
    rows.append(["paper, ezclip on SSv2", f"{base} %", f"{novel} %", f"{mean} %", "", ""])
    note = (
        "The novel classes are pushing from right to left and its partner: all their words and motions occur in the "
        "base classes, in other combinations."
    )
    return f"## Base to novel (Tables 2 and 3)\n\n{note}\n\n{markdown(rows)}"


def few_shot(results: Results, report: Document) -> str:
    """Accuracy with K clips per class."""
    shots = PAPER_TABLE_12_SSV2
    rows = [["initialisation", *(f"K = {k}" for k in shots)]]
    for title, suffix in (("image backbone", ""), ("ezclip, base classes", "_from_base")):
        reports = [results.get(f"few_shot_{k}{suffix}", {}).get("result") for k in shots]
        rows.append([title, *map(_top1, reports)])
    rows.append(["chance", *[percent(1 / _classes(results))] * len(shots)])
    rows.append(["paper, ezclip on SSv2", *(f"{paper} %" for paper in shots.values())])
    return f"## Few-shot (Tables 4 and 12)\n\nTop-1 with K clips per class.\n\n{markdown(rows)}"


def texts(results: Results, report: Document) -> str:
    """Accuracy with texts of several kinds."""
    rows = [["variant", "trained on", *(f"tested on {kind}" for kind in TEXT_KINDS)]]
    tested = results.get("texts", {})
    for variant in ("base", "ezclip"):
        rows.append([variant, "names", *(_top1(tested.get(variant, {}).get(kind)) for kind in TEXT_KINDS)])
    templates, described = (
        _top1(results.get(step, {}).get("result")) for step in ("ezclip_templates", "ezclip_described")
    )
    rows += [["ezclip", "templates", "", templates, "", ""], ["ezclip", "descriptions", "", "", described, ""]]
    chance = percent(1 / _classes(results))
    rows += [["chance", "", *[chance] * len(TEXT_KINDS)], ["paper, UCF-101", "", "", "77.8 %", "79.1 %", ""]]
    note = (
        "Top-1. The paper trains and tests on the same prompt texts; without descriptions it uses templates. "
        "Paraphrases are two per class that are not used in any training."
    )
    return f"## Prompt texts (Table 10)\n\n{note}\n\n{markdown(rows)}"


def methods(folder: Path) -> str:
    """Rival methods trained with the same budget; their results lie in ``folder``."""
    head = ["method", *COST_HEAD, *TABLETOP_HEAD[2], "novel among all"]
    zero_shot = {name: top1 for name, *_, top1 in tabletop_rows(1, folder)}
    rows = [[*row, zero_shot[row[0]]] for row in tabletop_rows(2, folder)]
    table = markdown([head, *rows]) if rows else NOT_RUN
    lines = "\n".join(f"- {line}" for line in FAIRNESS)
    return (
        f"## Methods trained alike (Tables 1, 2 and 7)\n\n{BUDGET}\n\n{table}\n\n"
        f"Why published numbers are not comparable:\n\n{lines}"
    )


def cost(bench: Path) -> str:
    """What ``ezclip bench`` measured, from the folder ``bench``."""
    rows = bench_table(bench / "vit_b16")
    cards = [path.stem for path in bench.glob("*.json") if not path.stem.startswith(("app", "bench"))]
    gpu = f"GPUs: {', '.join(cards)} in results/bench." if cards else "Nothing was measured on a GPU."
    ratios = [["ratio, timed alternately", ""], *([k, f"{v:.2f}"] for k, v in bench_ratios(bench / "vit_b16").items())]
    return (
        "## Cost at ViT-B/16 (Table 7)\n\n`python -m ezclip bench --out results/bench/vit_b16` on two CPU cores with "
        f"AMX in bfloat16, batches of 4, compared with plain open_clip on the same frames. {gpu}\n\n"
        f"{markdown(rows) if rows else NOT_RUN}\n\n{markdown(ratios)}"
    )


def _classes(results: Results) -> int:
    return int(results.get("data", {}).get("classes", 31))


def _runs(runs: list[Document], key: str) -> str:
    values = [100 * run[key] for run in runs if key in run]
    if not values:
        return NOT_RUN
    mean = sum(values) / len(values)
    spread = f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else ""
    return f"{mean:.1f} %{spread}"


def spread_cells(runs: list[Document]) -> tuple[str, str]:
    """Spread of the frames, averaged over runs, and the share that static copies show as well."""
    spreads = [run["spread"] for run in runs if "spread" in run]
    if not spreads:
        return "", ""
    real, static = (sum(s[key]["mean"] for s in spreads) / len(spreads) for key in ("real", "static"))
    return f"{real:.4f}", percent(static / real) if real > 1e-6 else "–"


def _top1(result: Document | None) -> str:
    return percent(result["top1"]) if result else NOT_RUN
