"""What one patch of a stage draws on: its row of the rollout, over all frames."""

from __future__ import annotations

from ezclip.errors import UserError
from ezclip.figures.stage import packed
from ezclip.studies.host import Host
from ezclip.studies.stage.directions import orders, turned
from ezclip.types import Clip, Document


def patch_reads(host: Host, clip: Clip, model: str, direction: str, t: int, patch: int) -> Document:
    """The rollout from one patch of the last layer to the patches of all frames.

    Args:
        host: has the model.
        clip: as it is; T frames.
        model: name.
        direction: a key of ``directions.orders``.
        t: position of the frame in that direction, in [0, T).
        patch: its number in the grid, row by row.

    Returns:
        {"heat": packed (T, N), "text": how much of it comes from its own frame and through the prompts}.

    Raises:
        UserError: a direction, frame or patch that does not exist.
    """
    from ezclip.explanation.maps import no_map
    from ezclip.explanation.rollout import roll_out
    from ezclip.explanation.trace import trace_of

    predictor = host.predictor(model)
    N = predictor.model.grid**2
    if absent := no_map(predictor.model, "rollout"):
        raise UserError(f"{model}: {absent}")
    if direction not in orders(len(clip)) or not (0 <= t < len(clip) and 0 <= patch < N):
        raise UserError(f"There is no patch {patch} in frame {t} of this clip {direction}; it has {N} patches a frame.")
    encoded = host.encode(predictor, clip if direction == "forward" else turned(clip, direction))
    row = roll_out(trace_of(encoded, "mean"), token=(t, 1 + patch))
    own = float(row.influence[0, t] / row.influence.sum())
    text = f"This patch attends {own:.0%} to its own frame and {1 - own:.0%} to other frames, through the prompts."
    if own > 0.9999:
        text = "This patch attends to its own frame alone."
    return {"heat": packed(row.heat.cpu().numpy()), "text": text}
