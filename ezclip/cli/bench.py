"""``python -m ezclip bench``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro

from ezclip.checkpoints.catalog import check_model_name
from ezclip.cli._shared import check_out, print_json
from ezclip.data.manifest import labels_of, read_rows
from ezclip.errors import ConfigError, UserError
from ezclip.progress import on_terminal
from ezclip.types import Document, NativeMethod

BENCHES = Path("results/bench")  # default folder for GPU tables


@dataclass
class Bench:
    """Parameters, operations, speed and memory compared with plain open_clip on the same frames, timed alternately.

    Without models it measures an architecture with random weights and, on a GPU, also batches of 1 to 64 views eager,
    compiled and with CUDA graphs, written to results/bench/CARD.json. With --data it also measures the accuracy of the
    models and plots it against their GFLOPs, as in the paper's Fig. 1.

    Example: python -m ezclip bench tabletop/base tabletop/ezclip --data data/tabletop/test/val --out results/bench
    """

    models: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Names, folders or clip:ARCH/TAG."""
    arch: str = "ViT-B-16-quickgelu"
    """open_clip architecture with random weights, used without models."""
    methods: tuple[NativeMethod, ...] = ("base", "ezclip")
    """Methods on that architecture, also vificlip, actionclip, a5 and xclip."""
    frames: int = 8
    """Frames per view, for random weights."""
    batch_size: int = 4
    """Views per forward pass (throughput), and clips per training step."""
    repeats: int = 10
    """Timed runs of each model; medians are compared."""
    data: str | None = None
    """Manifest or folder of labelled clips."""
    out: Path | None = None
    """Folder for bench.json, which ezclip table 7 reads, and the figure."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Measure, write and print."""
        for name in self.models:
            check_model_name(name)
        if min(self.frames, self.batch_size, self.repeats) < 1:
            raise ConfigError("--frames, --batch-size and --repeats must be at least 1.")
        if self.data is not None and not self.models:
            raise ConfigError("--data needs trained models; name them.")
        rows = read_rows(self.data) if self.data is not None else []
        if self.out is not None:
            check_out(self.out)
        import open_clip
        import torch

        from ezclip.evaluation.efficiency import Subject, forward_ratios, measure_on_device
        from ezclip.evaluation.gpu import format_table, gpu_table
        from ezclip.evaluation.run import evaluate
        from ezclip.figures.report import slug
        from ezclip.files import write_json
        from ezclip.predictor import Predictor

        if open_clip.get_model_config(self.arch) is None:
            raise UserError(f"open_clip has no architecture {self.arch!r}.")
        options: Document = {"T": self.frames, "repeats": self.repeats}
        subjects = [Subject(name) for name in self.models] or [
            Subject(f"{method} {self.arch}, random weights", method, self.arch) for method in self.methods
        ]
        document = measure_on_device(subjects, batch_size=self.batch_size, device=self.device, **options)
        if not self.models:
            document |= forward_ratios(self.arch, device=document["device"], **options)
        for row in document["rows"] if rows else []:
            predictor = Predictor.load(row["name"], device=self.device)
            report = on_terminal(evaluate(predictor, rows, labels_of(rows))).report()
            row |= {"top1": report["top1"], "clips": report["n"], "data": Path(self.data or "").name}
        device, dtype = torch.device(document["device"]), getattr(torch, document["dtype"])
        if device.type == "cuda" and not self.models:
            table = on_terminal(
                gpu_table(partial(subjects[-1].build, self.frames), device=device, dtype=dtype, repeats=self.repeats)
            )
            write_json((self.out or BENCHES) / f"{slug(table['card'])}.json", {"arch": self.arch, **table})
            print(format_table(table), file=sys.stderr)
        if self.out is not None:
            write_json(self.out / "bench.json", document)
            if rows:
                _draw(document["rows"], torch.__version__).savefig(self.out / "bubbles.png", dpi=150)
        if self.json:
            print_json(document)
            return 0
        for row in document["rows"]:
            print(_format_row(row))
        for name, value in (document.get("seconds", {}) | document.get("ratios", {})).items():
            print(f"{value:>8}  {name}")
        return 0


def _draw(rows: list[Document], version: str) -> Any:
    from ezclip.figures.charts import bubbles

    return bubbles(
        [(r["name"], 2 * r["gmac"]["all"], 100 * r["top1"], r["parameters"]["tunable"] / 1e6) for r in rows],
        title=f"Accuracy against cost on {rows[0]['clips']} clips (torch {version})",
        x_label="GFLOPs of one view (2 per multiply-add, attention included)",
        y_label="top-1 (%)",
        size_label="M tunable parameters",
    )


def _format_row(row: Document) -> str:
    size, gmac, text = row["parameters"], row["gmac"], row["gmac_text"]
    memory = "unknown" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**20:.0f} MiB"
    step = "" if row["training_step_seconds"] is None else f", training step {row['training_step_seconds']:.3f} s"
    lines = [
        f"{row['name']}, T = {row['frames']}",
        f"  parameters  {size['total'] / 1e6:.2f} M, tunable {size['tunable'] / 1e6:.3f} M, stored "
        f"{row['stored_bytes'] / 2**20:.1f} MiB ({size['linear_and_conv'] / 1e6:.2f} M in Linear and Conv layers)",
        f"  one view    {gmac['all']:.2f} GMAC = {2 * gmac['all']:.2f} GFLOP with attention; "
        f"{gmac['linear_and_conv']:.2f} GMAC in Linear and Conv layers alone, as thop counts",
        f"  one text    {text['all']:.3f} GMAC with attention; {text['linear_and_conv']:.3f} GMAC as thop counts",
        f"  speed       {row['latency_seconds']:.4f} s for one view, {row['views_per_second']:.2f} views/s in batches "
        f"of {row['batch_size']}{step}",
        f"  memory      {memory} beyond the model, forward pass of {row['batch_size']} views",
    ]
    if "open_clip" in row:
        ratio = row["open_clip"]["time_ratio"]
        lines.append(f"  open_clip   {row['open_clip']['seconds']:.4f} s for the same frames; ours takes {ratio:.3f} x")
    if "top1" in row:
        lines.append(f"  accuracy    {row['top1']:.1%} top-1 on {row['clips']} clips of {row['data']}")
    return "\n".join(lines)
