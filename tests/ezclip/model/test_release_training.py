"""The release's training mode in plain torch, token-first as in its code: gradients with all dropouts on.

The masks are fixed: both sides take the mask of a dropout layer, drawn by its name, from ``Masks``.
"""

import re
import zlib
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezclip.checkpoints.convert import build_official
from ezclip.config import TrainConfig
from ezclip.model.adapter import TokenDropPath
from ezclip.model.attention import Mix
from ezclip.model.builders import build_ezclip
from ezclip.model.ezclip import EZCLIP
from ezclip.training.step import total_loss
from tests.ezclip.model.test_release_forward import State, linear, norm, official

B, T, LAYERS, DROP, PROMPT_DROP = 3, 4, 3, 0.4, 0.3
LABELS = torch.tensor([0, 1, 0])
CONFIG = TrainConfig(
    method="ezclip", backbone="", out="", data="", preset="released", reading="released", contrastive="in_batch"
)


class Masks:
    """Dropout masks of 0 or 1 / (1 - p), by layer and shape; each side asks once for each layer."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}

    def __call__(self, place: str, shape: tuple[int, ...], p: float) -> Tensor:
        self.asked[place] = self.asked.get(place, 0) + 1
        draw = torch.Generator().manual_seed(zlib.crc32(f"{place} {shape}".encode()))
        return (torch.rand(shape, generator=draw) >= p).float() / (1 - p)


def release_attention(state: State, name: str, x: Tensor, keep: Tensor, causal: bool) -> Tensor:
    """nn.MultiheadAttention over (tokens, batch, width) with dropout of its weights, (batch, heads, n, n)."""
    n, batch, D = x.shape
    packed = F.linear(x, state[f"{name}.attn.in_proj_weight"], state[f"{name}.attn.in_proj_bias"])
    q, k, v = (t.view(n, batch * (D // 64), 64).transpose(0, 1) for t in packed.chunk(3, dim=-1))
    scores = q @ k.transpose(1, 2) / 8
    if causal:
        scores = scores + torch.full((n, n), float("-inf")).triu(1)
    weights = scores.softmax(dim=-1) * keep.reshape(scores.shape)
    mixed = (weights @ v).transpose(0, 1).reshape(n, batch, D)
    return F.linear(mixed, state[f"{name}.attn.out_proj.weight"], state[f"{name}.attn.out_proj.bias"])


def release_block(
    state: State, tower: str, k: int, x: Tensor, p: float, masks: Masks, prompt: Tensor | None = None
) -> Tensor:
    """One block of either tower, x (tokens, batch, width); p is its DropPath and its attention dropout."""
    prefix = "visual." if tower == "vision" else ""
    name = f"{prefix}transformer.resblocks.{k}"
    places = f"{tower}.blocks.{k}"

    def attend(y: Tensor, place: str) -> Tensor:
        heads = y.shape[2] // 64
        keep = masks(f"{place}.mix", (y.shape[1], heads, len(y), len(y)), p) if p else torch.ones(1)
        keep = keep.expand(y.shape[1], heads, len(y), len(y))
        return release_attention(state, name, norm(state, f"{name}.ln_1", y), keep, causal=tower == "text")

    def drop(y: Tensor, place: str) -> Tensor:
        return y * masks(place, (len(y),), p)[:, None, None] if p else y

    length = len(x)
    if prompt is not None:
        of_videos = x.unflatten(1, (B, T)).mean(dim=0) + prompt  # (B, T, width)
        tokens = drop(
            attend(of_videos.transpose(0, 1), f"{places}.prompt"), f"{places}.prompt.drop_path"
        )  # (T, B, width)
        x = torch.cat([x, tokens.transpose(0, 1).reshape(1, B * T, -1)])
    x = (x + drop(attend(x, places), f"{places}.drop_path.1"))[:length]
    hidden = F.gelu(linear(state, f"{name}.Adapter.D_fc1", x))
    x = x + linear(state, f"{name}.Adapter.D_fc2", hidden)
    hidden = linear(state, f"{name}.mlp.c_fc", norm(state, f"{name}.ln_2", x))
    return x + drop(
        linear(state, f"{name}.mlp.c_proj", hidden * torch.sigmoid(1.702 * hidden)), f"{places}.drop_path.2"
    )


def release_loss(state: State, frames: Tensor, tokens: Tensor, masks: Masks) -> Tensor:
    """Contrastive and motion loss of a batch, frames (B*T, 3, S, S), one text for each clip."""
    rates = torch.linspace(0, DROP, LAYERS).tolist()
    kernel = state["visual.conv1.weight"]
    patches = F.conv2d(frames, kernel, stride=kernel.shape[-1]).flatten(2).transpose(1, 2)
    first = state["visual.class_embedding"].expand(len(frames), 1, -1)
    x = norm(state, "visual.ln_pre", torch.cat([first, patches], 1) + state["visual.positional_embedding"])
    x = x.transpose(0, 1)
    prompts = state["visual.transformer.T_prompt_embeddings"]
    for k, p in enumerate(rates):
        mask = masks(f"vision.blocks.{k}.prompt.dropout", (T, prompts.shape[-1]), PROMPT_DROP)
        x = release_block(state, "vision", k, x, p, masks, prompt=prompts[k] * mask)
    embedded = (norm(state, "visual.ln_post", x[0]) @ state["visual.proj"]).unflatten(0, (B, T))

    end = tokens.argmax(dim=1)
    y = (state["token_embedding.weight"][tokens] + state["positional_embedding"]).transpose(0, 1)
    for k in range(text_layers(state)):
        y = release_block(state, "text", k, y, rates[k], masks)
    texts = norm(state, "ln_final", y)[end, torch.arange(B)] @ state["text_projection"]

    videos, texts = (F.normalize(v, dim=-1) for v in (embedded.mean(dim=1), texts))
    logits = state["logit_scale"].exp() * videos @ texts.T
    same = (10 * (LABELS[:, None] == LABELS[None]).float()).softmax(dim=1)
    contrastive = sum(B * (same * (same.log() - rows.log_softmax(dim=1))).mean() for rows in (logits, logits.T)) / 2
    # the release's mean over all entries times the batch size, B entries a row
    ends = torch.cat([embedded[:, :1], embedded, embedded[:, -1:]], dim=1)
    variance, change = embedded.var(dim=1).mean(), ((ends[:, 2:] - ends[:, :-2]) / 2).abs().mean()
    return contrastive + 1 / (1 + variance + change)


def text_layers(state: State) -> int:
    return 1 + max(int(m[1]) for key in state if (m := re.match(r"transformer\.resblocks\.(\d+)\.", key)))


def fix_masks(model: EZCLIP, masks: Masks) -> None:
    """Replace the random mask of each dropout of the model by the fixed mask of its layer and probability."""

    def path(place: str, module: TokenDropPath, inputs: tuple[Tensor], _: Tensor) -> Tensor | None:
        (x,) = inputs
        if not module.p:
            return None
        if not place.endswith("prompt.drop_path"):
            place += f".{1 + masks.asked.get(f'{place}.1', 0) - masks.asked.get(f'{place}.2', 0)}"
        length = 77 if place.startswith("text") else x.shape[1]
        if re.fullmatch(r"vision\.blocks\.\d+\.drop_path\.1", place):
            length = 2 + model.vision.grid**2
        elif place.startswith("vision") and "prompt" not in place:
            length = 1 + model.vision.grid**2
        return x * masks(place, (length,), module.p)[: x.shape[1], None]

    def mix(place: str, module: Mix, inputs: tuple[Tensor, ...], _: Tensor) -> Tensor | None:
        q, k, v = inputs
        if not module.dropout:
            return None
        n = 77 if module.causal else q.shape[2]
        keep = masks(place, (len(q), q.shape[1], n, n), module.dropout)[..., : q.shape[2], : q.shape[2]]
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if module.causal:
            scores = scores.masked_fill(torch.ones(q.shape[2], q.shape[2]).triu(1).bool(), float("-inf"))
        return (scores.softmax(dim=-1) * keep) @ v

    def prompt(place: str, module: nn.Dropout, inputs: tuple[Tensor], _: Tensor) -> Tensor:
        return inputs[0] * masks(place, tuple(inputs[0].shape), module.p)

    hooks = {TokenDropPath: path, Mix: mix, nn.Dropout: prompt}
    for name, module in model.named_modules():
        if type(module) in hooks:
            module.register_forward_hook(partial(hooks[type(module)], name))


def test_gradients_with_every_dropout_on() -> None:
    state = official(64, 8, 3, LAYERS, T, LAYERS)
    loaded, backbone, _ = build_official(dict(state), "training.pt")
    model = build_ezclip(backbone, "ezclip", num_frames=T, drop_path=DROP, prompt_dropout=PROMPT_DROP).train()
    model.load_state_dict(loaded.state_dict())
    frames = torch.randn(B * T, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    tokens = torch.randint(1, 1500, (B, 77), generator=torch.Generator().manual_seed(2))
    tokens[torch.arange(B), torch.tensor([9, 5, 20])] = 1999  # ends of the texts

    theirs = Masks()
    trained = {
        key: value.clone().requires_grad_(".Adapter." in key or "T_prompt" in key) for key, value in state.items()
    }
    expected = release_loss(trained, frames, tokens, theirs)
    expected.backward()

    ours = Masks()
    fix_masks(model, ours)
    embedded, texts = model(frames.unflatten(0, (B, T)), tokens)
    loss = total_loss(model, embedded, texts, LABELS, CONFIG)["loss"]
    loss.backward()

    assert ours.asked == theirs.asked, "the same dropouts act, once each"
    assert {"vision.blocks.1.prompt.mix", "vision.blocks.1.prompt.drop_path"} <= set(ours.asked)
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=0)
    compared = 0
    for name, parameter in model.trainable_parameters().items():
        tower, _, k, part, *rest = name.split(".")
        if part == "prompt":
            gradient = trained["visual.transformer.T_prompt_embeddings"].grad[int(k)]
        else:
            prefix = "visual." if tower == "vision" else ""
            layer = {"down": "D_fc1", "up": "D_fc2"}[rest[0]]
            gradient = trained[f"{prefix}transformer.resblocks.{k}.Adapter.{layer}.{rest[1]}"].grad
        largest = gradient.abs().max().item()
        assert largest > 1e-6, name
        within = min(1e-5, 1e-4 * largest)
        torch.testing.assert_close(parameter.grad, gradient, atol=within, rtol=0, msg=lambda m, n=name: f"{n}: {m}")
        compared += 1
    assert compared == LAYERS * 5 + text_layers(state) * 4


def test_text_layers_have_the_rates_of_the_vision_layers() -> None:
    """L/14 has 24 vision layers and 12 text layers, which get the first half of the ramp."""
    import open_clip

    from ezclip.model.backbone import build_backbone

    with torch.device("meta"):
        backbone = build_backbone("L", open_clip.get_model_config("ViT-L-14-quickgelu"))
        model = build_ezclip(backbone, "ezclip", drop_path=0.1)
    vision, text = ([block.drop_path.p for block in tower.blocks] for tower in (model.vision, model.text))
    assert len(vision) == 24 and len(text) == 12
    assert vision[0] == 0 and abs(vision[-1] - 0.1) < 1e-12 and abs(vision[1] - 0.1 / 23) < 1e-12
    assert text == vision[:12]
    assert [block.prompt.mix.dropout for block in model.vision.blocks] == vision
    assert [block.prompt.drop_path.p for block in model.vision.blocks] == vision
