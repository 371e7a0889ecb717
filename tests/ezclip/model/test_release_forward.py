"""The release's forward pass in plain torch: checked on the fixtures, then used on files of other sizes."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ezclip.checkpoints.convert import build_official, load_official, read_official
from tests.conftest import FIXTURES

State = dict[str, Tensor]
BLOCK = "visual.transformer.resblocks."


def attention(state: State, name: str, x: Tensor) -> Tensor:
    """nn.MultiheadAttention over (batch, tokens, width), width // 64 heads."""
    D = x.shape[-1]
    tokens_first = x.transpose(0, 1)
    output, _ = F.multi_head_attention_forward(
        tokens_first, tokens_first, tokens_first, D, D // 64,
        state[f"{name}.attn.in_proj_weight"], state[f"{name}.attn.in_proj_bias"], None, None, False, 0.0,
        state[f"{name}.attn.out_proj.weight"], state[f"{name}.attn.out_proj.bias"], training=False,
    )  # fmt: skip
    return output.transpose(0, 1)


def norm(state: State, name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])


def linear(state: State, name: str, x: Tensor) -> Tensor:
    return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def release_frames(state: State, frames: Tensor, T: int) -> Tensor:
    """Frames (B*T, 3, S, S) to frame embeddings (B, T, E)."""
    kernel = state["visual.conv1.weight"]
    patches = F.conv2d(frames, kernel, stride=kernel.shape[-1]).flatten(2).transpose(1, 2)
    first = state["visual.class_embedding"].expand(len(frames), 1, -1)
    x = norm(state, "visual.ln_pre", torch.cat([first, patches], 1) + state["visual.positional_embedding"])
    prompts = state.get("visual.transformer.T_prompt_embeddings")
    layers = 1 + max(int(key.split(".")[3]) for key in state if key.startswith(BLOCK))
    for k in range(layers):
        name = f"{BLOCK}{k}"
        tokens = x
        if prompts is not None and k < len(prompts):
            prompt = prompts[k] + x.mean(1).unflatten(0, (-1, T))
            mixed = attention(state, name, norm(state, f"{name}.ln_1", prompt))
            tokens = torch.cat([x, mixed.flatten(0, 1)[:, None]], 1)
        tokens = tokens + attention(state, name, norm(state, f"{name}.ln_1", tokens))
        x = tokens[:, : x.shape[1]]
        if f"{name}.Adapter.D_fc1.weight" in state:
            x = x + linear(state, f"{name}.Adapter.D_fc2", F.gelu(linear(state, f"{name}.Adapter.D_fc1", x)))
        hidden = linear(state, f"{name}.mlp.c_fc", norm(state, f"{name}.ln_2", x))
        x = x + linear(state, f"{name}.mlp.c_proj", hidden * torch.sigmoid(1.702 * hidden))
    return (norm(state, "visual.ln_post", x[:, 0]) @ state["visual.proj"]).unflatten(0, (-1, T))


@pytest.mark.parametrize("kind", ["none", "deep"])
def test_it_is_the_releases_on_its_fixtures(kind: str) -> None:
    expected = torch.load(FIXTURES / f"{kind}_expected.pt", weights_only=True)
    state = read_official(FIXTURES / f"{kind}_official.pt")
    frames = release_frames(state, expected["frames"], expected["T"])
    torch.testing.assert_close(frames.flatten(), expected["frame_embeddings"].flatten(), atol=1e-5, rtol=1e-4)


def official(width: int, patch: int, grid: int, layers: int, T: int, prompts: int) -> State:
    """A file in the release's layout with other sizes: the small fixture's text tower, a new vision tower."""
    draw = torch.Generator().manual_seed(width + T)

    def random(*shape: int, scale: float = 0.05) -> Tensor:
        return scale * torch.randn(*shape, generator=draw)

    state = {k: v for k, v in read_official(FIXTURES / "none_official.pt").items() if not k.startswith("visual.")}
    E = state["text_projection"].shape[1]
    state |= {
        "visual.conv1.weight": random(width, 3, patch, patch),
        "visual.class_embedding": random(width),
        "visual.positional_embedding": random(1 + grid**2, width),
        "visual.proj": random(width, E),
        "visual.temporal_embedding": torch.zeros(1, T, width),
    }
    shapes = {"ln_pre": (), "ln_post": ()}
    for k in range(layers):
        name = f"transformer.resblocks.{k}"
        shapes |= {f"{name}.ln_1": (), f"{name}.ln_2": (), f"{name}.attn.out_proj": (width, width)}
        shapes |= {f"{name}.mlp.c_fc": (4 * width, width), f"{name}.mlp.c_proj": (width, 4 * width)}
        shapes |= {f"{name}.Adapter.D_fc1": (width // 4, width), f"{name}.Adapter.D_fc2": (width, width // 4)}
        state[f"visual.{name}.attn.in_proj_weight"] = random(3 * width, width)
        state[f"visual.{name}.attn.in_proj_bias"] = random(3 * width)
    for name, shape in shapes.items():
        state[f"visual.{name}.weight"] = random(*shape) if shape else 1 + random(width)
        state[f"visual.{name}.bias"] = random(shape[0] if shape else width)
    if prompts:
        state["visual.transformer.T_prompt_embeddings"] = random(prompts, T, width, scale=0.5)
    return state


@pytest.mark.parametrize(
    ("width", "patch", "grid", "layers", "T", "prompts"),
    [(64, 8, 3, 2, 4, 2), (128, 16, 2, 3, 16, 3), (192, 14, 4, 3, 8, 1), (128, 8, 5, 2, 8, 0)],
)
def test_files_of_other_sizes(
    width: int, patch: int, grid: int, layers: int, T: int, prompts: int, tmp_path: Path
) -> None:
    state = official(width, patch, grid, layers, T, prompts)
    torch.save({"model_state_dict": state}, tmp_path / "other.pt")
    model = load_official(tmp_path / "other.pt")
    assert build_official(dict(state), "other.pt")[2]["T"] == model.num_frames == T
    side = grid * patch
    frames = torch.randn(2 * T, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        embeddings = model.encode_video(frames.unflatten(0, (2, T)))
    expected = release_frames(state, frames, T)
    assert expected.abs().mean() > 1e-2
    torch.testing.assert_close(embeddings, expected, atol=1e-4, rtol=1e-4)
