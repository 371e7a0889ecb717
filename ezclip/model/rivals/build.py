"""From a CLIP backbone and the sizes in a config.json to a rival's model."""

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
    """A rival's model in training mode; CLIP is frozen and shared, only the method's own parts are trainable.

    Sizes that ``settings`` leaves out are those of the authors' code.

    Raises:
        CheckpointError: settings that the method does not have, or T out of range.
    """
    most = min(MAX_FRAMES, settings.get("positions") or MAX_FRAMES)
    if not 1 <= num_frames <= most:
        raise CheckpointError(f"T is {num_frames}; {method} takes 1 to {most}.")
    try:
        return _BUILDERS[method](backbone, num_frames=num_frames, **settings)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise CheckpointError(f"A {method} model cannot have the settings {dict(settings)}.") from error


def unfreeze(model: EZCLIP) -> EZCLIP:
    """Also make trainable what a method's authors train of CLIP, and return the model.

    ActionCLIP trains all of it, its scale from 100 on (CLIP's own) although its tests keep 100. ViFi-CLIP trains all
    but the token table, or nothing where it has prompts. X-CLIP trains the vision tower. A5 and EZ-CLIP leave CLIP
    frozen. MoTE is not trained here: nothing is trainable.
    """
    if model.variant == "mote":
        model.requires_grad_(False)
    if model.variant == "xclip":
        model.vision.requires_grad_()
    if model.variant == "actionclip" or (model.variant == "vificlip" and not model.added()):
        model.requires_grad_()
        model.text.token_embedding.requires_grad_(model.variant == "actionclip")
    return model
