"""One model: encodes clips, and scores them against any number of label lists."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ezclip.checkpoints.catalog import DEFAULT
from ezclip.checkpoints.identity import Identity
from ezclip.checkpoints.load import load
from ezclip.errors import LabelError, UserError
from ezclip.model.backbone import Backbone
from ezclip.model.interface import Video, VideoText, class_scores
from ezclip.model.spread import spread
from ezclip.text.templates import VARIED, sentences
from ezclip.types import Clip, MotionStatistics, Prediction
from ezclip.video.read import read_clip
from ezclip.video.sampling import segment_centres
from ezclip.video.transforms import static_copy, to_device

log = logging.getLogger(__name__)

TEXT_BATCH = 64
TEXT_CACHE = 20_000  # embeddings kept for each model
Value = TypeVar("Value")


def choose_device(name: str) -> torch.device:
    """The device for "auto" (cuda, mps or cpu, in that order) or the named one, as "cuda:1"; UserError without it."""
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


class Encoded:
    """T frames under one model in evaluation mode: a value whose parts are computed at first use and then kept."""

    def __init__(self, model: VideoText, clip: Clip):
        self.model, self.clip = model, clip
        self._derived: dict[Hashable, Any] = {}

    @cached_property
    def pixels(self) -> Tensor:
        """The model's input, (1, T, 3, S, S) float32, normalised."""
        views = self.model.view(self.clip.images).unsqueeze(0)
        return self.model.normalise(to_device(views, self.model.logit_scale.device))

    @cached_property
    @torch.inference_mode()
    def video(self) -> Video:
        """The clip as one encoded video, float32."""
        return self.model.encode(self.pixels).float()

    @property
    def frames(self) -> Tensor:
        """Frame embeddings (1, T, E), not normalised, float32."""
        return self.video.frames

    @cached_property
    @torch.inference_mode()
    def static(self) -> Tensor:
        """Frame embeddings of the static copy, the middle frame repeated T times, (1, T, E), float32."""
        return self.model.encode_video(static_copy(self.pixels)).float()

    def once(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """What ``compute`` returns for this clip and model, computed at the first call with this key."""
        if key not in self._derived:
            self._derived[key] = compute()
        return self._derived[key]


class Predictor:
    """Encodes clips and texts with one model in evaluation mode, and ranks labels; ``identity`` may be a name alone."""

    def __init__(self, model: VideoText, identity: Identity | str):
        self.model = model
        if isinstance(identity, str):
            identity = Identity(identity, model.variant, order_blind=model.order_blind)
        self.identity = identity
        self._texts: dict[str, Tensor] = {}
        self._cut: set[str] = set()
        self._text_lock = threading.Lock()
        self._current: Encoded | None = None

    @classmethod
    def load(
        cls,
        name: str | Path = DEFAULT,
        *,
        device: str = "auto",
        dtype: torch.dtype | None = None,
        backbones: dict[str, Backbone] | None = None,
    ) -> Predictor:
        """Load a model by name, see ``load_model``; the device is "auto", "cpu", "cuda" or "mps".

        Without ``dtype`` it is bfloat16 where the device has it natively.
        """
        place = choose_device(device)
        return cls(*load(name, device=place, dtype=dtype or native_dtype(place), backbones=backbones))

    @property
    def name(self) -> str:
        """The model's name, kept with results."""
        return self.identity.name

    @property
    def trained_texts(self) -> str:
        """The model's trained prompt texts: "names", "templates", "varied", "descriptions" or a template with {}."""
        text = self.identity.text
        return text if text in ("names", "templates", VARIED) or "{}" in text else "descriptions"

    @property
    def device(self) -> torch.device:
        """The model's device."""
        return self.model.logit_scale.device

    def sentences(
        self, labels: list[str], texts: str = "trained", own: dict[str, str] | None = None
    ) -> dict[str, list[str]]:
        """The prompt texts of each label, see ``text.templates.sentences``; scores are means over them."""
        return sentences(labels, texts, self.trained_texts, own)

    def encode(self, clip: Clip) -> Encoded:
        """The clip under this model."""
        return Encoded(self.model, clip)

    def set_video(self, video: str | Path | Clip) -> Clip:
        """Decode T segment-centre frames, or take a Clip, for ``score``; raises VideoError for an unreadable file."""
        if not isinstance(video, Clip):
            video = read_clip(video, partial(segment_centres, T=self.model.num_frames))
        self._current = self.encode(video)
        return video

    def score(self, labels: list[str], sentences: dict[str, list[str]] | None = None) -> list[Prediction]:
        """Rank the labels for the clip of ``set_video``, see ``rank``; raises UserError where no video was set."""
        if self._current is None:
            raise UserError("No video is set; call set_video first.")
        return self.rank(self._current.video, labels, sentences)

    def rank(self, video: Video, labels: list[str], sentences: dict[str, list[str]] | None = None) -> list[Prediction]:
        """Rank the labels for an encoded clip.

        Args:
            video: one, as ``Encoded.video``.
            labels: C class names, distinct.
            sentences: the prompt texts of a label, the same number for each; None takes the model's own.

        Returns:
            One Prediction per label, best first.

        Raises:
            LabelError: no label, or differing numbers of sentences.
        """
        given = {label: own for label, own in (sentences or {}).items() if own}
        given |= self.sentences([label for label in labels if label not in given])
        texts = [given[label] for label in labels]
        counts = {len(choices) for choices in texts}
        if len(counts) != 1:
            raise LabelError(f"Every label needs the same number of sentences, got {sorted(counts) or 'no label'}.")
        encoded = self.encode_texts([s for choices in texts for s in choices])
        with torch.inference_mode():
            logits = self.model.scores(video, encoded).cpu()[0]  # (C * templates,)
        scores = class_scores(logits, len(labels)).tolist()
        means = logits.unflatten(0, (len(labels), -1)).mean(dim=1).tolist()
        ranked = [Prediction(label, s, x) for label, s, x in zip(labels, scores, means, strict=True)]
        return sorted(ranked, key=lambda p: -p.score)

    @torch.inference_mode()
    def encode_texts(self, sentences: list[str]) -> Tensor:
        """Text embeddings (len(sentences), E), float32; each distinct sentence is encoded once for this model.

        Raises UserError for sentences with tokens that the model's vocabulary lacks.
        """
        with self._text_lock:
            new = [s for s in dict.fromkeys(sentences) if s not in self._texts]
            tokens, cut = self.model.tokenize(new)
            if new and int(tokens.max()) >= self.model.vocab_size:
                raise UserError(
                    f"{self.name} has a vocabulary of {self.model.vocab_size} tokens, not its tokenizer's; it cannot "
                    "encode class names."
                )
            if cut:
                log.warning("truncated to %d tokens: %s", self.model.context_length, "; ".join(s[:60] for s in cut))
            if len(self._texts) + len(new) > TEXT_CACHE:
                self._texts = {s: self._texts[s] for s in set(sentences) & self._texts.keys()}
                self._cut &= self._texts.keys()
            self._cut |= set(cut)
            order = sorted(range(len(new)), key=lambda i: int(tokens[i].argmax()))  # batch by length
            for start in range(0, len(order), TEXT_BATCH):
                rows = order[start : start + TEXT_BATCH]
                encoded = self.model.encode_text(to_device(self.model.trimmed(tokens[rows]), self.device)).float()
                self._texts |= {new[i]: e for i, e in zip(rows, encoded, strict=True)}
            return torch.stack([self._texts[s] for s in sentences])

    def cut(self, sentences: list[str]) -> list[str]:
        """The distinct encoded sentences that were truncated to the context length."""
        return [s for s in dict.fromkeys(sentences) if s in self._cut]

    def nearest(self, label: str, labels: list[str], sentences: dict[str, list[str]]) -> list[tuple[str, float]]:
        """The five labels whose texts lie nearest to ``label``'s, without itself, and the cosines; best first."""

        def embed(name: str) -> Tensor:
            return F.normalize(self.encode_texts(sentences[name]).mean(dim=0), dim=0)

        own = embed(label)
        cosines = [(other, float(embed(other) @ own)) for other in labels if other != label]
        return sorted(cosines, key=lambda row: -row[1])[:5]

    def motion(self, encoded: Encoded) -> MotionStatistics:
        """Spread of a clip's frame embeddings and of its static copy, in the model's own formulation."""
        reading, unit = self.identity.reading, F.normalize(encoded.frames, dim=-1)
        spreads = [float(s) for frames in (encoded.frames, encoded.static, unit) for s in spread(frames, reading)]
        return MotionStatistics(reading, *spreads)
