"""The paper's tables next to measured results; each cell is a run of a protocol, empty until it has been run."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal

import yaml

from ezclip.errors import ConfigError
from ezclip.evaluation.efficiency import Subject, measure_on_device
from ezclip.evaluation.metrics import harmonic_mean, wilson
from ezclip.files import write_json
from ezclip.reproduction.methods import BUDGET, COST_HEAD, TABLETOP_HEAD, accuracy, cost_cells, tabletop_rows
from ezclip.reproduction.protocols import Run, Workspace, protocols
from ezclip.reproduction.splits import UNSEEN_CLASSES, Unseen
from ezclip.text.templates import descriptions
from ezclip.types import RIVALS, Document

TextTable = tuple[str, list[list[str]]]  # title and rows, header first
Epoch = Literal["last", "best"]
HarmonicMean = Literal["of-means", "mean"]
NUMBERS = range(1, 14)
SETS = {"kinetics400": "K-400", "kinetics600": "K-600", "hmdb51": "HMDB-51", "ucf101": "UCF-101", "ssv2": "SSv2"}
HALVES = {"base": "base", "novel": "novel", "harmonic_mean": "HM"}


@dataclass(frozen=True)
class TableOptions:
    """Which of the measured values a table shows.

    Attributes:
        epoch: the last epoch, or the best on the validation clips.
        harmonic_mean: of the mean base and mean novel accuracy over the runs ("of-means"), or the mean of the runs'
            harmonic means; equal for one run. The paper does not say which it reports.
        unseen: rule for the unseen classes of Kinetics-600, see ``splits.unseen_classes``.
    """

    epoch: Epoch = "last"
    harmonic_mean: HarmonicMean = "of-means"
    unseen: Unseen = "paper"


DEFAULTS = TableOptions()


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation (None for one run) of a cell's runs in %, and the number of runs."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class Cell:
    """One number of a table."""

    row: str
    column: str
    paper: float | None  # the paper's number in %, if any
    run: Run | None  # the run that fills the cell; None for other methods
    data_set: str  # tested data set
    metric: str  # key in the run's result on that data set


def cells(number: int, defaults: Run) -> tuple[str, list[list[Cell]]]:
    """Title and rows of a table of runs, 1 to 6 or 10 to 13; ``defaults`` fills fields that the table leaves open."""
    table = _read_table(number)
    columns: list[tuple[str, Document, str, str]] = []  # name, fields of ``Run``, tested set, metric
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


def results_of(cell: Cell, workspace: Workspace, options: TableOptions) -> list[Document]:
    """Results of a cell's finished runs, one per seed, on its tested set."""
    if cell.run is None:
        return []
    documents = _results_by_seed(cell.run, workspace).values()
    results = [document[options.epoch][cell.data_set] for document in documents if options.epoch in document]
    if cell.data_set in UNSEEN_CLASSES:
        rules = [result.get("unseen", {}) for result in results]
        return [by_rule[options.unseen] for by_rule in rules if options.unseen in by_rule]
    return results


def _results_by_seed(run: Run, workspace: Workspace) -> dict[str, Document]:
    """Seed -> result, for all finished runs that differ from ``run`` only in the seed."""
    path = workspace.result(run)
    paths = path.parent.glob(path.name.replace(f"_seed{run.seed}.json", "_seed*.json"))
    return {path.stem.rpartition("_seed")[2]: json.loads(path.read_text("utf-8")) for path in sorted(paths)}


def cell_statistics(cell: Cell, workspace: Workspace, options: TableOptions = DEFAULTS) -> Statistics | None:
    """Mean and standard deviation over the seeds of a cell's finished runs; None without any."""
    results = results_of(cell, workspace, options)
    values = [100 * result[cell.metric] for result in results]
    if not values:
        return None
    mean = fmean(values)
    if cell.metric == "harmonic_mean" and options.harmonic_mean == "of-means":
        mean = 100 * harmonic_mean(*(fmean(result[half] for result in results) for half in ("base", "novel")))
    return Statistics(mean, stdev(values) if len(values) > 1 else None, len(values))


def missing_runs(
    number: int, workspace: Workspace, defaults: Run, sets: list[str] | None = None, *, rivals: bool = False
) -> Iterator[Run]:
    """The runs that a table lacks, restricted to the training ``sets`` if given; runs of rivals only with ``rivals``.

    Few-shot runs are repeated for the protocol's number of draws.
    """
    all_protocols = protocols(workspace.root)
    runs: dict[Run, None] = {}
    for row in cells(number, defaults)[1]:
        for run in (cell.run for cell in row if cell.run is not None):
            draws = all_protocols[run.protocol].draws if run.shots else 1
            runs |= {dataclasses.replace(run, seed=run.seed + draw): None for draw in range(draws)}
    for run in runs:
        selected = (sets is None or run.trained_on in sets) and (rivals or run.method not in RIVALS)
        if selected and not workspace.result(run).is_file():
            yield run


def comparison_table(number: int, workspace: Workspace, defaults: Run, options: TableOptions = DEFAULTS) -> TextTable:
    """The paper's numbers / our measurements.

    A measurement is a mean, with the standard deviation if there are several runs, and their number in brackets.

    Raises:
        ConfigError: unknown table.
    """
    if number not in NUMBERS:
        raise ConfigError(f"There is no table {number}; the paper has 1 to {NUMBERS[-1]}.")
    if special := {7: _efficiency, 8: _descriptions, 9: _top_classes}.get(number):
        return special(workspace, defaults, options)
    title, rows = cells(number, defaults)
    head = ["", *(_column_title([row[i] for row in rows], workspace, options) for i in range(len(rows[0])))]
    body = [[row[0].row, *(_format_cell(cell, workspace, options) for cell in row)] for row in rows]
    note = f"{options.epoch} epoch, mean ± standard deviation (runs)"
    if any(cell.metric == "harmonic_mean" for cell in rows[0]):
        note += "; HM of the mean accuracies" if options.harmonic_mean == "of-means" else "; mean of the runs' HM"
    return f"{title}: top-1 in %, paper / measured ({note})", [head, *body]


def measured_table(number: int, workspace: Workspace, defaults: Run, options: TableOptions = DEFAULTS) -> TextTable:
    """Models trained here: costs, and accuracies in % with 95 % Wilson intervals.

    The methods on Tabletop come first, then the table's runs or, in Table 7, the results of ``ezclip bench``. The
    number of runs follows each accuracy.

    Raises:
        ConfigError: the table does not compare methods.
    """
    if number not in TABLETOP_HEAD:
        raise ConfigError(f"Table {number} does not compare methods; --measured is for 1, 2 and 7.")
    head, on_tabletop = ["", *COST_HEAD, *TABLETOP_HEAD[number]], []
    for row in tabletop_rows(number, workspace.root / "results" / "tabletop" / "methods"):
        costs, accuracies = row[: 1 + len(COST_HEAD)], row[1 + len(COST_HEAD) :]
        on_tabletop.append([*costs, *(_single_run(cell) if cell != "not run" else cell for cell in accuracies)])
    if number == 7:
        benchmarks = [
            [f"{row['name']} ({bench['device']}, {bench['dtype']})", *cost_cells(row), _bench_accuracy(row)]
            for bench, row in _bench_rows(workspace)
        ]
        return f"Methods measured here (runs behind each accuracy). {BUDGET}", [head, *on_tabletop, *benchmarks]
    costs_by_row = {row["name"]: row for bench, row in _bench_rows(workspace) if bench.get("table") == number}
    table, from_runs = cells(number, defaults)[1], []
    for row in table:
        accuracies = [_with_interval(cell, workspace, options) for cell in row]
        if any(accuracies):
            name, blank = row[0].row, [""] * len(TABLETOP_HEAD[number])
            from_runs.append([name, *cost_cells(costs_by_row.get(name)), *blank, *accuracies])
    if from_runs:
        head += [cell.column for cell in table[0]]
    title = f"Methods trained here ({options.epoch} epoch; runs behind each accuracy). {BUDGET}"
    return title, [head, *on_tabletop, *from_runs]


def measure_costs(number: int, workspace: Workspace, defaults: Run) -> None:
    """Measure one trained model per row of a table, timed alternately, for ``measured_table``."""
    models: dict[str, Path] = {}
    runs = [(cell.row, cell.run) for row in cells(number, defaults)[1] for cell in row if cell.run is not None]
    for row, run in runs:
        folder = workspace.root / "runs" / "protocols" / run.name / "model"
        if folder.is_dir():
            models.setdefault(row, folder)
    if not models:
        return
    bench = measure_on_device([Subject(str(folder)) for folder in models.values()], batch_size=4)
    for name, row in zip(models, bench["rows"], strict=True):
        row["name"] = name
    write_json(workspace.root / "results" / "bench" / f"table_{number}" / "bench.json", bench | {"table": number})


def _read_table(number: int) -> Document:
    """Read a table of tables.yaml."""
    return yaml.safe_load(Path(__file__).with_name("tables.yaml").read_text("utf-8"))[number]


def _column_title(column: list[Cell], workspace: Workspace, options: TableOptions) -> str:
    """The name of a column; for unseen classes with their number here and in the publications."""
    cell = column[0]
    if cell.data_set not in UNSEEN_CLASSES:
        return cell.column
    here = sorted({result["classes"] for cell in column for result in results_of(cell, workspace, options)})
    published = UNSEEN_CLASSES[cell.data_set]
    counts = f"classes: paper {published['paper']}, here {', '.join(map(str, here)) or 'not run'}"
    rivals = f" (mean over 3 lists; rivals {published['rivals']})" if options.unseen == "rivals" else ""
    return f"{cell.column}, {counts}{rivals}"


def _format_cell(cell: Cell, workspace: Workspace, options: TableOptions) -> str:
    paper = "–" if cell.paper is None else f"{cell.paper:.1f}"
    if cell.run is None:
        return paper
    statistics = cell_statistics(cell, workspace, options)
    if statistics is None:
        return f"{paper} /"
    return f"{paper} / {_mean_deviation(statistics)}"


def _with_interval(cell: Cell, workspace: Workspace, options: TableOptions) -> str:
    """The accuracy of one run with its interval, or mean and standard deviation of several; empty without any."""
    statistics = cell_statistics(cell, workspace, options)
    if statistics is None or statistics.sd is not None:
        return _mean_deviation(statistics) if statistics else ""
    (result,) = results_of(cell, workspace, options)
    return _single_run(accuracy(statistics.mean / 100, result.get("intervals", {}).get(cell.metric)))


def _mean_deviation(statistics: Statistics) -> str:
    spread = "" if statistics.sd is None else f" ± {statistics.sd:.1f}"
    return f"{statistics.mean:.1f}{spread} ({statistics.n})"


def _single_run(value: str) -> str:
    """Append the number of runs, as in ``_format_cell``, to the value of a single run."""
    return f"{value} (1)"


def _bench_accuracy(row: Document) -> str:
    """The accuracy that ``ezclip bench`` measured with its interval; empty if it was run without clips."""
    if "top1" not in row:
        return ""
    interval = wilson(round(row["top1"] * row["clips"]), row["clips"])
    return f"{_single_run(accuracy(row['top1'], interval))} on {row['data']}"


def _bench_rows(workspace: Workspace) -> Iterator[tuple[Document, Document]]:
    """All rows written by ``ezclip bench`` and ``measure_costs``, each after the document that contains it."""
    for path in sorted((workspace.root / "results" / "bench").rglob("bench.json")):
        bench = json.loads(path.read_text("utf-8"))
        yield from ((bench, row) for row in bench["rows"])


def _efficiency(workspace: Workspace, _: Run, __: TableOptions) -> TextTable:
    head = ["", "GFLOPs", "views/s", "parameters (M)", "tunable (M)"]
    rows = [head, *([f"{name} (paper)", *map(str, numbers)] for name, *numbers in _read_table(7)["rows"])]
    for bench, row in _bench_rows(workspace):
        gflop = f"{2 * row['gmac']['all']:.1f} ({row['gmac']['linear_and_conv']:.1f} GMAC as thop counts)"
        parameters = (f"{row['parameters'][key] / 1e6:.1f}" for key in ("total", "tunable"))
        name = f"{row['name']}, here ({bench['device']}, {bench['dtype']})"
        rows.append([name, gflop, _single_run(f"{row['views_per_second']:.1f}"), *parameters])
    note = "the paper's GFLOPs of EZ-CLIP are multiply-adds without attention; ours count 2 a multiply-add, with it; "
    note += "our views/s are medians of repeated passes (runs of the command)"
    return f"Efficiency, measured by python -m ezclip bench --out results/bench/NAME ({note})", rows


def _descriptions(_: Workspace, __: Run, ___: TableOptions) -> TextTable:
    ours = descriptions("ucf101")
    rows = [["class", "this project's description"], *([name, ours[name]] for name in _read_table(8)["classes"])]
    return "Descriptions of the UCF-101 classes that the paper shows (its own texts are in its Table 8)", rows


def _top_classes(workspace: Workspace, defaults: Run, options: TableOptions) -> TextTable:
    run = dataclasses.replace(defaults, protocol="base_to_novel", trained_on="ssv2")
    base, ours = (
        {
            seed: {
                name: row["top1"]
                for name, row in result[options.epoch]["ssv2"]["per_class"].items()
                if row["half"] == "base"
            }
            for seed, result in _results_by_seed(dataclasses.replace(run, method=variant), workspace).items()
            if options.epoch in result
        }
        for variant in ("base", "ezclip")
    )
    points: dict[str, list[float]] = {}
    for seed in sorted(base.keys() & ours.keys()):
        for name, top1 in base[seed].items():
            points.setdefault(name, []).append(100 * (ours[seed][name] - top1))
    gains = [(name, _gain(values)) for name, values in sorted(points.items(), key=lambda item: -fmean(item[1]))]
    rows, paper = [["paper: number and class", "measured: class", "points"]], _read_table(9)["classes"]
    for (number, name), gain in zip_longest(paper.items(), gains[: len(paper)], fillvalue=("", "")):
        rows.append([f"{number} {name}", *gain])
    note = f"{options.epoch} epoch; mean ± standard deviation of the gains at equal seeds (runs)"
    return f"SSv2 classes that gain most from TVP and motion loss, base classes, best first ({note})", rows


def _gain(points: list[float]) -> str:
    spread = f" ± {stdev(points):.1f}" if len(points) > 1 else ""
    return f"{fmean(points):+.1f}{spread} ({len(points)})"
