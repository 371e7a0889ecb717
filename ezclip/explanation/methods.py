"""The explanation methods and their settings; does not import torch. A new method is a function and an entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, Literal, get_args

from ezclip.parameters import Parameter
from ezclip.types import MapKind

Fusion = Literal["mean", "max", "min"]
FUSIONS: tuple[Fusion, ...] = get_args(Fusion)


@dataclass(frozen=True)
class MapSettings:
    """Settings of the attention-based maps."""

    fusion: Annotated[Fusion, Parameter("How the heads are combined.", "Head fusion", choices=FUSIONS)] = "mean"
    start_layer: Annotated[int, Parameter("First block of a rollout; blocks below count as the identity.", low=0)] = 0
    discard: Annotated[
        float,
        Parameter("Fraction of the smallest attention entries of a row set to 0.", "Discard ratio", 0.0, 0.9, 0.1),
    ] = 0.0


DEFAULT = MapSettings()


@dataclass(frozen=True)
class Method:
    """An explanation method.

    Attributes:
        function: "module:name" below ``ezclip.explanation``, or a function ``Inputs -> Map``, see ``maps``.
        title: for display.
        summary: what the map shows, as a predicate of the title.
        needs_label: whether it explains a label.
        needs: requirement on the model: traceable attention, EZ-CLIP's blocks, or only scores.
        settings: the fields of ``MapSettings`` that it uses.
        signed: whether values may be negative; such maps use a diverging colour scale.
        source: reference shown on the page and in the README.
    """

    function: str | Callable[[Any], Any]
    title: str
    summary: str
    needs: MapKind = "attention"
    needs_label: bool = False
    settings: frozenset[str] = frozenset()
    signed: bool = False
    source: str = ""

    @property
    def description(self) -> str:
        """Title, summary and source."""
        return f"{self.title} {self.summary}{f' ({self.source})' if self.source else ''}."

    @property
    def compute(self) -> Callable[[Any], Any]:
        """The function, imported lazily."""
        if not isinstance(self.function, str):
            return self.function
        module, _, name = self.function.partition(":")
        return getattr(import_module(f"ezclip.explanation.{module}"), name)


_HEADS = frozenset({"fusion"})
_START = frozenset({"start_layer"})
_LAYERS = _START | {"discard"}
# The best SRG among all maps that cost at most three forward passes, see docs/MAPS.md.
DEFAULT_METHOD = "rollout-own-frame"
METHODS: dict[str, Method] = {
    "rollout-own-frame": Method(
        "maps:rollout_own_frame",
        "Rollout, own frame only",
        "is the part of the rollout from each frame's class token to its own frame",
        settings=_HEADS | _LAYERS,
        source="a part of rollout, arXiv 2005.00928",
    ),
    "rollout": Method(
        "maps:rollout",
        "Attention rollout",
        "multiplies the attention of all blocks through frames and prompts, half of each step the skip connection",
        settings=_HEADS | _LAYERS,
        source="after arXiv 2005.00928",
    ),
    "last-layer": Method(
        "maps:last_layer",
        "Last layer, class token",
        "is the class token's attention in the last block",
        settings=_HEADS,
        source="the model's own attention",
    ),
    "released": Method(
        "maps:released",
        "The release's map",
        "is drawn by the authors' code: last block, mean over heads and all queries",
        settings=_HEADS,
        source="the release of arXiv 2312.08010",
    ),
    "gradient-rollout": Method(
        "gradients:gradient_rollout",
        "Gradient rollout (of the label)",
        "weights attention by the gradient of the label's score",
        needs="blocks",
        needs_label=True,
        settings=_LAYERS,
        source="after arXiv 2103.15679, rows normalised",
    ),
    "grad-cam": Method(
        "gradients:grad_cam",
        "Grad-CAM (of the label)",
        "weights the channels before the last block by the gradient of the label's score",
        needs="blocks",
        needs_label=True,
        source="arXiv 1610.02391",
    ),
    "integrated-gradients": Method(
        "gradients:integrated_gradients",
        "Integrated gradients (of the label)",
        "integrates gradients from the clip's mean colour to the clip",
        needs="score",
        needs_label=True,
        source="arXiv 1703.01365",
    ),
    "occlusion": Method(
        "gradients:occlusion",
        "Occlusion (of the label)",
        "covers cells of 2x2 patches and measures how the label's score drops",
        needs="score",
        needs_label=True,
        source="after arXiv 1311.2901",
    ),
    "chefer": Method(
        "chefer:chefer",
        "Chefer's rule (of the label)",
        "adds up gradient-weighted attention through all blocks, without normalising its rows",
        needs="blocks",
        needs_label=True,
        settings=_START,
        source="arXiv 2103.15679",
    ),
    "motion-only": Method(
        "motion_only:motion_only",
        "Motion-only rollout",
        "is the rollout minus that of each frame held still: positive where the other frames add heat",
        settings=_HEADS | _LAYERS,
        signed=True,
        source="after arXiv 1908.01536",
    ),
    "grad-eclip": Method(
        "grad_eclip:grad_eclip",
        "Grad-ECLIP (of the label)",
        "weights the last block's values by the gradient of the label's score and their keys' closeness to the query",
        needs="blocks",
        needs_label=True,
        source="arXiv 2502.18816",
    ),
    "patch-text": Method(
        "patch_text:patch_text",
        "Patch-text similarity (of the label)",
        "compares each patch with the label: where its words fit, not why the model chose it",
        needs="blocks",
        needs_label=True,
        source="MaskCLIP, arXiv 2112.01071",
    ),
    "legrad": Method(
        "legrad:legrad",
        "LeGrad (of the label)",
        "adds up the gradients of every block's attention for the label's score as read from that block",
        needs="blocks",
        needs_label=True,
        source="arXiv 2404.03214",
    ),
}


def method_names() -> tuple[str, ...]:
    """Names of the registered methods."""
    return tuple(METHODS)
