"""Models and decoded clips, shared by all users of the app; loads behind the open port."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ezclip.checkpoints.cards import model_card
from ezclip.checkpoints.catalog import BASELINE, CONFIG, DEFAULT, check_model_name, entries
from ezclip.errors import UserError
from ezclip.files import sha256_of
from ezclip.types import Clip
from ezclip.video.decode import read_clip
from ezclip.video.sampling import segment_centres

if TYPE_CHECKING:
    from ezclip.predictor import Predictor

log = logging.getLogger(__name__)
LONGEST_NAME = 200  # of a folder that is typed; file systems refuse much longer ones
MODELS = 8  # loaded at once; the one that was used longest ago makes room
CLIP_BYTES = 512e6  # decoded frames kept in memory
FINDINGS = 24  # models times clips or archives whose embeddings and scores are kept
SCRATCH_SECONDS = 3600  # files made for users are removed after about this time
SCRATCH_BYTES = 2e9
CLEANING_SECONDS = 600


class Services:
    """Loads models when they are asked for; keeps those, clips and findings that were used last.

    Args:
        model: name of the model that is compared with the baseline at first.
        device: "auto", "cpu", "cuda" or "mps".
        typed: whether users may also name models that are not listed: folders, and clip:ARCH/TAG and
            hf:organisation/name, which may be downloaded; for users of this machine.
    """

    def __init__(self, model: str = DEFAULT, device: str = "auto", *, typed: bool = False):
        self.default, self.device, self.typed = model, device, typed
        self.baseline = BASELINE
        self.lock = threading.RLock()  # predictors hold a clip: one analysis at a time
        self._predictors: OrderedDict[str, Predictor] = OrderedDict()
        self._backbones: dict[str, Any] = {}
        self._scratch = tempfile.TemporaryDirectory(prefix="ezclip-", ignore_cleanup_errors=True)
        self._clips: OrderedDict[tuple[str, int], Clip] = OrderedDict()
        self._unpacked: dict[str, Path] = {}
        self._ended = threading.Event()
        self._kept: dict[tuple[object, ...], list[Any]] = {}

    def start(self) -> threading.Thread:
        """Import torch and load the two models in the background, and keep the scratch folder small."""
        threading.Thread(target=self._keep_clean, name="clean", daemon=True).start()
        thread = threading.Thread(target=self._warm_up, name="load-models", daemon=True)
        thread.start()
        return thread

    def _warm_up(self) -> None:
        for name in (self.baseline, self.default):
            try:
                self.predictor(name)
            except UserError as error:
                log.warning("%s", error)

    def _keep_clean(self) -> None:
        while not self._ended.wait(CLEANING_SECONDS):
            self._clean()

    def model_names(self) -> list[str]:
        """Names that can be chosen, the default first."""
        names = [e.name for e in entries() if e.available]
        return list(dict.fromkeys([self.default, *names, *self._predictors]))

    def card(self, name: str) -> dict[str, Any]:
        """What is known of a model, see ``ezclip.checkpoints.cards``.

        Raises:
            UserError: no such model, or not one that may be named here.
        """
        self.check(name)
        return model_card(name)

    def offers(self, name: str) -> bool:
        """Whether a model may be named here."""
        try:
            self.check(name)
        except UserError:
            return False
        return True

    def check(self, name: str) -> None:
        """Refuse a model that does not exist, or that this app does not offer."""
        offered = list(dict.fromkeys([*self.model_names(), self.baseline]))
        folder = len(name) < LONGEST_NAME and Path(name, CONFIG).is_file()
        if name not in offered and not (self.typed and (folder or name.startswith(("clip:", "hf:")))):
            more = "start it with --model for another"
            if self.typed:
                more = "also clip:ARCH/TAG, hf:organisation/name and folders of models"
            raise UserError(f"There is no model {name[:80]!r} here. This app offers {', '.join(offered)}; {more}.")
        check_model_name(name)

    def predictor(self, name: str) -> Predictor:
        """The model of that name, loaded when it is first asked for.

        Raises:
            UserError: no such model, or not one that may be named here.
        """
        self.check(name)
        with self.lock:
            if name not in self._predictors:
                from ezclip.predictor import Predictor

                self._predictors[name] = Predictor.load(name, device=self.device, backbones=self._backbones)
            self._predictors.move_to_end(name)
            if len(self._predictors) > MODELS:
                self._predictors.popitem(last=False)
                used = {id(p.model.vision.conv1) for p in self._predictors.values()}
                self._backbones = {k: b for k, b in self._backbones.items() if id(b.clip.visual.conv1) in used}
            return self._predictors[name]

    @staticmethod
    def compare() -> Any:
        """``ezclip.studies.explain`` and what goes with it, imported when torch is."""
        from ezclip.studies import explain as compare

        return compare

    @staticmethod
    def digest(path: str) -> str:
        """SHA-256 of a user's file.

        Raises:
            UserError: it is gone.
        """
        if not Path(path).is_file():
            raise UserError("The clip is no longer there; upload it again.")
        return sha256_of(path)

    def clip(self, path: str, T: int, tick: Callable[[float], None] = lambda _: None) -> Clip:
        """The T segment-centre frames of a video, from memory if its content was seen lately.

        ``tick`` hears the share of the file that has been decoded and may raise to stop.
        """
        key = (self.digest(path) + Path(path).name, T)
        with self.lock:
            if key not in self._clips:
                self._clips[key] = read_clip(path, partial(segment_centres, T=T), tick=tick)
            self._clips.move_to_end(key)
            while len(self._clips) > 1 and sum(c.images.nbytes for c in self._clips.values()) > CLIP_BYTES:
                self._clips.popitem(last=False)
            return self._clips[key]

    def scratch(self) -> Path:
        """A fresh folder for files that a user gets."""
        self._clean()
        return Path(tempfile.mkdtemp(dir=self._scratch.name))

    def _clean(self) -> None:
        """Remove scratch folders older than an hour, or beyond 2 GB, the oldest first."""
        root, held = Path(self._scratch.name), 0
        with suppress(FileNotFoundError):  # removed by another thread
            for old in sorted(root.iterdir(), key=lambda folder: -folder.stat().st_mtime):
                held += sum(file.stat().st_size for file in old.rglob("*") if file.is_file())
                if held > SCRATCH_BYTES or time.time() - old.stat().st_mtime > SCRATCH_SECONDS:
                    shutil.rmtree(old, ignore_errors=True)

    def unpacked(self, digest: str, unpack: Callable[[Path], Path]) -> Path:
        """The folder that ``unpack`` makes inside a fresh one, the same while content of this digest comes again."""
        folder = self._unpacked.get(digest)
        if folder is None or not folder.is_dir():
            folder = self._unpacked[digest] = unpack(self.scratch())
        self.keep(folder)
        return folder

    def keep(self, folder: Path) -> None:
        """Count a folder inside one of ``scratch`` as used just now."""
        (Path(self._scratch.name) / folder.relative_to(self._scratch.name).parts[0]).touch()

    def kept(self, *key: object) -> list[Any]:
        """What was found before under a key, for example of a clip's content under a model; the caller adds to it."""
        found = self._kept[key] = self._kept.pop(key, [])  # the last to go
        while len(self._kept) > FINDINGS:
            self._kept.pop(next(iter(self._kept)), None)
        return found

    def close(self) -> None:
        """Remove every file made for users."""
        self._ended.set()
        self._scratch.cleanup()
