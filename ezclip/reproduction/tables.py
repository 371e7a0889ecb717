"""The paper's tables beside what has been measured: each cell is a run of a protocol, empty until it has been made."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal

import yaml
from tabulate import tabulate

from ezclip.errors import ConfigError
from ezclip.evaluation.efficiency import Subject, measure_here
from ezclip.evaluation.metrics import harmonic_mean, wilson
from ezclip.files import write_json
from ezclip.reproduction.methods import BUDGET, COST_HEAD, TABLETOP_HEAD, accuracy, cost_cells, tabletop_rows
from ezclip.reproduction.protocols import Place, Run, protocols
from ezclip.reproduction.splits import UNSEEN_CLASSES, Unseen
from ezclip.text.templates import descriptions
from ezclip.types import RIVALS, Document

Epoch = Literal["last", "best"]
HarmonicMean = Literal["of-means", "mean"]
NUMBERS = range(1, 14)
SETS = {"kinetics400": "K-400", "kinetics600": "K-600", "hmdb51": "HMDB-51", "ucf101": "UCF-101", "ssv2": "SSv2"}
HALVES = {"base": "base", "novel": "novel", "harmonic_mean": "HM"}


@dataclass(frozen=True)
class Shown:
    """Which of the measured figures a table shows.

    Attributes:
        epoch: the last one, or the best on the validation clips.
        harmonic_mean: of the base and novel accuracies that stand beside it, means over the runs ("of-means"), or the
            mean of the runs' own harmonic means; equal for one run. The paper does not say which it prints.
        unseen: rule of the unseen classes of Kinetics-600, see ``splits.unseen_classes``.
    """

    epoch: Epoch = "last"
    harmonic_mean: HarmonicMean = "of-means"
    unseen: Unseen = "paper"


SHOWN = Shown()


@dataclass(frozen=True)
class Measured:
    """Mean of a cell's runs in %, their standard deviation (None for one run), and how many there are."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class Cell:
    """One number of a table."""

    row: str
    column: str
    paper: float | None  # the paper's number in %, None where it has none
    run: Run | None  # what fills it here; None for other methods
    data_set: str  # that is tested
    metric: str  # of the run's result on that set


def cells(number: int, defaults: Run) -> tuple[str, list[list[Cell]]]:
    """Title and rows of one of the tables that runs fill, 1 to 6 and 10 to 13; ``defaults`` has what it leaves open."""
    table = _stored(number)
    columns: list[tuple[str, Document, str, str]] = []  # name, fields of the run, tested set, metric
    for trained_on in table["trained_on"]:
        for shots in table.get("shots", [None]):
            fields = {"protocol": table["protocol"], "trained_on": trained_on, "shots": shots}
            name = SETS[trained_on]
            if "tested_on" in table:
                columns += [(name, fields, tested, "top1") for name, tested in table["tested_on"].items()]
            elif table["protocol"] == "base_to_novel":
                columns += [(f"{name} {short}", fields, trained_on, metric) for metric, short in HALVES.items()]
            else:
                columns.append((f"{name} K={shots}", fields, trained_on, "top1"))
    rows: list[list[Cell]] = []
    for row in table["rows"]:
        rows.append([])
        for (column, fields, tested, metric), paper in zip(columns, row["paper"], strict=True):
            run = None
            if "run" in row:
                run = dataclasses.replace(defaults, **fields, **row["run"])
                if run.method == "clip":  # nothing is trained
                    run = dataclasses.replace(run, shots=None, seed=0)
            rows[-1].append(Cell(row["name"], column, paper, run, tested, metric))
    return table["title"], rows


def results_of(cell: Cell, place: Place, shown: Shown) -> list[Document]:
    """What the runs of a cell, one for each seed that has been run, found on its tested set."""
    if cell.run is None:
        return []
    results = _by_seed(cell.run, place).values()
    found = [result[shown.epoch][cell.data_set] for result in results if shown.epoch in result]
    if cell.data_set in UNSEEN_CLASSES:
        return [
            by_rule[shown.unseen] for by_rule in (one.get("unseen", {}) for one in found) if shown.unseen in by_rule
        ]
    return found


def _by_seed(run: Run, place: Place) -> dict[str, Document]:
    """Results of a run's seeds that have been run."""
    one = place.result(run)
    paths = one.parent.glob(one.name.replace(f"_seed{run.seed}.json", "_seed*.json"))
    return {path.stem.rpartition("_seed")[2]: json.loads(path.read_text("utf-8")) for path in sorted(paths)}


def measured(cell: Cell, place: Place, shown: Shown = SHOWN) -> Measured | None:
    """Mean and spread over the seeds that have been run; None where nothing was."""
    found = results_of(cell, place, shown)
    values = [100 * one[cell.metric] for one in found]
    if not values:
        return None
    mean = fmean(values)
    if cell.metric == "harmonic_mean" and shown.harmonic_mean == "of-means":
        mean = 100 * harmonic_mean(*(fmean(one[half] for one in found) for half in ("base", "novel")))
    return Measured(mean, stdev(values) if len(values) > 1 else None, len(values))


def missing(
    number: int, place: Place, defaults: Run, sets: list[str] | None = None, *, rivals: bool = False
) -> Iterator[Run]:
    """The runs on the trained ``sets`` (None: on all) that a table still lacks, each once; with ``rivals`` also theirs.

    A number of shots is drawn as often as its protocol says.
    """
    known = protocols(place.root)
    runs: dict[Run, None] = {}
    for row in cells(number, defaults)[1]:
        for run in (cell.run for cell in row if cell.run is not None):
            draws = known[run.protocol].draws if run.shots else 1
            runs |= {dataclasses.replace(run, seed=run.seed + draw): None for draw in range(draws)}
    for run in runs:
        wanted = (sets is None or run.trained_on in sets) and (rivals or run.method not in RIVALS)
        if wanted and not place.result(run).is_file():
            yield run


def as_rows(number: int, place: Place, defaults: Run, shown: Shown = SHOWN) -> tuple[str, list[list[str]]]:
    """Title and rows of text, the head first: the paper's number, and after a stroke what has been measured.

    A measured figure is a mean, with its standard deviation where there are several runs, and their number in brackets.

    Raises:
        ConfigError: no such table.
    """
    if number not in NUMBERS:
        raise ConfigError(f"There is no table {number}; the paper has 1 to {NUMBERS[-1]}.")
    if special := {7: _efficiency, 8: _descriptions, 9: _top_classes}.get(number):
        return special(place, defaults, shown)
    title, rows = cells(number, defaults)
    head = ["", *(_heading([row[i] for row in rows], place, shown) for i in range(len(rows[0])))]
    body = [[row[0].row, *(_text(cell, place, shown) for cell in row)] for row in rows]
    told = f"{shown.epoch} epoch, mean ± standard deviation (runs)"
    if any(cell.metric == "harmonic_mean" for cell in rows[0]):
        told += "; HM of the mean accuracies" if shown.harmonic_mean == "of-means" else "; mean of the runs' HM"
    return f"{title}: top-1 in %, paper / measured ({told})", [head, *body]


def as_measured(number: int, place: Place, defaults: Run, shown: Shown = SHOWN) -> tuple[str, list[list[str]]]:
    """Title and rows of text of what was trained here alone: costs, and accuracies in % with 95 % Wilson intervals.

    Tabletop's methods come first, then the runs of the table, or in Table 7 what ``ezclip bench`` measured. Behind each
    accuracy is the number of runs.

    Raises:
        ConfigError: a table without methods to compare.
    """
    if number not in TABLETOP_HEAD:
        raise ConfigError(f"Table {number} does not compare methods; --measured is for 1, 2 and 7.")
    head, own = ["", *COST_HEAD, *TABLETOP_HEAD[number]], []
    for row in tabletop_rows(number, place.root / "results" / "tabletop" / "methods"):
        costs, accuracies = row[: 1 + len(COST_HEAD)], row[1 + len(COST_HEAD) :]
        own.append([*costs, *(_of_one(cell) if cell != "not run" else cell for cell in accuracies)])
    if number == 7:
        others = [
            [f"{row['name']} ({found['device']}, {found['dtype']})", *cost_cells(row), _of_bench(row)]
            for found, row in _benches(place)
        ]
        return f"Methods measured here (runs behind each accuracy). {BUDGET}", [head, *own, *others]
    costs_of = {row["name"]: row for found, row in _benches(place) if found.get("table") == number}
    of_table, of_runs = cells(number, defaults)[1], []
    for row in of_table:
        accuracies = [_with_interval(cell, place, shown) for cell in row]
        if any(accuracies):
            name = row[0].row
            of_runs.append([name, *cost_cells(costs_of.get(name)), *[""] * len(TABLETOP_HEAD[number]), *accuracies])
    if of_runs:
        head += [cell.column for cell in of_table[0]]
    return f"Methods trained here ({shown.epoch} epoch; runs behind each accuracy). {BUDGET}", [head, *own, *of_runs]


def measure_costs(number: int, place: Place, defaults: Run) -> None:
    """Measure one trained model of each row of a table, timed alternately, for ``as_measured``."""
    models: dict[str, Path] = {}
    runs = [(cell.row, cell.run) for row in cells(number, defaults)[1] for cell in row if cell.run is not None]
    for row, run in runs:
        folder = place.root / "runs" / "protocols" / run.name / "model"
        if folder.is_dir():
            models.setdefault(row, folder)
    if not models:
        return
    found = measure_here([Subject(str(folder)) for folder in models.values()], batch_size=4)
    for name, row in zip(models, found["rows"], strict=True):
        row["name"] = name
    write_json(place.root / "results" / "bench" / f"table_{number}" / "bench.json", found | {"table": number})


def markdown(rows: list[list[str]]) -> str:
    """Rows of text, the head first, as a Markdown table."""
    return tabulate(rows[1:], rows[0], tablefmt="github", disable_numparse=True)


def _stored(number: int) -> Document:
    """A table of tables.yaml."""
    return yaml.safe_load(Path(__file__).with_name("tables.yaml").read_text("utf-8"))[number]


def _heading(column: list[Cell], place: Place, shown: Shown) -> str:
    """A column's name; for unseen classes with their number here and in the publications."""
    cell = column[0]
    if cell.data_set not in UNSEEN_CLASSES:
        return cell.column
    here = sorted({one["classes"] for cell in column for one in results_of(cell, place, shown)})
    published = UNSEEN_CLASSES[cell.data_set]
    counts = f"classes: paper {published['paper']}, here {', '.join(map(str, here)) or 'not run'}"
    rivals = f" (mean over 3 lists; rivals {published['rivals']})" if shown.unseen == "rivals" else ""
    return f"{cell.column}, {counts}{rivals}"


def _text(cell: Cell, place: Place, shown: Shown) -> str:
    paper = "–" if cell.paper is None else f"{cell.paper:.1f}"
    if cell.run is None:
        return paper
    found = measured(cell, place, shown)
    if found is None:
        return f"{paper} /"
    spread = "" if found.sd is None else f" ± {found.sd:.1f}"
    return f"{paper} / {found.mean:.1f}{spread} ({found.n})"


def _with_interval(cell: Cell, place: Place, shown: Shown) -> str:
    """The accuracy of one run with its interval, or the mean of several with their deviation; empty without any."""
    found = measured(cell, place, shown)
    if found is None:
        return ""
    if found.sd is not None:
        return f"{found.mean:.1f} ± {found.sd:.1f} ({found.n})"
    (one,) = results_of(cell, place, shown)
    return _of_one(accuracy(found.mean / 100, one.get("intervals", {}).get(cell.metric)))


def _of_one(figure: str) -> str:
    """A figure of one run, with that number as in ``_text``."""
    return f"{figure} (1)"


def _of_bench(row: Document) -> str:
    """The accuracy of a model that ``ezclip bench`` measured, with its interval; empty where it had no clips."""
    if "top1" not in row:
        return ""
    interval = wilson(round(row["top1"] * row["clips"]), row["clips"])
    return f"{_of_one(accuracy(row['top1'], interval))} on {row['data']}"


def _benches(place: Place) -> Iterator[tuple[Document, Document]]:
    """What ``ezclip bench`` and ``measure_costs`` found: each file's document and one of its rows."""
    for path in sorted((place.root / "results" / "bench").rglob("bench.json")):
        found = json.loads(path.read_text("utf-8"))
        yield from ((found, row) for row in found["rows"])


def _efficiency(place: Place, _: Run, __: Shown) -> tuple[str, list[list[str]]]:
    head = ["", "GFLOPs", "views/s", "parameters (M)", "tunable (M)"]
    rows = [head, *([f"{name} (paper)", *map(str, numbers)] for name, *numbers in _stored(7)["rows"])]
    for found, row in _benches(place):
        gflop = f"{2 * row['gmac']['all']:.1f} ({row['gmac']['linear_and_conv']:.1f} GMAC as thop counts)"
        parameters = (f"{row['parameters'][key] / 1e6:.1f}" for key in ("total", "tunable"))
        told = f"{row['name']}, here ({found['device']}, {found['dtype']})"
        rows.append([told, gflop, _of_one(f"{row['views_per_second']:.1f}"), *parameters])
    told = "the paper's GFLOPs of EZ-CLIP are multiply-adds without attention; ours count 2 a multiply-add, with it; "
    told += "our views/s are medians of repeated passes (runs of the command)"
    return f"Efficiency, measured by python -m ezclip bench --out results/bench/NAME ({told})", rows


def _descriptions(_: Place, __: Run, ___: Shown) -> tuple[str, list[list[str]]]:
    ours = descriptions("ucf101")
    rows = [["class", "this project's description"], *([name, ours[name]] for name in _stored(8)["classes"])]
    return "Descriptions of the UCF-101 classes that the paper shows (its own texts are in its Table 8)", rows


def _top_classes(place: Place, defaults: Run, shown: Shown) -> tuple[str, list[list[str]]]:
    run = dataclasses.replace(defaults, protocol="base_to_novel", trained_on="ssv2")
    base, ours = (
        {
            seed: {
                name: row["top1"]
                for name, row in found[shown.epoch]["ssv2"]["per_class"].items()
                if row["half"] == "base"
            }
            for seed, found in _by_seed(dataclasses.replace(run, method=variant), place).items()
            if shown.epoch in found
        }
        for variant in ("base", "ezclip")
    )
    points: dict[str, list[float]] = {}
    for seed in sorted(base.keys() & ours.keys()):
        for name, top1 in base[seed].items():
            points.setdefault(name, []).append(100 * (ours[seed][name] - top1))
    gains = [(name, _gain(found)) for name, found in sorted(points.items(), key=lambda item: -fmean(item[1]))]
    rows, paper = [["paper: number and class", "measured: class", "points"]], _stored(9)["classes"]
    for (number, name), gain in zip_longest(paper.items(), gains[: len(paper)], fillvalue=("", "")):
        rows.append([f"{number} {name}", *gain])
    told = f"{shown.epoch} epoch; mean ± standard deviation of the gains at equal seeds (runs)"
    return f"SSv2 classes that gain most from TVP and motion loss, base classes, best first ({told})", rows


def _gain(points: list[float]) -> str:
    spread = f" ± {stdev(points):.1f}" if len(points) > 1 else ""
    return f"{fmean(points):+.1f}{spread} ({len(points)})"
