"""Builds a rival's model from a CLIP backbone and the sizes in its config.json."""

from collections.abc import Callable, Mapping

from ezclip.errors import CheckpointError
from ezclip.model.backbone import Backbone
from ezclip.model.builders import MAX_FRAMES
from ezclip.model.ezclip import EZCLIP
from ezclip.model.rivals.a5 import build_a5
from ezclip.model.rivals.actionclip import build_actionclip
from ezclip.model.rivals.mote import build_mote
from ezclip.model.rivals.vificlip import build_vificlip
from ezclip.model.rivals.xclip import build_xclip
from ezclip.types import Rival

_BUILDERS: dict[Rival, Callable[..., EZCLIP]] = {
    "actionclip": build_actionclip,
    "vificlip": build_vificlip,
    "a5": build_a5,
    "xclip": build_xclip,
    "mote": build_mote,
}


def build_rival(method: Rival, backbone: Backbone, num_frames: int, settings: Mapping[str, int]) -> EZCLIP:
    """Build a rival's model in training mode; CLIP is frozen and shared, only the method's additions are trainable.

    Sizes missing from ``settings`` default to those of the authors' code.

    Raises:
        CheckpointError: unknown settings, or T out of range.
    """
    max_frames = min(MAX_FRAMES, settings.get("positions") or MAX_FRAMES)
    if not 1 <= num_frames <= max_frames:
        raise CheckpointError(f"T is {num_frames}; {method} takes 1 to {max_frames}.")
    try:
        return _BUILDERS[method](backbone, num_frames=num_frames, **settings)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise CheckpointError(f"A {method} model cannot have the settings {dict(settings)}.") from error


def unfreeze(model: EZCLIP) -> EZCLIP:
    """Unfreeze the parts of CLIP that the method's authors fine-tune, and return the model.

    ActionCLIP fine-tunes all of CLIP, including the logit scale, which starts at CLIP's 100 and is fixed to 100 in its
    tests. ViFi-CLIP fine-tunes all but the token table, or nothing if it has prompts. X-CLIP fine-tunes the vision
    tower. A5 and EZ-CLIP keep CLIP frozen. Training MoTE is not supported: nothing is trainable.
    """
    if model.variant == "mote":
        model.requires_grad_(False)
    if model.variant == "xclip":
        model.vision.requires_grad_()
    if model.variant == "actionclip" or (model.variant == "vificlip" and not model.added_parameters()):
        model.requires_grad_()
        model.text.token_embedding.requires_grad_(model.variant == "actionclip")
    return model
