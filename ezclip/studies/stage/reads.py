"""The patches, over all frames, that one patch of a stage attends to: its row of the rollout."""

from __future__ import annotations

from ezclip.errors import UserError
from ezclip.figures.stage import to_base64
from ezclip.studies.host import Host
from ezclip.studies.stage.directions import orders, reorder
from ezclip.types import Clip, Document


def patch_reads(host: Host, clip: Clip, model: str, direction: str, t: int, patch: int) -> Document:
    """The rollout from one patch of the last layer to the patches of all frames.

    Args:
        host: provides the model.
        clip: the T frames in forward order.
        model: name of the model.
        direction: a key of ``directions.orders``.
        t: position of the frame in that direction, in [0, T).
        patch: index in the grid, row by row.

    Returns:
        {"heat": (T, N) in base64, "text": the shares of its own frame and of the other frames}.

    Raises:
        UserError: a direction, frame or patch that does not exist.
    """
    from ezclip.explanation.maps import missing_map_reason
    from ezclip.explanation.rollout import roll_out
    from ezclip.explanation.trace import cached_trace

    predictor = host.predictor(model)
    N = predictor.model.grid**2
    if absent := missing_map_reason(predictor.model, "rollout"):
        raise UserError(f"{model}: {absent}")
    if direction not in orders(len(clip)) or not (0 <= t < len(clip) and 0 <= patch < N):
        raise UserError(f"There is no patch {patch} in frame {t} of this clip {direction}; it has {N} patches a frame.")
    encoded = host.encode(predictor, clip if direction == "forward" else reorder(clip, direction))
    row = roll_out(cached_trace(encoded, "mean"), token=(t, 1 + patch))
    share = float(row.influence[0, t] / row.influence.sum())
    text = f"This patch attends {share:.0%} to its own frame and {1 - share:.0%} to other frames, through the prompts."
    if share > 0.9999:
        text = "This patch attends to its own frame alone."
    return {"heat": to_base64(row.heat.cpu().numpy()), "text": text}
