"""Gradients of one step: losses of the global batch, computed through micro-batches if it does not fit into memory.

The losses compare all clips of a batch with each other, so they are not sums over micro-batches. Therefore the batch is
embedded twice: first without gradients, to compute the loss and its gradients with respect to the embeddings; then
micro-batch by micro-batch with the same random draws, to backpropagate these gradients to the parameters.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.distributed.nn.functional as dist_nn
from accelerate import Accelerator
from accelerate.utils import find_executable_batch_size
from torch import Tensor, nn

from ezclip.config import TrainConfig
from ezclip.errors import ConfigError
from ezclip.model.ezclip import EZCLIP
from ezclip.training.losses import contrastive_loss, in_batch_kl, motion_loss
from ezclip.types import Method
from ezclip.video.transforms import static_copy


def trains_motion(method: Method) -> bool:
    """Whether the method uses the motion loss."""
    return method in ("motion", "ezclip")


class Step:
    """Losses and gradients of a step, the same for any number of processes and any micro-batch.

    Args:
        model: model whose parameters receive the gradients.
        wrapped: the model as prepared by Accelerate.
        accelerator: accelerator of the run.
        config: seed, losses and micro_batch.
    """

    def __init__(self, model: EZCLIP, wrapped: nn.Module, accelerator: Accelerator, config: TrainConfig):
        self.model, self.wrapped, self.accelerator, self.config = model, wrapped, accelerator, config
        self.micro_batch = config.micro_batch
        self.texts_on_videos = not model.common_space  # each micro-batch then has its own texts, (m, C, E)
        self.calibrate = trains_motion(config.method) and config.reading == "calibrated"

    def __call__(self, number: int, views: Tensor, tokens: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Add the gradients of step ``number`` to the parameters.

        Args:
            number: number of the step, which seeds dropout.
            views: this process's clips, uint8 (B, T, 3, S, S).
            tokens: (C, L) of all classes, or with the in-batch loss (B, L) of this process's clips.
            targets: (B,) int64, or (B, C) of mixed clips, on any device.

        Returns:
            "loss" and its parts over the global batch, see ``total_loss``.

        Raises:
            ConfigError: not even one clip fits into memory.
        """
        self.micro_batch = self.micro_batch or self._find_micro_batch(views, tokens)
        parts = views.split(self.micro_batch)
        last = len(parts) - 1
        targets = self._gather(targets)
        if self.config.compile == "graphs":  # accumulate outside the graph's memory, which is reused
            for parameter in self.model.trainable_parameters().values():
                parameter.grad = torch.zeros_like(parameter)

        def embed(i: int) -> tuple[Tensor, Tensor | None]:
            """Frames (m, 1 or 2, T, E) of part i, 2 with static copies; texts with the last part or with every part."""
            rng = np.random.default_rng([self.config.seed, number, self.accelerator.process_index, i])
            torch.manual_seed(int(rng.integers(2**63)))
            network = self.wrapped if i == last else self.model
            return self._embed(network, parts[i], tokens if i == last or self.texts_on_videos else None)

        if last == 0:
            frames, texts = embed(0)
            losses = self._losses(frames, texts, targets)
            self.accelerator.backward(losses["loss"])
            return losses
        with torch.no_grad():
            embeddings = [embed(i) for i in range(len(parts))]
        frames = torch.cat([frames for frames, _ in embeddings]).requires_grad_()
        texts = torch.cat([texts for _, texts in embeddings if texts is not None])
        losses = self._losses(frames, texts.requires_grad_(), targets)
        losses["loss"].backward()
        assert frames.grad is not None and texts.grad is not None
        text_gradients = texts.grad.split(self.micro_batch) if self.texts_on_videos else [texts.grad] * len(parts)
        for i, gradient in enumerate(frames.grad.split(self.micro_batch)):
            part_frames, part_texts = embed(i)
            surrogate = (part_frames * gradient).sum()
            if part_texts is not None:
                surrogate = surrogate + (part_texts * text_gradients[i]).sum()
            if i == last and self.model.logit_scale.requires_grad:  # so that its gradient is averaged over processes
                surrogate = surrogate + 0 * self.model.logit_scale
            self.accelerator.backward(surrogate)
        return losses

    def _embed(self, network: nn.Module, views: Tensor, tokens: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        pixels = self.model.normalise(views)
        kinds = torch.stack([pixels, static_copy(pixels)] if self.calibrate else [pixels], dim=1)
        frames, texts = network(kinds.flatten(0, 1), tokens)
        frames = frames.to(torch.float32, copy=True)  # the next replay of a CUDA graph overwrites its output
        return frames.unflatten(0, kinds.shape[:2]), None if texts is None else texts.float()

    def _losses(self, frames: Tensor, texts: Tensor | None, targets: Tensor) -> dict[str, Tensor]:
        assert texts is not None
        if self.config.contrastive == "in_batch" or self.texts_on_videos:
            texts = gather(texts)
        clip_frames, *static = gather(frames).unbind(1)
        return total_loss(self.model, clip_frames, texts, targets, self.config, *static)

    def _find_micro_batch(self, views: Tensor, tokens: Tensor) -> int:
        """Find by trial how many clips fit into memory at once; the minimum over all processes."""

        def try_size(size: int) -> int:
            frames, texts = self._embed(self.model, views[:size], tokens)
            assert texts is not None
            (frames.sum() + texts.sum()).backward()
            return size

        find_size: Callable[[], int] = find_executable_batch_size(try_size, starting_batch_size=len(views))
        adamw = [torch.empty_like(p) for p in self.model.trainable_parameters().values() for _ in range(2)]
        try:
            size = find_size()
        except RuntimeError as error:
            if "No executable batch size" not in str(error):
                raise
            size = 0
        finally:
            self.model.zero_grad()
            del adamw  # AdamW's averages, which its first step allocates
        if 0 < size < len(views):
            size = max(1, int(0.9 * size))
        size = int(self._gather(torch.tensor([size])).min())  # a process without memory stops them all
        if size == 0:
            raise ConfigError("Not even one clip fits into memory; set checkpointing=true or fewer frames.")
        return size

    def _gather(self, values: Tensor) -> Tensor:
        gathered = self.accelerator.gather(values.to(self.accelerator.device))
        assert isinstance(gathered, Tensor)
        return gathered


def gather(embeddings: Tensor) -> Tensor:
    """Gather frames or texts of the global batch, with gradients flowing back to each process."""
    if not torch.distributed.is_initialized():
        return embeddings
    return torch.cat(dist_nn.all_gather(embeddings))


def total_loss(
    model: EZCLIP, frames: Tensor, texts: Tensor, targets: Tensor, config: TrainConfig, static: Tensor | None = None
) -> dict[str, Tensor]:
    """Eq. 7: lambda1 times the contrastive loss plus, for methods that use it, lambda2 times the motion loss.

    Args:
        model: model that computes the logits.
        frames: (B, T, E) of the global batch.
        texts: (C, E) of all classes, (B, C, E) if they depend on the video; with "in_batch" (B, E), one per clip.
        targets: (B,) int64, or (B, C) of mixed clips.
        config: method, loss weights and formulations.
        static: (B, T, E) of the static copies, for the calibrated motion loss.

    Returns:
        "loss" and its parts, and the "accuracy" of the batch over these texts.
    """
    logits = model.logits(frames, texts)  # (B, C) or (B, B)
    best = logits.argmax(dim=1)
    if config.contrastive == "classes":
        contrastive = contrastive_loss(logits, targets, config.label_smoothing)
        targets = targets.argmax(dim=1) if targets.ndim == 2 else targets
    else:
        video_loss, text_loss = in_batch_kl(logits, targets)
        contrastive, best = (video_loss + text_loss) / 2, targets[best]
    losses = {"contrastive": contrastive.detach(), "accuracy": (best == targets).float().mean()}
    loss = config.lambda1 * contrastive
    if trains_motion(config.method):
        motion = motion_loss(frames, config.reading, static)
        losses["motion"] = motion.detach()
        loss = loss + config.lambda2 * motion
    return {"loss": loss, **losses}
