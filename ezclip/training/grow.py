"""A CLIP of another depth and image size that begins as the function of a trained one."""

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
    """The weights of ``start`` in a new architecture.

    Positions are interpolated bicubically. Block k of n becomes block k * m / n of m; the blocks between begin as the
    identity, because their output projections are zero. With the same depth and image size nothing changes.

    Raises:
        ConfigError: another size differs, or the depth is not a multiple.
    """
    grown = build_backbone(id, architecture)
    have, own = start.clip.state_dict(), grown.clip.state_dict()
    before, after = (len(b.clip.visual.transformer.resblocks) for b in (start, grown))
    state: dict[str, Tensor] = {}
    for name, tensor in own.items():
        source = name
        if name.startswith(_BLOCKS):
            number, part = name.removeprefix(_BLOCKS).split(".", 1)
            k, new = divmod(int(number) * before, after)
            if new:
                state[name] = torch.zeros_like(tensor) if part.startswith(("attn.out_proj", "mlp.c_proj")) else tensor
                continue
            source = f"{_BLOCKS}{k}.{part}"
        state[name] = have.get(source, tensor)
    state[_POSITIONS] = _resized(state[_POSITIONS], len(own[_POSITIONS]))
    if after % before or any(state[name].shape != tensor.shape for name, tensor in own.items()):
        raise ConfigError(
            f"sizes do not fit the backbone of init, {start.id}: only image_size may differ, and layers may be a "
            f"multiple of {before}."
        )
    return build_backbone(id, architecture, state)


def _resized(positions: Tensor, count: int) -> Tensor:
    """Positions of the class token and of a square grid (1+N, D) for ``count`` tokens."""
    side, wanted = round((len(positions) - 1) ** 0.5), round((count - 1) ** 0.5)
    if side == wanted:
        return positions
    grid = positions[1:].T.unflatten(1, (side, side))[None]
    grid = F.interpolate(grid, (wanted, wanted), mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([positions[:1], grid[0].flatten(1).T])
