"""One model and one clip: decode and encode once, then score any number of label lists."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ezclip.checkpoints.catalog import DEFAULT, model_folder, read_config
from ezclip.checkpoints.load import load_model
from ezclip.errors import LabelError, UserError
from ezclip.model.backbone import Backbone
from ezclip.model.ezclip import EZCLIP, class_scores
from ezclip.model.spread import spread
from ezclip.text.templates import NAME_ONLY, TEMPLATES, fill
from ezclip.text.tokens import tokenize
from ezclip.types import Clip, MotionStatistics, Prediction, Reading
from ezclip.video.decode import read_clip
from ezclip.video.sampling import segment_centres
from ezclip.video.transforms import frozen_copy, normalise, view

log = logging.getLogger(__name__)

TEXT_BATCH = 64
TEXT_CACHE = 20_000  # embeddings kept for each model
CLIP_CACHE = 8  # encoded clips kept for each model,
CLIP_BYTES = 256e6  # and bytes of their frames
Finding = TypeVar("Finding")


def choose_device(name: str) -> torch.device:
    """The device for "auto" (cuda, then mps, then cpu) or the named one, such as "cuda:1".

    Raises:
        UserError: unknown, or not on this machine.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, here in present.items() if here))
    kind, _, number = name.partition(":")
    if not present.get(kind) or (number and number not in map(str, range(torch.cuda.device_count()))):
        here = ", ".join(device for device, ok in present.items() if ok)
        raise UserError(f"Device {name!r} is not available; this machine has {here}.")
    return torch.device(name)


def native_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device computes in it natively, float32 otherwise."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return torch.float32


class _Encoded:
    """A clip as one model takes and embeds it; each part is computed when it is first asked for."""

    def __init__(self, model: EZCLIP, clip: Clip):
        self.model, self.clip = model, clip
        self.found: dict[Hashable, Any] = {}

    @cached_property
    def pixels(self) -> Tensor:
        device = self.model.logit_scale.device
        return normalise(view(self.clip.images, self.model.image_size)).unsqueeze(0).to(device)

    @cached_property
    @torch.inference_mode()
    def frames(self) -> Tensor:
        return self.model.encode_video(self.pixels).float()

    @cached_property
    @torch.inference_mode()
    def frozen(self) -> Tensor:
        return self.model.encode_video(frozen_copy(self.pixels)).float()


class Predictor:
    """Scores clips with one model.

    Args:
        model: in evaluation mode.
        name: its id, kept with results.
        reading: in which the motion statistics are given.
        templates: what a bare label becomes; scores are means over them.
        data: what the model was trained on; empty if that is not known.
    """

    def __init__(
        self,
        model: EZCLIP,
        name: str,
        *,
        reading: Reading = "released",
        templates: tuple[str, ...] = NAME_ONLY,
        data: str = "",
    ):
        self.model, self.name, self.templates, self.data = model, name, templates, data
        self.reading: Reading = reading
        self.cut_texts: list[str] = []
        self._cut: set[str] = set()
        self._texts: dict[str, Tensor] = {}
        self._clips: OrderedDict[int, _Encoded] = OrderedDict()  # by identity of the Clip, the one in use last
        self._passing: int | None = None  # the clip in use, if it is not to stay

    @classmethod
    def load(
        cls,
        name: str | Path = DEFAULT,
        *,
        device: str = "auto",
        dtype: torch.dtype | None = None,
        backbones: dict[str, Backbone] | None = None,
    ) -> Predictor:
        """Load a model by name, see ``load_model``.

        Args:
            name: "tabletop/ezclip", a folder, or "clip:ARCH/TAG".
            device: "auto", "cpu", "cuda" or "mps".
            dtype: None takes bfloat16 where the device has it natively.
            backbones: kept by fingerprint and shared by the predictors loaded with it.
        """
        place = choose_device(device)
        model = load_model(name, device=place, dtype=dtype or native_dtype(place), backbones=backbones)
        config: dict[str, Any] = {} if str(name).startswith("clip:") else read_config(model_folder(str(name)))
        training = config.get("training", {})
        reading: Reading = training.get("reading", "released")
        templates = NAME_ONLY if config.get("text") == "names" else TEMPLATES
        return cls(model, str(name), reading=reading, templates=templates, data=str(training.get("data") or ""))

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.logit_scale.device

    @property
    def _encoded(self) -> _Encoded:
        if not self._clips:
            raise UserError("No video is set; call set_video first.")
        return next(reversed(self._clips.values()))

    @property
    def clip(self) -> Clip:
        """The frames in use.

        Raises:
            UserError: no video was set.
        """
        return self._encoded.clip

    @property
    def pixels(self) -> Tensor:
        """The clip as the model takes it, (1, T, 3, S, S)."""
        return self._encoded.pixels

    @property
    def frames(self) -> Tensor:
        """Frame embeddings (1, T, E), not normalised, float32."""
        return self._encoded.frames

    @property
    def frozen(self) -> Tensor:
        """Frame embeddings of the middle frame repeated T times, (1, T, E), float32."""
        return self._encoded.frozen

    def set_video(self, video: str | Path | Clip, *, keep: bool = True) -> Clip:
        """Decode the T segment-centre frames of a video, or take a Clip as it is.

        Encoding follows when it is needed; the last clips stay encoded, so setting the same Clip again costs nothing. A
        clip that will not come again is forgotten at the next one with ``keep=False``.

        Raises:
            VideoError: the file cannot be read.
        """
        if not isinstance(video, Clip):
            video = read_clip(video, partial(segment_centres, T=self.model.num_frames))
        if self._passing is not None and self._passing != id(video):
            del self._clips[self._passing]
            self._passing = None
        if id(video) not in self._clips:
            self._clips[id(video)] = _Encoded(self.model, video)
            self._passing = None if keep else id(video)
        self._clips.move_to_end(id(video))
        sizes = [encoded.clip.images.nbytes for encoded in self._clips.values()]
        while len(sizes) > 1 and (len(sizes) > CLIP_CACHE or sum(sizes) > CLIP_BYTES):
            self._clips.popitem(last=False)
            sizes.pop(0)
        return video

    def score(self, labels: list[str], sentences: dict[str, list[str]] | None = None) -> list[Prediction]:
        """Rank the labels for the clip, see ``rank``.

        Raises:
            UserError: no video was set.
        """
        return self.rank(self.frames, labels, sentences)

    def rank(
        self, frames: Tensor, labels: list[str], sentences: dict[str, list[str]] | None = None
    ) -> list[Prediction]:
        """Rank the labels for a clip's frame embeddings.

        Args:
            frames: (1, T, E), as ``frames`` has them.
            labels: C class names, distinct.
            sentences: the texts that stand for a label, the same number for each; None fills the model's templates.

        Returns:
            One Prediction a label, best first. ``cut_texts`` then holds the sentences that were over 77 tokens.

        Raises:
            LabelError: no label, or numbers of sentences that differ.
        """
        texts = [(sentences or {}).get(label) or fill(label, self.templates) for label in labels]
        counts = {len(choices) for choices in texts}
        if len(counts) != 1:
            raise LabelError(f"Every label needs the same number of sentences, got {sorted(counts) or 'no label'}.")
        encoded = self.encode_texts([s for choices in texts for s in choices])
        with torch.inference_mode():
            logits = self.model.logits(frames, encoded).cpu()[0]  # (C * templates,)
        scores = class_scores(logits, len(labels)).tolist()
        means = logits.unflatten(0, (len(labels), -1)).mean(dim=1).tolist()
        ranked = [Prediction(label, s, x) for label, s, x in zip(labels, scores, means, strict=True)]
        return sorted(ranked, key=lambda p: -p.score)

    @torch.inference_mode()
    def encode_texts(self, sentences: list[str]) -> Tensor:
        """Text embeddings (len(sentences), E), float32, each distinct sentence encoded once for this model.

        Raises:
            UserError: the model's vocabulary lacks tokens that the sentences need.
        """
        new = [s for s in dict.fromkeys(sentences) if s not in self._texts]
        tokens, cut = tokenize(new, self.model.context_length)
        self._cut |= set(cut)
        self.cut_texts = [s for s in dict.fromkeys(sentences) if s in self._cut]
        if cut:
            log.warning("texts over %d tokens were cut: %s", self.model.context_length, "; ".join(s[:60] for s in cut))
        if new and int(tokens.max()) >= self.model.vocab_size:
            raise UserError(
                f"{self.name} knows only {self.model.vocab_size} text tokens, not CLIP's vocabulary; it cannot read "
                "class names."
            )
        if len(self._texts) + len(new) > TEXT_CACHE:
            self._texts = {s: self._texts[s] for s in set(sentences) & self._texts.keys()}
            self._cut &= set(sentences)
        order = sorted(range(len(new)), key=lambda i: int(tokens[i].argmax()))  # short texts with short ones
        for start in range(0, len(order), TEXT_BATCH):
            rows = order[start : start + TEXT_BATCH]
            encoded = self.model.encode_text(tokens[rows].to(self.device)).float()
            self._texts |= {new[i]: e for i, e in zip(rows, encoded, strict=True)}
        return torch.stack([self._texts[s] for s in sentences])

    def nearest(
        self, label: str, labels: list[str], sentences: dict[str, list[str]] | None = None, count: int = 5
    ) -> list[tuple[str, float]]:
        """The labels whose texts lie nearest to ``label``'s, without itself, and the cosines; best first."""

        def embed(name: str) -> Tensor:
            texts = (sentences or {}).get(name) or fill(name, self.templates)
            return F.normalize(self.encode_texts(texts).mean(dim=0), dim=0)

        own = embed(label)
        cosines = [(other, float(embed(other) @ own)) for other in labels if other != label]
        return sorted(cosines, key=lambda row: -row[1])[:count]

    def once(self, key: Hashable, find: Callable[[], Finding]) -> Finding:
        """What ``find`` says of the clip in use, found once while that clip stays encoded."""
        found = self._encoded.found
        if key not in found:
            found[key] = find()
        return found[key]

    def motion(self) -> MotionStatistics:
        """Spread of the clip's frame embeddings and of its frozen copy, in the model's own reading."""

        def both(frames: Tensor) -> tuple[float, float]:
            variance, difference = spread(frames, self.reading)
            return float(variance), float(difference)

        return MotionStatistics(
            self.reading, *both(self.frames), *both(self.frozen), *both(F.normalize(self.frames, dim=-1))
        )

    def report(
        self, labels: list[str], *, top_k: int | None = None, sentences: dict[str, list[str]] | None = None
    ) -> dict[str, Any]:
        """The public JSON of the clip in use: frames, predictions (best first, ``top_k`` of them) and motion."""
        clip = self.clip
        return {
            "clip": clip.name,
            "model": self.name,
            "frames": [
                {"index": int(i), "seconds": round(float(s), 4)}
                for i, s in zip(clip.indices, clip.seconds, strict=True)
            ],
            "predictions": [asdict(p) for p in self.score(labels, sentences)[:top_k]],
            "motion": asdict(self.motion()),
        }
