"""``python -m ezclip VERB``: each verb is a dataclass in its own file; its fields are the command line."""

from __future__ import annotations

import importlib
import logging
import os
import sys

import tyro

from ezclip.errors import UserError

VERBS = {
    "models": "what can be loaded, and what is known of it",
    "predict": "rank class names for clips",
    "analyse": "everything that the app shows of a clip, as a report",
    "explain": "attention maps of a clip, to files",
    "probe": "does a model see motion in a clip",
    "damage": "rank class names for a damaged clip under two models",
    "scan": "scores over a long video",
    "live": "scores of a camera or a stream, as they come",
    "project": "frames of clips under two models in one plane",
    "evaluate": "accuracy on labelled clips",
    "compare": "tables of predictions or shipped results, class by class",
    "embed": "embeddings of many clips, in shards",
    "data": "check a data set and write its manifest",
    "describe": "class descriptions from your own language model",
    "convert": "an official EZ-CLIP .pt file to this project's format",
    "push": "upload a model to the Hugging Face Hub",
    "pull": "download a model from the Hugging Face Hub",
    "synth": "draw Tabletop Motion clips",
    "pretrain": "train the compact CLIP on stills",
    "train": "train adapters and prompts",
    "reproduce": "the benchmark, all variants and all studies",
    "protocol": "one training and test of the paper's protocols",
    "table": "a table of the paper beside what was measured here",
    "bench": "speed, memory and operations",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0 done, 2 the user's input is wrong (one sentence on stderr).
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        listed = "\n".join(f"  {verb:<10} {what}" for verb, what in VERBS.items())
        print(f"usage: python -m ezclip VERB [options]\n\n{listed}\n\npython -m ezclip VERB --help says more.")
        return 0
    verb = arguments[0]
    if verb not in VERBS:
        print(f"There is no verb {verb!r}; choose one of {', '.join(VERBS)}.", file=sys.stderr)
        return 2
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    module = importlib.import_module(f"ezclip.cli.{verb}")
    command = tyro.cli(
        getattr(module, verb.capitalize()), args=arguments[1:], prog=f"python -m ezclip {verb}", config=_STYLE
    )
    try:
        return command.run()
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 1


_STYLE = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes)
