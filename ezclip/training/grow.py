"""Grow a trained CLIP to a larger depth or image size, starting from the same function."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ezclip.errors import ConfigError
from ezclip.model.backbone import Backbone, build_backbone

_BLOCKS = "visual.transformer.resblocks."
_POSITIONS = "visual.positional_embedding"


@torch.no_grad()
def grow(start: Backbone, id: str, architecture: dict[str, Any]) -> Backbone:
    """Copy the weights of ``start`` into a new architecture.

    Positions are interpolated bicubically. Block k of n becomes block k * m / n of m; the blocks in between start as
    the identity, with output projections of zero. With the same depth and image size nothing changes.

    Raises:
        ConfigError: another size differs, or the new depth is not a multiple of the old one.
    """
    grown = build_backbone(id, architecture)
    old_state, new_state = start.clip.state_dict(), grown.clip.state_dict()
    old_depth, new_depth = (len(b.clip.visual.transformer.resblocks) for b in (start, grown))
    state: dict[str, Tensor] = {}
    for name, tensor in new_state.items():
        source = name
        if name.startswith(_BLOCKS):
            number, part = name.removeprefix(_BLOCKS).split(".", 1)
            k, remainder = divmod(int(number) * old_depth, new_depth)
            if remainder:
                state[name] = torch.zeros_like(tensor) if part.startswith(("attn.out_proj", "mlp.c_proj")) else tensor
                continue
            source = f"{_BLOCKS}{k}.{part}"
        state[name] = old_state.get(source, tensor)
    state[_POSITIONS] = _resize_positions(state[_POSITIONS], len(new_state[_POSITIONS]))
    if new_depth % old_depth or any(state[name].shape != tensor.shape for name, tensor in new_state.items()):
        raise ConfigError(
            f"sizes do not fit the backbone of init, {start.id}: only image_size may differ, and layers may be a "
            f"multiple of {old_depth}."
        )
    return build_backbone(id, architecture, state)


def _resize_positions(positions: Tensor, count: int) -> Tensor:
    """Interpolate positions (1+N, D) of the class token and a square grid to ``count`` tokens."""
    side, new_side = round((len(positions) - 1) ** 0.5), round((count - 1) ** 0.5)
    if side == new_side:
        return positions
    grid = positions[1:].T.unflatten(1, (side, side))[None]
    grid = F.interpolate(grid, (new_side, new_side), mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([positions[:1], grid[0].flatten(1).T])
