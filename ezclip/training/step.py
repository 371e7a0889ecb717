"""The gradients of one step: losses of the global batch, through micro-batches where it does not fit at once.

The losses compare all clips of a batch with each other, so the losses of its parts do not add up to its loss. A batch
in parts is therefore embedded twice: first without gradients, to find the loss and its gradients at the embeddings;
then part by part, with the same random draws, to backpropagate these to the parameters.
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
    """Whether the method is trained with the motion loss."""
    return method in ("motion", "ezclip")


class Step:
    """Losses and gradients of a step, the same for any number of processes and any micro-batch.

    Args:
        model: whose parameters get the gradients.
        wrapped: the model as Accelerate prepared it.
        accelerator: of the run.
        config: seed, losses and micro_batch.
    """

    def __init__(self, model: EZCLIP, wrapped: nn.Module, accelerator: Accelerator, config: TrainConfig):
        self.model, self.wrapped, self.accelerator, self.config = model, wrapped, accelerator, config
        self.micro_batch = config.micro_batch
        self.texts_on_videos = not model.common_space  # each part then has texts of its own, (m, C, E)
        self.calibrate = trains_motion(config.method) and config.reading == "calibrated"

    def __call__(self, number: int, views: Tensor, tokens: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Add the gradients of step ``number`` to the parameters.

        Args:
            number: of the step; it seeds dropout.
            views: this process's clips, uint8 (B, T, 3, S, S).
            tokens: (C, L) of all classes, or with the in-batch loss (B, L) of this process's clips.
            targets: (B,) int64, or (B, C) of mixed clips, on any device.

        Returns:
            "loss" and its parts, see ``total_loss``, of the global batch.

        Raises:
            ConfigError: not even one clip fits into memory.
        """
        self.micro_batch = self.micro_batch or self._fitting(views, tokens)
        parts = views.split(self.micro_batch)
        last = len(parts) - 1
        targets = self._gather_targets(targets)
        if self.config.compile == "graphs":  # gradients of a graph lie in its memory, which the next part overwrites
            for parameter in self.model.trainable().values():
                parameter.grad = torch.zeros_like(parameter)

        def embed(i: int) -> tuple[Tensor, Tensor | None]:
            """(m, 1 or 2, T, E) of part i, 2 with static copies; the texts with the last, or of each part its own."""
            draws = np.random.default_rng([self.config.seed, number, self.accelerator.process_index, i])
            torch.manual_seed(int(draws.integers(2**63)))
            network = self.wrapped if i == last else self.model
            return self._embed(network, parts[i], tokens if i == last or self.texts_on_videos else None)

        if last == 0:
            frames, texts = embed(0)
            losses = self._losses(frames, texts, targets)
            self.accelerator.backward(losses["loss"])
            return losses
        with torch.no_grad():
            first_look = [embed(i) for i in range(len(parts))]
        frames = torch.cat([frames for frames, _ in first_look]).requires_grad_()
        texts = torch.cat([texts for _, texts in first_look if texts is not None])
        losses = self._losses(frames, texts.requires_grad_(), targets)
        losses["loss"].backward()
        assert frames.grad is not None and texts.grad is not None
        of_texts = texts.grad.split(self.micro_batch) if self.texts_on_videos else [texts.grad] * len(parts)
        for i, gradient in enumerate(frames.grad.split(self.micro_batch)):
            again, texts_again = embed(i)
            carried = (again * gradient).sum()
            if texts_again is not None:
                carried = carried + (texts_again * of_texts[i]).sum()
            self.accelerator.backward(carried)
        return losses

    def _embed(self, network: nn.Module, views: Tensor, tokens: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        pixels = self.model.normalise(views)
        kinds = torch.stack([pixels, static_copy(pixels)] if self.calibrate else [pixels], dim=1)
        frames, texts = network(kinds.flatten(0, 1), tokens)
        frames = frames.to(torch.float32, copy=True)  # those of a CUDA graph are overwritten by the next part
        return frames.unflatten(0, kinds.shape[:2]), None if texts is None else texts.float()

    def _losses(self, frames: Tensor, texts: Tensor | None, targets: Tensor) -> dict[str, Tensor]:
        assert texts is not None
        if self.config.contrastive == "in_batch" or self.texts_on_videos:
            texts = gather(texts)
        seen, *frozen = gather(frames).unbind(1)
        return total_loss(self.model, seen, texts, targets, self.config, *frozen)

    def _fitting(self, views: Tensor, tokens: Tensor) -> int:
        """How many clips fit into memory at once, by trial; the minimum over all processes."""

        def rehearse(size: int) -> int:
            frames, texts = self._embed(self.model, views[:size], tokens)
            assert texts is not None
            (frames.sum() + texts.sum()).backward()
            return size

        fitting: Callable[[], int] = find_executable_batch_size(rehearse, starting_batch_size=len(views))
        try:
            size = fitting()
        except RuntimeError as error:
            if "No executable batch size" not in str(error):
                raise
            raise ConfigError("Not even one clip fits into memory; set checkpointing=true or fewer frames.") from error
        finally:
            self.model.zero_grad()
        if size < len(views):
            size = max(1, int(0.9 * size))  # the optimiser needs some, too
        found = self.accelerator.gather(torch.tensor([size], device=self.accelerator.device))
        assert isinstance(found, Tensor)
        return int(found.min())

    def _gather_targets(self, targets: Tensor) -> Tensor:
        gathered = self.accelerator.gather(targets.to(self.accelerator.device))
        assert isinstance(gathered, Tensor)
        return gathered


def gather(own: Tensor) -> Tensor:
    """Frames or texts of the global batch, gradients flowing back to the process that made them."""
    if not torch.distributed.is_initialized():
        return own
    return torch.cat(dist_nn.all_gather(own))


def total_loss(
    model: EZCLIP, frames: Tensor, texts: Tensor, targets: Tensor, config: TrainConfig, frozen: Tensor | None = None
) -> dict[str, Tensor]:
    """Eq. 7: lambda1 times the contrastive loss plus, where the method has it, lambda2 times the motion loss.

    Args:
        model: supplies logits.
        frames: (B, T, E) of the global batch.
        texts: (C, E) of all classes, (B, C, E) where they depend on the video; under "in_batch" (B, E), of each clip.
        targets: (B,) int64, or (B, C) of mixed clips.
        config: method, loss weights and formulations.
        frozen: (B, T, E) of the static copies, for the calibrated motion loss.

    Returns:
        "loss" and its parts, and the batch's "accuracy" among these texts.
    """
    logits = model.logits(frames, texts)  # (B, C) or (B, B)
    best = logits.argmax(dim=1)
    if config.contrastive == "classes":
        contrastive = contrastive_loss(logits, targets, config.label_smoothing)
        targets = targets.argmax(dim=1) if targets.ndim == 2 else targets
    else:
        of_videos, of_texts = in_batch_kl(logits, targets)
        contrastive, best = (of_videos + of_texts) / 2, targets[best]
    losses = {"contrastive": contrastive.detach(), "accuracy": (best == targets).float().mean()}
    loss = config.lambda1 * contrastive
    if trains_motion(config.method):
        motion = motion_loss(frames, config.reading, frozen)
        losses["motion"] = motion.detach()
        loss = loss + config.lambda2 * motion
    return {"loss": loss, **losses}
