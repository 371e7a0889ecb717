"""Models and decoded clips, shared by all users of the app; loads behind the open port."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ezclip.checkpoints.catalog import BASELINE, DEFAULT, check_model_name, entries, model_folder, read_config
from ezclip.errors import UserError
from ezclip.text.labels import label_set
from ezclip.types import Clip
from ezclip.video.decode import read_clip
from ezclip.video.sampling import segment_centres

if TYPE_CHECKING:
    from ezclip.predictor import Predictor

log = logging.getLogger(__name__)
CLIPS_KEPT = 8


class Services:
    """Loads each model once and keeps the last clips decoded.

    Args:
        model: name of the model that is compared with the baseline at first.
        device: "auto", "cpu", "cuda" or "mps".
    """

    def __init__(self, model: str = DEFAULT, device: str = "auto"):
        self.default, self.device = model, device
        self.baseline = BASELINE
        self.lock = threading.RLock()  # predictors hold a clip: one analysis at a time
        self._predictors: dict[str, Predictor] = {}
        self._backbones: dict[str, Any] = {}
        self._clips: OrderedDict[tuple[str, int], Clip] = OrderedDict()

    def start(self) -> threading.Thread:
        """Import torch and load the two models in the background."""
        thread = threading.Thread(target=self._warm_up, name="load-models", daemon=True)
        thread.start()
        return thread

    def _warm_up(self) -> None:
        for name in (self.baseline, self.default):
            try:
                self.predictor(name)
            except UserError as error:
                log.warning("%s", error)

    def model_names(self) -> list[str]:
        """Names that can be chosen, the default first."""
        names = [e.name for e in entries() if e.available]
        return list(dict.fromkeys([self.default, *names]))

    def predictor(self, name: str) -> Predictor:
        """The model of that name, loaded when it is first asked for."""
        check_model_name(name)
        with self.lock:
            if name not in self._predictors:
                from ezclip.predictor import Predictor

                self._predictors[name] = Predictor.load(name, device=self.device, backbones=self._backbones)
            return self._predictors[name]

    @staticmethod
    def compare() -> Any:
        """``ezclip.explanation.compare``, imported when torch is."""
        from ezclip.explanation import compare

        return compare

    def clip(self, path: str, T: int) -> Clip:
        """The T segment-centre frames of a video, from memory if its content was seen lately."""
        file = Path(path)
        if not file.is_file():
            raise UserError("The clip is no longer there; upload it again.")
        key = (hashlib.sha256(file.read_bytes()).hexdigest() + file.name, T)
        with self.lock:
            if key not in self._clips:
                self._clips[key] = read_clip(file, partial(segment_centres, T=T))
            self._clips.move_to_end(key)
            while len(self._clips) > CLIPS_KEPT:
                self._clips.popitem(last=False)
            return self._clips[key]

    def config(self, name: str) -> dict[str, Any]:
        """A model's config.json; empty for clip:ARCH/TAG."""
        return {} if name.startswith("clip:") else read_config(model_folder(name))

    def own_labels(self, name: str) -> list[str]:
        """The class names that a model was trained on, those of Tabletop Motion if it does not say."""
        return self.config(name).get("labels") or label_set("tabletop")
