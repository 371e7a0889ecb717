"""``ezclip reproduce tabletop``: benchmark, backbone, all variants and their evaluation, in stages.

Each finished stage writes ``RESULTS/<stage>.json`` with its configuration, seed, curve, wall time and result; resuming
skips finished stages. RESULTS.md is generated from these files after each stage.
"""

import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass

from ezclip.errors import ConfigError
from ezclip.files import write_json
from ezclip.progress import Steps, rescale
from ezclip.reproduction.methods import COST, RATES
from ezclip.reproduction.report.results import write_results
from ezclip.reproduction.tabletop import FULL, SHOTS, Reproduction
from ezclip.types import Document

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """A stage of the reproduction."""

    name: str
    minutes: float  # approximate duration on 2 cores
    run: Callable[[Reproduction], Steps[Document]]


def _fit(name: str, *overrides: str) -> Stage:
    return Stage(name, 21, lambda r: r.fit(name, *overrides))


TRAINED = ("ezclip", "base", "prompts", "motion")
# Overrides of the trainings with three seeds.
SEEDED = {variant: (f"method={variant}",) for variant in TRAINED} | {"calibrated": ("reading=calibrated",)}
STAGES: tuple[Stage, ...] = (
    Stage("data", 4, Reproduction.draw),
    Stage("backbone", 27, Reproduction.backbone),
    *(_fit(variant, *SEEDED[variant]) for variant in TRAINED),
    Stage("study", 17, Reproduction.study),
    Stage("static_bias", 5, Reproduction.static_bias),
    Stage("wider_world", 3, Reproduction.wider_world),
    Stage("texts", 2, Reproduction.texts),
    *(Stage(f"methods/{method}", 4, lambda r, m=method: r.fit_alike(m)) for method in RATES),
    Stage(f"methods/{COST}", 1, Reproduction.costs),
    Stage("ezclip_described", 21, lambda r: r.fit_on_texts("ezclip_described", "tabletop", "descriptions")),
    Stage("ezclip_templates", 21, lambda r: r.fit_on_texts("ezclip_templates", "templates", "templates")),
    _fit("calibrated", *SEEDED["calibrated"]),
    Stage("motion_loss", 2, Reproduction.motion_loss),
    *(_fit(f"{name}_seed{s}", *overrides, f"seed={s}") for s in (1, 2) for name, overrides in SEEDED.items()),
    _fit("shallow", "prompt_depth=shallow"),
    _fit("paper_reading", "reading=paper"),
    *(
        Stage(f"base_to_novel_{v}", 21, lambda r, v=v: r.base_to_novel(f"base_to_novel_{v}", f"method={v}"))
        for v in ("ezclip", "base")
    ),
    *(Stage(f"few_shot_{k}", 8, lambda r, k=k: r.few_shot(k, None)) for k in SHOTS),
    *(Stage(f"few_shot_{k}_from_base", 8, lambda r, k=k: r.few_shot(k, "base_to_novel_ezclip")) for k in SHOTS),
)


def reproduce(r: Reproduction, *, resume: bool, until: str | None = None) -> Steps[list[str]]:
    """Run the stages in order, up to ``until`` if given, and return the names of those that were run.

    With ``resume``, finished stages are skipped; without it, earlier results are deleted.

    Raises:
        ConfigError: there is no stage ``until``.
    """
    names = [stage.name for stage in STAGES]
    if until is not None and until not in names:
        raise ConfigError(f"There is no stage {until!r}; the stages are {', '.join(names)}.")
    selected = STAGES[: names.index(until or names[-1]) + 1]
    todo = [stage for stage in selected if not (resume and r.read_result(stage.name))]
    if not resume:
        shutil.rmtree(r.results, ignore_errors=True)
        shutil.rmtree(r.runs, ignore_errors=True)
    minutes = sum(stage.minutes for stage in todo) or 1.0
    if r.scale is FULL:
        message = "%d stages, about %.1f hours on 2 CPU cores, 14 GB of disk for clips and decoded frames."
        log.warning(message, len(todo), minutes / 60)
    done = 0.0
    for i, stage in enumerate(todo, 1):
        start, prefix = time.monotonic(), f"stage {i} of {len(todo)}, {stage.name}: "
        end = done + stage.minutes / minutes
        result = yield from rescale(stage.run(r), done, end, prefix)
        write_json(r.results / f"{stage.name}.json", result | {"seconds": round(time.monotonic() - start, 1)})
        write_results(r.results)
        done = end
    return [stage.name for stage in todo]
