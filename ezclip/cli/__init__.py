"""``python -m ezclip VERB``: each verb is a dataclass whose fields are its command-line options.

The verbs of studies are derived from their declarations; the other verbs are defined in the modules of this package.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name

import tyro

from ezclip.errors import UnexpectedError, as_user_error
from ezclip.studies import STUDIES, study_of

OTHER_VERBS = {  # verb -> (module:name, summary)
    "app": ("app.gate.server:App", "open the app in a browser"),
    "models": ("ezclip.cli.models:Models", "the models that can be loaded, and their measured results"),
    "get": ("ezclip.cli.models:Get", "fetch a model that `models --all` lists"),
    "embed": ("ezclip.cli.data:Embed", "embeddings of many clips, in shards"),
    "index": ("ezclip.cli.index:Index", "index a folder of videos for search"),
    "data": ("ezclip.cli.data:Data", "check a data set and write its manifest"),
    "describe": ("ezclip.cli.data:Describe", "class descriptions from your own language model"),
    "convert": (
        "ezclip.cli.models:Convert",
        "checkpoints of EZ-CLIP and other methods to this project's format, and back",
    ),
    "push": ("ezclip.cli.models:Push", "upload a model to the Hugging Face Hub"),
    "pull": ("ezclip.cli.models:Pull", "download a model from the Hugging Face Hub"),
    "synth": ("ezclip.cli.tabletop:Synth", "draw Tabletop Motion clips"),
    "pretrain": ("ezclip.cli.train:Pretrain", "train the compact CLIP on stills"),
    "train": ("ezclip.cli.train:Train", "train adapters and prompts"),
    "reproduce": ("ezclip.cli.tabletop:Reproduce", "the benchmark, all variants and all studies"),
    "protocol": ("ezclip.cli.tables:Protocol", "train and test by one of the paper's protocols"),
    "table": ("ezclip.cli.tables:Table", "a table of the paper next to the results measured here"),
    "bench": ("ezclip.cli.bench:Bench", "speed, memory and operations"),
}
OLD_VERBS = {"probe": "motion", "damage": "corruption", "scan": "timeline", "project": "frames", "compare": "classes"}
_STYLE = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes)


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; returns 0 on success, 2 for invalid input and 1 for any other error, reported on stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        lines = "\n".join(f"  {verb:<11} {summary}" for verb, (_, summary) in (STUDIES | OTHER_VERBS).items())
        print(f"usage: python -m ezclip VERB [options]\n\n{lines}\n\npython -m ezclip VERB --help lists its options.")
        return 0
    verb, options = arguments[0], arguments[1:]
    if verb in OLD_VERBS:
        print(f"warning: {verb} is now called {OLD_VERBS[verb]}; the old name is deprecated.", file=sys.stderr)
        verb = OLD_VERBS[verb]
    if verb not in STUDIES and verb not in OTHER_VERBS:
        print(f"There is no verb {verb!r}; choose one of {', '.join([*STUDIES, *OTHER_VERBS])}.", file=sys.stderr)
        return 2
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # By default OpenMP threads spin for milliseconds while they wait, which slows others on busy cores severalfold
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    error_log = Path(tempfile.gettempdir()) / "ezclip-errors.log"
    logging.getLogger("ezclip.errors").addHandler(logging.FileHandler(error_log, delay=True))
    logging.getLogger("ezclip.errors").propagate = False
    command = tyro.cli(_command(verb, options), args=options, prog=f"python -m ezclip {verb}", config=_STYLE)
    try:
        return command.run()
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except Exception as error:
        user_error = as_user_error(error)
        unexpected = isinstance(user_error, UnexpectedError)
        hint = f" The traceback is in {error_log}." if unexpected else ""
        print(f"{user_error}{hint}", file=sys.stderr)
        return 1 if unexpected else 2


def _command(verb: str, options: list[str]) -> Callable:
    """The command's dataclass; deprecated flags in ``options`` are replaced."""
    if verb in OTHER_VERBS:
        return resolve_name(OTHER_VERBS[verb][0])
    from ezclip.cli._studies import command_of

    study = study_of(verb)
    for i, option in enumerate(options):
        flag, separator, value = option.partition("=")
        if flag in study.old_flags:
            options[i] = f"{study.old_flags[flag]}{separator}{value}"
            print(f"warning: {flag} is now called {study.old_flags[flag]}; the old one is deprecated.", file=sys.stderr)
    return command_of(study)
