"""RESULTS.md from the JSON files that ``ezclip reproduce tabletop`` leaves: our rows beside the paper's own numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ezclip.files import write_atomically

Found = dict[str, dict[str, Any]]
NOT_RUN = "not run"
COMMAND = "python -m ezclip reproduce tabletop --resume"

# Top-1 in %, from the paper (arXiv 2312.08010): SSv2 is the data set nearest to ours.
PAPER_TABLE_5_SSV2 = {"base": (30.7, 15.4), "motion": (34.5, 16.3), "prompts": (45.1, 18.5), "ezclip": (54.0, 20.6)}
PAPER_TABLE_11_UCF = {"base": 75.5, "motion": 75.9, "prompts": 78.1, "shallow": 76.3, "ezclip": 79.1}
PAPER_TABLE_12_SSV2 = {2: 6.8, 4: 8.7, 8: 9.6, 16: 13.2}
PAPER_BASE_TO_NOVEL_SSV2 = (16.6, 13.3, 14.8)


def write_results(results: Path) -> Path:
    """Write RESULTS.md two folders above ``results`` and return its path."""
    found: Found = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(results.glob("*.json"))}
    study = results / "study"
    report: dict[str, Any] = {}
    if (study / "report.json").is_file():
        report = json.loads((study / "report.json").read_text("utf-8"))
    text = "\n\n".join(section(found, report) for section in SECTIONS) + "\n"
    path = results.parent.parent / "RESULTS.md"
    write_atomically(path, lambda target: target.write_text(text, encoding="utf-8"))
    return path


def _intro(found: Found, report: dict[str, Any]) -> str:
    lines = [
        "# Results on Tabletop Motion",
        "",
        f"Written by `{COMMAND}` from `results/tabletop/*.json`; each holds its",
        "configuration, seed, curve and wall time. Test clips come from a seed of their own. The paper's numbers stand",
        "beside ours for orientation only: they were measured on other data (Something-Something v2 where it has it)",
        "with ViT-B/16.",
    ]
    if zero_shot := found.get("backbone", {}).get("zero_shot"):
        lines += [
            "",
            f"Backbone: zero-shot on 2,000 unseen stills of one thing, colour {_percent(zero_shot['colour'])} of 9, "
            f"shape {_percent(zero_shot['shape'])} of 10; pretrained in {found['backbone']['seconds'] / 60:.0f} min.",
        ]
    if report:
        lines += ["", *verdicts(report)]
    both = [found.get(name, {}).get("result", {}) for name in ("ezclip", "calibrated")]
    if all("spread" in result for result in both):
        (_, released), (_, calibrated) = (_spread([result]) for result in both)
        lines.append(
            f"- The `calibrated` reading of the motion loss rewards only the spread beyond a frozen copy: {calibrated} "
            f"of its spread is there when nothing moves, against {released} under the release's reading, at "
            f"{_percent(both[1]['within_pairs'])} within pairs and {_percent(both[1]['top1'])} top-1."
        )
    return "\n".join(lines)


def verdicts(report: dict[str, Any]) -> list[str]:
    """What the study says of each of the paper's claims, one bullet each, in words that its numbers decide."""
    lines = ["What held, and what did not:", ""]
    test, ood = report["test"], report["ood"]
    for name in ("base", "motion"):
        if name in test:
            blind = abs(test[name]["within_pairs"] - 0.5) < 0.01  # twins are equal to it but for rounding
            state = "blind to order, as it must be" if blind else "NOT at chance: the benchmark leaks order"
            lines.append(f"- `{name}` is at {_percent(test[name]['within_pairs'])} within pairs: {state}.")
    lines.append(
        f"- `ezclip` reaches {_percent(test['ezclip']['within_pairs'])} within pairs and "
        f"{_percent(test['ezclip']['top1'])} top-1 over {len(test['ezclip']['per_class'])} classes "
        f"(`base`: {_percent(test['base']['top1'])})."
    )
    if comparison := report["comparisons"].get("prompts->ezclip"):
        d = comparison["overall"]
        points = [f"{100 * d[key]:+.1f}" for key in ("difference", "low", "high")]
        span = f"{points[0]} points of top-1, 95 % interval {points[1]} to {points[2]}"
        helps = "helps" if d["low"] > 0 else "hurts" if d["high"] < 0 else "makes no difference beyond chance"
        lines.append(f"- The motion loss {helps} with prompts ({span}).")
    spread = report["spread"]
    if "prompts" in spread:
        for name in ("prompts", "ezclip"):
            s = spread[name]["released unit"]
            share = s["frozen"]["mean"] / max(s["real"]["mean"], 1e-9)
            lines.append(
                f"- Frame spread (Var + C, unit vectors) of `{name}`: {s['real']['mean']:.3f} on clips, "
                f"{s['frozen']['mean']:.3f} on frozen copies: {_percent(share)} of it is there when nothing moves."
            )
    moving = {row["model"]: row for row in report["attention"] if row["family"] == "ordinary"}
    if "beyond_first" in moving.get("ezclip", {}):
        mean, low, high = moving["ezclip"]["beyond_first"]
        sign = "more" if low > 0 else "less" if high < 0 else "no different"
        lines.append(
            f"- `ezclip` puts {_percent(moving['ezclip']['moving'][0])} of its rollout on what moves, `base` "
            f"{_percent(moving['base']['moving'][0])} (area: {_percent(moving['base']['area'])}); the difference is "
            f"{100 * mean:+.2f} points ({100 * low:+.2f} to {100 * high:+.2f}): {sign}."
        )
    families = ood["ezclip"]["families"]
    drops = {f: row["top1"] - test["ezclip"]["top1"] for f, row in families.items()}
    told = ", ".join(f"{f.replace('_', ' ')} {100 * d:+.0f}" for f, d in sorted(drops.items(), key=lambda kv: kv[1]))
    lines.append(f"- Out of distribution `ezclip` changes by (points of top-1): {told}.")
    return lines


def _ablation(found: Found, report: dict[str, Any]) -> str:
    rows = [["TVP", "motion loss", "variant", "top-1", "within pairs", "spread", "of it frozen", "seeds"]]
    rows[0] += ["paper, SSv2 base", "novel", "paper, UCF"]
    marks = {"base": ("no", "no"), "motion": ("no", "yes"), "prompts": ("yes", "no"), "ezclip": ("yes", "yes")}
    names = [*marks, "shallow", "paper_reading", "calibrated"]
    for name in names:
        prompts, motion = marks.get(name, ("first layer" if name == "shallow" else "yes", "yes"))
        runs = [run["result"] for key, run in found.items() if key == name or key.startswith(f"{name}_seed")]
        base, novel = PAPER_TABLE_5_SSV2.get(name, ("", ""))
        title = {
            "shallow": "ezclip, shallow",
            "paper_reading": "ezclip, loss as printed",
            "calibrated": "ezclip, calibrated",
        }
        rows.append(
            [
                prompts,
                motion,
                title.get(name, name),
                _runs(runs, "top1"),
                _runs(runs, "within_pairs"),
                *_spread(runs),
                str(len(runs)),
                str(base),
                str(novel),
                str(PAPER_TABLE_11_UCF.get(name, "")),
            ]
        )
    rows.append(["", "", "chance", _percent(1 / _classes(found)), "50.0 %", *[""] * 6])
    note = (
        "Spread is Var + C of the frame embeddings on unit vectors; what a frozen copy of the clip shows of it is not "
        "motion."
    )
    return f"## Ablation (Tables 5 and 11)\n\n`{COMMAND}`\n\n{note}\n\n{_markdown(rows)}"


def _base_to_novel(found: Found, report: dict[str, Any]) -> str:
    rows = [["variant", "base classes", "novel", "harmonic mean", "novel within pairs", "novel among all classes"]]
    for variant in ("base", "ezclip"):
        run = found.get(f"base_to_novel_{variant}")
        if run is None:
            rows.append([variant, *[NOT_RUN] * 5])
            continue
        novel = run["novel"]
        values = (run["result"]["top1"], novel["top1"], run["harmonic_mean"], novel["within_pairs"])
        rows.append([variant, *map(_percent, (*values, run["novel_among_all"]["top1"]))])
    C = _classes(found)
    rows.append(["chance", _percent(1 / (C - 2)), "50.0 %", "", "50.0 %", _percent(1 / C)])
    base, novel, mean = PAPER_BASE_TO_NOVEL_SSV2
    rows.append(["paper, ezclip on SSv2", f"{base} %", f"{novel} %", f"{mean} %", "", ""])
    note = (
        "Novel are pushing from right to left and its partner: all their words and motions occur in the base classes, "
        "the combinations do not."
    )
    return f"## Base to novel (Tables 2 and 3)\n\n{note}\n\n{_markdown(rows)}"


def _few_shot(found: Found, report: dict[str, Any]) -> str:
    shots = (2, 4, 8, 16)
    rows = [["start", *(f"K = {k}" for k in shots)]]
    for title, suffix in (("still backbone", ""), ("ezclip of the base classes", "_from_base")):
        runs = [found.get(f"few_shot_{k}{suffix}") for k in shots]
        rows.append([title, *(_percent(run["result"]["top1"]) if run else NOT_RUN for run in runs)])
    rows.append(["chance", *[_percent(1 / _classes(found))] * len(shots)])
    rows.append(["paper, ezclip on SSv2", *(f"{PAPER_TABLE_12_SSV2[k]} %" for k in shots)])
    return f"## Few-shot (Tables 4 and 12)\n\nTop-1 after K clips a class.\n\n{_markdown(rows)}"


def _texts(found: Found, report: dict[str, Any]) -> str:
    kinds = ("names", "templates", "descriptions")
    rows = [["variant", "trained on", *(f"tested on {kind}" for kind in kinds)]]
    tested = found.get("texts", {})
    for variant in ("base", "ezclip"):
        own = tested.get(variant)
        rows.append([variant, "names", *(_percent(own[kind]["top1"]) if own else NOT_RUN for kind in kinds)])
    for place, (step, kind) in enumerate((("ezclip_templates", "templates"), ("ezclip_described", "descriptions"))):
        own = found.get(step)
        cells = ["", "", ""]
        cells[place + 1] = _percent(own["result"]["top1"]) if own else NOT_RUN
        rows.append(["ezclip", kind, *cells])
    chance = _percent(1 / _classes(found))
    rows += [["chance", "", chance, chance, chance], ["paper, UCF-101", "", "", "77.8 %", "79.1 %"]]
    note = "Top-1. The paper trains and tests on the same texts; its column without descriptions uses templates."
    return f"## Texts (Table 10)\n\n{note}\n\n{_markdown(rows)}"


def _families(found: Found, report: dict[str, Any]) -> str:
    if not report:
        return f"## Out of distribution (Fig. 7)\n\n{NOT_RUN}"
    models = list(report["ood"])
    rows = [["family", *(f"{m}, {what}" for m in models for what in ("top-1", "within pairs"))]]
    for family in ["ordinary", *report["ood"]["ezclip"]["families"]]:
        cells = []
        for model in models:
            row = report["test"][model] if family == "ordinary" else report["ood"][model]["families"][family]
            cells += [_percent(row["top1"]), _percent(row["within_pairs"])]
        rows.append([family.replace("_", " "), *cells])
    return f"## Out of distribution (Fig. 7)\n\n{_markdown(rows)}\n\n{_figures('families_chart', 'attention_ood')}"


def _pictures(found: Found, report: dict[str, Any]) -> str:
    if not report:
        return f"## Figures\n\n{NOT_RUN}"
    named = {
        "Training curves": ("curves",),
        "Class by class (Fig. 5)": ("classwise_chart_base_ezclip", "class_map"),
        "Order of frames": ("order_chart",),
        "Spread of the frames (Fig. 8)": ("spread_chart", "frames_prompts_ezclip", "frames_base_motion"),
        "Attention on what moves (Fig. 4)": ("attention_chart",),
    }
    parts = [f"### {title}\n\n{_figures(*names)}" for title, names in named.items()]
    faithful = [["model", "map", "clips", "deletion gain", "95 %", "insertion gain", "95 %"]]
    for model, methods in report["faithfulness"].items():
        for method, row in methods.items():
            d, i = row["deletion_gain"], row["insertion_gain"]
            spans = [f"{low:+.3f} to {high:+.3f}" for _, low, high in (d, i)]
            faithful.append([model, method, str(row["n"]), f"{d[0]:+.3f}", spans[0], f"{i[0]:+.3f}", spans[1]])
    parts.append(
        "### Faithfulness of the maps\n\nGain over random orders of patches; above 0 a map names what the score hangs "
        f"on.\n\n{_markdown(faithful)}"
    )
    told = (
        "Each is made by `python -m ezclip reproduce tabletop --resume`; all tables as CSV: `results/tabletop/study/`."
    )
    return f"## Figures\n\n{told}\n\n" + "\n\n".join(parts)


SECTIONS: tuple[Callable[[Found, dict[str, Any]], str], ...] = (
    _intro,
    _ablation,
    _base_to_novel,
    _few_shot,
    _texts,
    _families,
    _pictures,
)


def _classes(found: Found) -> int:
    return int(found.get("data", {}).get("classes", 31))


def _runs(runs: list[dict[str, Any]], key: str) -> str:
    values = [100 * run[key] for run in runs if key in run]
    if not values:
        return NOT_RUN
    mean = sum(values) / len(values)
    spread = f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else ""
    return f"{mean:.1f} %{spread}"


def _spread(runs: list[dict[str, Any]]) -> tuple[str, str]:
    found = [run["spread"] for run in runs if "spread" in run]
    if not found:
        return "", ""
    real, frozen = (sum(s[key]["mean"] for s in found) / len(found) for key in ("real", "frozen"))
    return f"{real:.4f}", _percent(frozen / real) if real > 1e-6 else "–"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _figures(*names: str) -> str:
    return "\n\n".join(f"![{name.replace('_', ' ')}](results/tabletop/study/{name}.png)" for name in names)


def _markdown(rows: list[list[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
