"""Reports in several formats: report.json, CSV and JSON of each table, PNG and SVG of each figure, and an HTML page."""

from __future__ import annotations

import base64
import csv
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from ezclip.files import spreadsheet_cell, write_atomically, write_json
from ezclip.types import Document

LIVE_TEXT: dict[Any, Any] = {"svg.fonttype": "none", "pdf.fonttype": 42}  # text that can be searched and edited


@dataclass(frozen=True)
class Table:
    """Rows with named columns; ``note`` explains them, and ``on_page`` is False for tables too long for the page.

    The page and the command print "guess" in the columns ``guesses``; the files contain their values.
    """

    name: str
    title: str
    columns: list[str]
    rows: list[list[Any]]
    note: str = ""
    on_page: bool = True
    guesses: tuple[str, ...] = ()

    @property
    def cells(self) -> list[list[str]]:
        """The formatted cells."""
        guessed = [name in self.guesses for name in self.columns]
        return [["guess" if g else _cell(value) for g, value in zip(guessed, row, strict=True)] for row in self.rows]

    def text(self) -> str:
        """Title, aligned columns and note, for printing."""
        rows = [self.columns, *self.cells]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([f"{self.title}:", *(f"  {line}" for line in lines), *([self.note] if self.note else [])])

    def write(self, out: Path) -> dict[str, Path]:
        """Write NAME.csv and NAME.json into a folder; returns name -> path."""
        csv_path, json_path = (out / f"{self.name}.{suffix}" for suffix in ("csv", "json"))
        write_atomically(csv_path, lambda path: _csv(path, self))
        write_json(json_path, [dict(zip(self.columns, map(_plain, row), strict=True)) for row in self.rows])
        return {self.name: csv_path, json_path.name: json_path}


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure; ``note`` explains it."""

    name: str
    title: str
    figure: Figure
    note: str = ""


@dataclass
class Report:
    """The results of an analysis, in order of presentation.

    Attributes:
        title: of the page.
        lead: the verdict in one or two sentences.
        data: all results as a JSON object, for report.json.
        provenance: models, hashes, clips, versions, command.
        parts: tables and pictures.
        stage: HTML of the interactive clip player from ``figures.stage.element``; empty for results without a clip.
    """

    title: str
    lead: str
    data: Document
    provenance: dict[str, str]
    parts: list[Table | Picture] = field(default_factory=list)
    stage: Markup = Markup()

    def write(self, out: str | Path) -> dict[str, Path]:
        """Write all formats into ``out``, which is created if missing.

        Returns:
            name -> path: "report" (JSON), "page" (HTML without external references), each table (CSV) and picture
            (PNG) by its name, and their other formats as "NAME.json" and "NAME.svg".
        """
        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        files = {"report": out / "report.json", "page": out / "report.html"}
        write_json(files["report"], self.data)
        pictures: dict[str, str] = {}  # PNG of each figure in base64
        for part in self.parts:
            if isinstance(part, Table):
                files |= part.write(out)
                continue
            png, svg = (out / f"{part.name}.{suffix}" for suffix in ("png", "svg"))
            files |= {part.name: png, svg.name: svg}
            part.figure.savefig(png, dpi=130)
            with rc_context(LIVE_TEXT):
                part.figure.savefig(svg)
            pictures[part.name] = base64.b64encode(png.read_bytes()).decode()
        template = Environment(loader=PackageLoader("ezclip.figures"), autoescape=True).get_template("report.html")
        page = template.render(report=self, pictures=pictures, is_table=lambda part: isinstance(part, Table))
        write_atomically(files["page"], lambda path: path.write_text(page, encoding="utf-8"))
        return files


def slug(name: str) -> str:
    """A model's name in a form that is valid in file names."""
    return re.sub(r"[^\w.-]+", "_", name)


def _csv(path: Path, table: Table) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows(map(spreadsheet_cell, row) for row in [table.columns, *table.rows])


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and np.isnan(value) else value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
