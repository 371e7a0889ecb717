"""The paper's claims on Tabletop Motion: all studies of all variants in one report."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np

from ezclip.data.manifest import Row
from ezclip.evaluation.attention import attention_shares, faithfulness, pointing_table
from ezclip.evaluation.classwise import compare, map_classes, top_changed
from ezclip.evaluation.metrics import frame_spread
from ezclip.evaluation.order import order_sensitivity
from ezclip.evaluation.run import Evaluation, evaluate
from ezclip.evaluation.summary import accuracy_table, comparison_parts, confusion_parts, family_parts, predictions_table
from ezclip.explanation.faithfulness import LEVELS, ORDERS
from ezclip.explanation.maps import explain_clip
from ezclip.explanation.projection import project
from ezclip.figures import charts
from ezclip.figures.maps import draw_strip, shared_limit
from ezclip.figures.report import Picture, Report, Table
from ezclip.predictor import Predictor
from ezclip.progress import Steps
from ezclip.types import WITHIN_PAIRS, Document
from ezclip.video.read import read_clip
from ezclip.video.sampling import segment_centres

PAIRS = (("base", "ezclip"), ("prompts", "ezclip"), ("base", "motion"))  # compared by class and by frame
FAITHFUL_CLIPS = 2  # per class in the faithfulness test
FIG8_CLIPS = 8


def study(
    models: dict[str, Predictor],
    test: Sequence[Row],
    ood: Sequence[Row],
    *,
    faithful_classes: int | None = None,
    provenance: dict[str, str],
) -> Steps[Report]:
    """Run every study of ``ezclip/evaluation`` on models keyed by variant; "base" and "ezclip" are required.

    All clips, in and out of distribution, must have masks. The faithfulness test uses the first ``faithful_classes``
    classes, all if None; ``provenance`` is the origin of the models and clips.
    """
    labels = sorted({row.label for row in test})
    pairs = [pair for pair in PAIRS if set(pair) <= set(models)]
    data: Document = {}

    on_test: dict[str, Evaluation] = {}
    on_ood: dict[str, Evaluation] = {}
    for name, predictor in models.items():
        on_test[name] = yield from evaluate(predictor, test, labels, static=True)
        on_ood[name] = yield from evaluate(predictor, ood, labels)
        on_test[name].model = on_ood[name].model = name
    data["test"] = {name: e.report() for name, e in on_test.items()}
    data["ood"] = {name: e.report() for name, e in on_ood.items()}
    parts: list[Table | Picture] = [accuracy_table(list(on_test.values())), *family_parts(list(on_ood.values()))]

    data["comparisons"] = {}
    for first, second in pairs:
        comparison = compare(on_test[first], on_test[second])
        data["comparisons"][f"{first}->{second}"] = comparison.as_json()
        for part in comparison_parts(comparison):
            title = f"{part.title}: {first} to {second}"
            parts.append(replace(part, name=f"{part.name}_{first}_{second}", title=title))
    for name in ("base", "ezclip"):
        parts += confusion_parts(on_test[name])
    parts += [predictions_table(e, f"predictions_{name}") for name, e in on_test.items()]
    data["class_maps"] = {}
    for first, second in combinations(on_test.values(), 2):
        class_map = map_classes(first, second, top_changed(compare(first, second)))
        data["class_maps"][f"{first.model}->{second.model}"] = class_map.as_json()
        if class_map.models == ["base", "ezclip"]:
            parts.append(class_map.picture())

    data["order"] = {}
    for name, predictor in models.items():
        data["order"][name] = yield from order_sensitivity(predictor, test, labels)
    parts += order_parts(data["order"])

    data["spread"] = {
        name: {
            f"{reading}{' unit' if unit else ''}": frame_spread(e.frames, e.static, reading, unit=unit).as_json()
            for reading in ("released", "paper")
            for unit in (False, True)
        }
        for name, e in on_test.items()
    }
    parts += spread_parts(data["spread"])
    parts += [frame_map(on_test[first], on_test[second]) for first, second in pairs if (first, second) != PAIRS[0]]

    shares, masked = {}, [*test, *ood]
    for name, predictor in models.items():
        shares[name] = yield from attention_shares(predictor, masked)
    data["attention"] = pointing_table(masked, shares)
    parts += pointing_parts(data["attention"])
    parts.append(attention_strip({name: models[name] for name in ("base", "ezclip")}, ood))

    faithful_clips = [
        row for label in labels[:faithful_classes] for row in [r for r in test if r.label == label][:FAITHFUL_CLIPS]
    ]
    methods = ["rollout", "rollout-own-frame", "last-layer", "released"]
    data["faithfulness"] = {}
    for name in ("base", "ezclip"):
        data["faithfulness"][name] = yield from faithfulness(models[name], faithful_clips, labels, methods)
    parts.append(faithfulness_table(data["faithfulness"]))
    verdict = compare(on_test["base"], on_test["ezclip"]).verdict
    return Report("Tabletop Motion: the paper's claims, measured", verdict, data, provenance, parts)


def order_parts(results: Document) -> list[Table | Picture]:
    """Accuracy under each variation of ``order.orders``."""
    variations = list(next(iter(results.values())))
    rows = [
        [model, v, result[v]["top1"], result[v].get("within_pairs", ""), result[v].get("flips", "")]
        for model, result in results.items()
        for v in variations
    ]
    nan = float("nan")
    series = {m: [(result[v].get("within_pairs", nan), nan, nan) for v in variations] for m, result in results.items()}
    figure = charts.grouped(
        variations,
        series,
        title="The same clips with reordered frames",
        axis_label="own class ranked above partner, %",
        reference=(0.5, "blind to order"),
    )
    columns = ["model", "frames", "top-1", WITHIN_PAIRS, "answer flips to the partner"]
    note = "Reversed frames show the partner class: an order-sensitive model drops from p to about 1 - p within pairs."
    return [Table("order", "Frame order", columns, rows, note), Picture("order_chart", "Bar chart", figure)]


def spread_parts(spreads: Document) -> list[Table | Picture]:
    """Var + C of clips and of their static copies."""
    rows, series = [], {}
    for model, readings in spreads.items():
        for reading, values in readings.items():
            bars = [tuple(values[k][e] for e in ("mean", "low", "high")) for k in ("real", "static", "beyond")]
            rows.append([model, reading, *(v for bar in bars for v in bar)])
            if reading == "released unit":
                series[model] = bars
    columns = ["model", "reading", *(f"{k}{e}" for k in ("clips", "static", "beyond") for e in ("", " from", " to"))]
    figure = charts.grouped(
        ["clips", "static copies (phantom)", "difference"],
        series,
        title="Spread of L2-normalised frame embeddings, released formulation",
        axis_label="Var + C",
        percent=False,
    )
    note = (
        "Phantom motion is a model's spread on a static copy: the middle frame repeated T times. It comes from the "
        "prompts' positions. Raw values of two models are not comparable; compare unit vectors."
    )
    return [
        Table("spread", "Frame spread (Eq. 4, 5)", columns, rows, note),
        Picture("spread_chart", "Spread and phantom motion", figure, note),
    ]


def frame_map(first: Evaluation, second: Evaluation) -> Picture:
    """Fig. 8: frames of eight clips of different classes, both models fitted jointly."""
    first_clips = list({row.label: i for i, row in reversed(list(enumerate(first.rows)))}.values())
    indices = [first_clips[i] for i in np.linspace(0, len(first_clips) - 1, FIG8_CLIPS).astype(int)]
    T = first.frames.shape[1]
    embeddings = np.concatenate([e.frames[indices].flatten(0, 1).numpy() for e in (first, second)])
    flat = project(embeddings)
    panels = [e.model for e in (first, second) for _ in range(len(indices) * T)]
    clips = [first.rows[i].label for i in indices for _ in range(T)] * 2
    figure = charts.plane(
        flat.points, panels, clips, title=f"{flat.method}, fitted jointly to both models", trajectories=True
    )
    note = (
        f"One colour per clip, its {T} frames joined in time order from 1. The models differ only in the motion loss. "
        f"Trustworthiness {flat.trustworthiness:.2f}."
    )
    return Picture(
        f"frames_{first.model}_{second.model}", f"Frames (Fig. 8): {first.model}, {second.model}", figure, note
    )


def pointing_parts(rows: list[Document]) -> list[Table | Picture]:
    """Share of the attention rollout on moving objects."""
    families = list(dict.fromkeys(row["family"] for row in rows))
    series: dict[str, list] = {}
    for row in rows:
        series.setdefault(row["model"], []).append(row["moving"])
    areas = [next(row["area"] for row in rows if row["family"] == f) for f in families]
    series["area (uniform map)"] = [(area, *charts.NO_INTERVAL) for area in areas]
    figure = charts.grouped(
        [f.replace("_", " ") for f in families],
        series,
        title="Attention rollout on moving objects (energy-based pointing game)",
        axis_label="share of attention, %",
    )
    columns = ["family", "model", "clips", "on moving", "from", "to", "on still", "background", "area of moving"]
    columns += ["minus first model", "from", "to"]
    table = []
    for row in rows:
        shares = [*row["moving"], row["still"][0], row["background"][0], row["area"]]
        table.append([row["family"], row["model"], row["n"], *shares, *row.get("beyond_first", ["", "", ""])])
    note = "A uniform map would put the area's share on moving objects. Intervals: 95 % bootstrap over clips."
    return [
        Table("attention", "Attention against ground truth", columns, table, note),
        Picture("attention_chart", "Attention against ground truth, bar chart", figure, note),
    ]


def attention_strip(models: dict[str, Predictor], ood: Sequence[Row]) -> Picture:
    """Figs. 4 and 7: base and EZ-CLIP on one out-of-distribution clip."""
    row = next((r for r in ood if r.family == "unseen_backgrounds" and "Pushing" in r.label), ood[0])
    T = next(iter(models.values())).model.num_frames
    clip = read_clip(row.path, partial(segment_centres, T=T))
    maps = {
        name: explain_clip(predictor, predictor.encode(clip), method="rollout") for name, predictor in models.items()
    }
    figure = draw_strip(clip, maps, limit=shared_limit(list(maps.values())))
    return Picture("attention_ood", "Attention out of distribution (Figs. 4, 7)", figure, f"{row.family}: {row.label}")


def faithfulness_table(results: Document) -> Table:
    """Gain of each map over random orders."""
    gains = {"deletion gain": "deletion_gain", "insertion gain": "insertion_gain", "SRG": "srg"}
    rows = [
        [
            model,
            method,
            row["n"],
            *(value for part in (row, row["logit"]) for key in gains.values() for value in part[key]),
        ]
        for model, methods in results.items()
        for method, row in methods.items()
    ]
    titles = [f"{title}{suffix}" for suffix in ("", ", logit") for title in gains]
    columns = ["model", "map", "clips", *(column for title in titles for column in (title, "from", "to"))]
    note = (
        "Area between score curves in the map's order and in random orders of space-time patches; above 0 the map "
        "shows what the score depends on, 0 is chance. SRG: area of insertion minus that of deletion. "
        f"{LEVELS} levels, {ORDERS} random orders, patches replaced by the mean colour."
    )
    return Table("faithfulness", "Faithfulness of the maps", columns, rows, note)


def training_curves(runs: dict[str, list[Document]]) -> Picture:
    """Within-pairs validation accuracy over training steps; ``runs`` maps legend to the rows of metrics.jsonl."""
    lines = {}
    for name, rows in runs.items():
        evaluated = [row for row in rows if "val_within_pairs" in row]
        lines[name] = ([row["step"] for row in evaluated], [100 * row["val_within_pairs"] for row in evaluated])
    figure = charts.curves(
        lines,
        title="Prompts stay at chance for a few hundred steps, then learn",
        x_label="step",
        y_label=f"{WITHIN_PAIRS}, % (validation set)",
        reference=(50, "blind to order"),
    )
    return Picture("curves", "Training", figure)
