"""Inference with one model: encodes clips once and scores them against any number of label lists."""

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
TEXT_CACHE = 20_000  # cached embeddings per model; 41 MB at E = 512
Value = TypeVar("Value")


def choose_device(name: str) -> torch.device:
    """A device such as "cuda:1", or the first available of cuda, mps and cpu for "auto"; UserError if unavailable."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    devices = [device for device, ok in available.items() if ok]
    if name == "auto":
        return torch.device(devices[0])
    kind, _, number = name.partition(":")
    if not available.get(kind) or (number and number not in map(str, range(torch.cuda.device_count()))):
        raise UserError(f"Device {name!r} is not available; this machine has {', '.join(devices)}.")
    return torch.device(name)


def native_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on devices with native support, float32 otherwise."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return torch.float32


class Encoded:
    """A clip encoded by a model in evaluation mode; its parts are computed lazily and cached."""

    def __init__(self, model: VideoText, clip: Clip):
        self.model, self.clip = model, clip
        self._cache: dict[Hashable, Any] = {}

    @cached_property
    def pixels(self) -> Tensor:
        """The normalised model input, (1, T, 3, S, S) float32."""
        views = self.model.preprocess(self.clip.images).unsqueeze(0)
        return self.model.normalise(to_device(views, self.model.logit_scale.device))

    @cached_property
    @torch.inference_mode()
    def video(self) -> Video:
        """The encoded video, float32."""
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

    def cached(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """The result of ``compute`` for this clip and model, computed at the first call with this key."""
        if key not in self._cache:
            self._cache[key] = compute()
        return self._cache[key]


class Predictor:
    """Encodes clips and texts with one model in evaluation mode and ranks labels; ``identity`` may be just a name."""

    def __init__(self, model: VideoText, identity: Identity | str):
        self.model = model
        if isinstance(identity, str):
            identity = Identity(identity, model.variant, order_blind=model.order_blind)
        self.identity = identity
        self._texts: dict[str, Tensor] = {}
        self._truncated: set[str] = set()
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

        The default ``dtype`` is that of ``native_dtype``.
        """
        target = choose_device(device)
        return cls(*load(name, device=target, dtype=dtype or native_dtype(target), backbones=backbones))

    @property
    def name(self) -> str:
        """The model's name, as recorded in results."""
        return self.identity.name

    @property
    def trained_texts(self) -> str:
        """Prompt texts of the training: "names", "templates", "varied", "descriptions" or a template with {}."""
        text = self.identity.text
        return text if text in ("names", "templates", VARIED) or "{}" in text else "descriptions"

    @property
    def device(self) -> torch.device:
        """The model's device."""
        return self.model.logit_scale.device

    def sentences(
        self, labels: list[str], texts: str = "trained", user_sentences: dict[str, str] | None = None
    ) -> dict[str, list[str]]:
        """The prompt texts of each label, see ``text.templates.sentences``; scores are averaged over them."""
        return sentences(labels, texts, self.trained_texts, user_sentences)

    def encode(self, clip: Clip) -> Encoded:
        """The clip encoded by this model, lazily."""
        return Encoded(self.model, clip)

    def set_video(self, video: str | Path | Clip) -> Clip:
        """Set the clip for ``score``; of a file, T segment-centre frames. Raises VideoError for an unreadable file."""
        if not isinstance(video, Clip):
            video = read_clip(video, partial(segment_centres, T=self.model.num_frames))
        self._current = self.encode(video)
        return video

    def score(self, labels: list[str], sentences: dict[str, list[str]] | None = None) -> list[Prediction]:
        """Rank the labels for the clip of ``set_video``, see ``rank``; raises UserError if no video is set."""
        if self._current is None:
            raise UserError("No video is set; call set_video first.")
        return self.rank(self._current.video, labels, sentences)

    def rank(self, video: Video, labels: list[str], sentences: dict[str, list[str]] | None = None) -> list[Prediction]:
        """Rank the labels for an encoded clip.

        Args:
            video: a batch of one, as ``Encoded.video``.
            labels: C class names, distinct.
            sentences: the prompt texts of each label, equally many; missing labels use the texts of the training.

        Returns:
            One Prediction per label, best first.

        Raises:
            LabelError: no label, or differing numbers of sentences.
        """
        prompts = {label: texts for label, texts in (sentences or {}).items() if texts}
        prompts |= self.sentences([label for label in labels if label not in prompts])
        texts = [prompts[label] for label in labels]
        counts = {len(group) for group in texts}
        if len(counts) != 1:
            raise LabelError(f"Every label needs the same number of sentences, got {sorted(counts) or 'no label'}.")
        embeddings = self.encode_texts([s for group in texts for s in group])
        with torch.inference_mode():
            logits = self.model.scores(video, embeddings).cpu()[0]  # (C * templates,)
        scores = class_scores(logits, len(labels)).tolist()
        means = logits.unflatten(0, (len(labels), -1)).mean(dim=1).tolist()
        predictions = [Prediction(label, s, x) for label, s, x in zip(labels, scores, means, strict=True)]
        return sorted(predictions, key=lambda p: -p.score)

    @torch.inference_mode()
    def encode_texts(self, sentences: list[str]) -> Tensor:
        """Text embeddings (len(sentences), E), float32; the embedding of each distinct sentence is cached.

        Raises UserError for tokens outside the model's vocabulary.
        """
        with self._text_lock:
            new = [s for s in dict.fromkeys(sentences) if s not in self._texts]
            tokens, truncated = self.model.tokenize(new)
            if new and int(tokens.max()) >= self.model.vocab_size:
                raise UserError(
                    f"{self.name} has a vocabulary of {self.model.vocab_size} tokens, not its tokenizer's; it cannot "
                    "encode class names."
                )
            if truncated:
                log.warning(
                    "truncated to %d tokens: %s", self.model.context_length, "; ".join(s[:60] for s in truncated)
                )
            if len(self._texts) + len(new) > TEXT_CACHE:
                self._texts = {s: self._texts[s] for s in set(sentences) & self._texts.keys()}
                self._truncated &= self._texts.keys()
            self._truncated |= set(truncated)
            order = sorted(range(len(new)), key=lambda i: int(tokens[i].argmax()))  # batch by length
            for start in range(0, len(order), TEXT_BATCH):
                rows = order[start : start + TEXT_BATCH]
                encoded = self.model.encode_text(to_device(self.model.trim_padding(tokens[rows]), self.device)).float()
                self._texts |= {new[i]: e for i, e in zip(rows, encoded, strict=True)}
            return torch.stack([self._texts[s] for s in sentences])

    def truncated(self, sentences: list[str]) -> list[str]:
        """The distinct encoded sentences that were truncated to the context length."""
        return [s for s in dict.fromkeys(sentences) if s in self._truncated]

    def nearest(self, label: str, labels: list[str], sentences: dict[str, list[str]]) -> list[tuple[str, float]]:
        """The five other labels with texts most similar to those of ``label``, and the cosines; best first."""

        def embed(name: str) -> Tensor:
            return F.normalize(self.encode_texts(sentences[name]).mean(dim=0), dim=0)

        target = embed(label)
        cosines = [(name, float(embed(name) @ target)) for name in labels if name != label]
        return sorted(cosines, key=lambda row: -row[1])[:5]

    def motion(self, encoded: Encoded) -> MotionStatistics:
        """Spread of the frame embeddings of a clip and of its static copy, in the formulation of the model's loss."""
        reading, unit = self.identity.reading, F.normalize(encoded.frames, dim=-1)
        spreads = [float(s) for frames in (encoded.frames, encoded.static, unit) for s in spread(frames, reading)]
        return MotionStatistics(reading, *spreads)
