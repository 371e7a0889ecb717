"""Sections of RESULTS.md on the study: out of distribution, static bias, figures and faithfulness."""

from ezclip.data.tabletop.static_bias import MOTIONS_OF_THINGS, VERSIONS
from ezclip.reproduction.maps import maps_section
from ezclip.reproduction.report.claims import Results
from ezclip.reproduction.report.markdown import NOT_RUN, figures, markdown, percent
from ezclip.types import WITHIN_PAIRS, Document


def families(results: Results, report: Document) -> str:
    """Accuracy on each family of shifted clips."""
    if not report:
        return f"## Out of distribution (Fig. 7)\n\n{NOT_RUN}"
    wider = results.get("wider_world", {}).get("models", {})
    models = {
        model: {"ordinary": report["test"][model]} | ood["families"] | wider.get(model, {})
        for model, ood in report["ood"].items()
    }
    rows = [["family", *(f"{model}, {metric}" for model in models for metric in ("top-1", WITHIN_PAIRS))]]
    for family in models["ezclip"]:
        accuracies = [families[family][key] for families in models.values() for key in ("top1", "within_pairs")]
        rows.append([family.replace("_", " "), *map(percent, accuracies)])
    return f"## Out of distribution (Fig. 7)\n\n{markdown(rows)}\n\n{figures('families_chart', 'attention_ood')}"


def static_bias(results: Results, report: Document) -> str:
    """Accuracy when backgrounds or objects are exchanged."""
    title = "## Static bias"
    if not (models := results.get("static_bias", {}).get("models")):
        return f"{title}\n\n{NOT_RUN}"
    versions = next(iter(models.values()))["versions"]
    rows = [["version", *(f"{model}, {metric}" for model in models for metric in ("top-1", WITHIN_PAIRS))]]
    for version in VERSIONS:
        row = [version.replace("_", " ")]
        for model in models.values():
            values = model["versions"][version]
            row += [f"{percent(values['top1'])} ({100 * values['low']:.0f} to {100 * values['high']:.0f})"]
            row += [percent(values["within_pairs"])]
        rows.append(row)
    measures = [["measure", *models, "reference"]]
    spans = [[100 * value for value in model["contrasted"]] for model in models.values()]
    contrasted = [f"{mean:.1f} % ({low:.0f} to {high:.0f})" for mean, low, high in spans]
    measures.append(["contrasted accuracy", *contrasted, "HMDB51: about 41 %, ALBAR 53.0 %"])
    follows = [percent(model["follows_background"]) for model in models.values()]
    measures.append(["action swap, answered with a class of the background's clip", *follows, "by chance 6 %"])
    for name, reference in (
        ("mean_frame", "chance 3.2 %"),
        ("most_confident_frame", "chance 3.2 %"),
        ("any_frame", "top-1 of the originals"),
    ):
        values = [percent(model["single_frames"][name]) for model in models.values()]
        measures.append([f"original, {name.replace('_', ' ')}", *values, reference])
    note = (
        f"{versions['original']['n']} clips of the {len(MOTIONS_OF_THINGS)} motions in which objects move, each in six "
        "versions (`ezclip synth --split static`), classified among all classes; 95 % bootstrap intervals over clips. "
        "`stripes`: the moving objects on a background of sinusoidal stripes (SCUBA); `still stripes`: one frame of "
        "that, repeated (SCUFO); `conflicting foreground`: stripes plus static objects from a clip of another motion; "
        "`action swap`: the moving objects on the background of another motion's clip (HAT). Contrasted accuracy: "
        "share of clips classified correctly on `stripes` but not on `still stripes`. Any frame: at least one single "
        "frame is classified correctly, an upper bound for any method that picks one frame."
    )
    sheet = "![versions of three scenes](results/tabletop/static_bias.webp)"
    return f"{title}\n\n{note}\n\n{markdown(rows)}\n\n{markdown(measures)}\n\n{sheet}"


def pictures(results: Results, report: Document) -> str:
    """The study's figures, and the faithfulness of the maps."""
    if not report:
        return f"## Figures\n\n{NOT_RUN}"
    groups = {
        "Training curves": ("curves",),
        "Per-class accuracy (Fig. 5)": ("classwise_chart_base_ezclip", "class_map"),
        "Frame order": ("order_chart",),
        "Frame spread (Fig. 8)": ("spread_chart", "frames_prompts_ezclip", "frames_base_motion"),
        "Attention on moving objects (Fig. 4)": ("attention_chart",),
    }
    parts = [f"### {title}\n\n{figures(*names)}" for title, names in groups.items()]
    kinds = {"deletion_gain": "deletion gain", "insertion_gain": "insertion gain", "srg": "SRG"}
    faithful = [["model", "map", "clips", *(f"{title}, {of}" for of in ("score", "logit") for title in kinds.values())]]
    for model, methods in report["faithfulness"].items():
        for method, row in methods.items():
            gains = [(part[kind], form) for part, form in ((row, "+.3f"), (row["logit"], "+.2f")) for kind in kinds]
            cells = [f"{value:{form}} ({low:{form}} to {high:{form}})" for (value, low, high), form in gains]
            faithful.append([model, method, str(row["n"]), *cells])
    parts.append(
        "### Faithfulness of the maps\n\nFor the true label: gain over random patch orders, and SRG, the area under "
        "the insertion curve minus that under the deletion curve, with 95 % intervals over clips; above 0, a map "
        "identifies what the score depends on.\n\n"
        f"{markdown(faithful)}\n\n{maps_section(results.get('maps'))}"
    )
    note = "All tables as CSV: `results/tabletop/study/`."
    return f"## Figures\n\n{note}\n\n" + "\n\n".join(parts)
