"""Models, clips and files of the app, shared by all its users; models load once the port is open."""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app import zero_gpu
from app.fetching import Fetching
from app.gate.guard import STALE_SECONDS, uploads
from ezclip.checkpoints.cards import model_card
from ezclip.checkpoints.catalog import BASELINE, CONFIG, DEFAULT, FETCHED, check_model_name, entries
from ezclip.checkpoints.gallery import offers
from ezclip.errors import UserError
from ezclip.files import shipped, write_atomically
from ezclip.progress import Progress, Report, Steps, Watch, finish
from ezclip.studies.analysis import Analyse
from ezclip.studies.declaration import Study
from ezclip.studies.host import MODELS, Host, Value
from ezclip.studies.stage.document import films_of
from ezclip.types import Clip, Document
from ezclip.video.worker import pool

if TYPE_CHECKING:
    from ezclip.predictor import Predictor

log = logging.getLogger(__name__)
LONGEST_NAME = 200  # of a folder that is typed; file systems refuse much longer ones
BATCH = 8  # clips between two steps of an evaluation, so that Cancel is quick
JOBS = 3  # one computes while others decode
SCRATCH_SECONDS = 3600  # files made for users are removed after about this time
SCRATCH_BYTES = 2e9
CLEANING_SECONDS = 600
_POLL = 0.1  # seconds between polls of the lock
_ABANDONED = (
    5.0  # seconds without being resumed, after which a job loses the models; Gradio forgets some that it cancels
)
_MOMENT = 0.001  # seconds in which a waiting job can take it


class Services(Host):
    """The host of the app's studies: offers models, and keeps files made for users.

    Args:
        model: name of the model that is compared with the baseline at first.
        device: "auto", "cpu", "cuda" or "mps".
        typed: whether users may also name models that are not listed: folders, and clip:ARCH/TAG and
            hf:organisation/name, which may be downloaded; for users of this machine.
        patience: seconds that a job may compute; None sets no limit.
    """

    def __init__(
        self, model: str = DEFAULT, device: str = "auto", *, typed: bool = False, patience: float | None = None
    ):
        super().__init__(device, batch_size=BATCH)
        self.default, self.baseline, self.typed = model, BASELINE, typed
        self._scratch = tempfile.TemporaryDirectory(prefix="ezclip-", ignore_cleanup_errors=True)
        self.patience, self.computing = patience, threading.Lock()
        self.holders: list[Turn] = []  # the one that computes
        self._unpacked: dict[str, Path] = {}
        self._ended = threading.Event()
        self.fetching = Fetching()
        self._filming = ThreadPoolExecutor(max_workers=JOBS, thread_name_prefix="film")

    def start(self) -> None:
        """Start a decoder, load and try the two models in the background, and keep the scratch folder small."""
        pool().start()
        works = {"clean": self._keep_clean} | ({} if zero_gpu.ON else {"load-models": self._warm_up})
        for name, work in works.items():
            threading.Thread(target=work, name=name, daemon=True).start()

    def load_before_fork(self) -> None:
        """On a ZeroGPU Space: load the models, which each forked process then has; its locks are free."""
        for name in self.model_names()[:MODELS]:
            self.predictor(name)
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self.computing, self._loading = threading.Lock(), threading.Lock()
        self._filming = ThreadPoolExecutor(max_workers=JOBS, thread_name_prefix="film")

    def clip(self, path: str, T: int) -> Steps[Clip]:
        """The frames of a video; on a ZeroGPU Space also kept in a file, since memory is not."""
        clip = yield from super().clip(path, T)
        if zero_gpu.ON and not (file := self._clip_file(clip.source)).exists():
            write_atomically(file, lambda target: target.write_bytes(pickle.dumps(clip)))
        return clip

    def decoded(self, source: str) -> Clip:
        """A clip by its ``source``; raises UserError where it was evicted."""
        if zero_gpu.ON and (file := self._clip_file(source)).is_file():
            return pickle.loads(file.read_bytes())  # noqa: S301 - a file of our own, in a private folder
        return super().decoded(source)

    def _clip_file(self, source: str) -> Path:
        return Path(self._scratch.name) / "clips" / hashlib.sha256(source.encode()).hexdigest()

    def _warm_up(self) -> None:
        """Load the two models and analyse a sample, so that a user's first clip takes no longer than the next."""
        sample = min(shipped("assets").glob("samples/*.mp4"))
        try:
            finish(Analyse(str(sample), "waving, clapping", self.default, self.baseline).run(self))
        except UserError as error:
            log.warning("%s", error)

    def _keep_clean(self) -> None:
        while not self._ended.wait(CLEANING_SECONDS):
            self._clean()
            uploads(untouched_since=time.time() - STALE_SECONDS)

    def model_names(self) -> list[str]:
        """Names that can be chosen, the default first."""
        folders = [entry.name for entry in entries() if entry.available]
        fetched = [offer.name for offer in offers() if not offer.converted and offer.here()]
        loaded = [name for name in list(self._predictors) if _exists(name)]  # other threads use them meanwhile
        return list(dict.fromkeys([self.default, *folders, *fetched, *loaded]))

    def card(self, name: str) -> Document:
        """A model's card, if ``check`` accepts its name."""
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
        """Raise UserError for a model that does not exist, or that may not be named here."""
        offered = dict.fromkeys([*self.model_names(), self.baseline])
        folder = len(name) < LONGEST_NAME and Path(name, CONFIG).is_file()
        if name not in offered and not (self.typed and (folder or name.startswith((*FETCHED, "hf:")))):
            typed = (
                "also clip:ARCH/TAG, xclip: or videoprism:organisation/name, hf:organisation/name and folders of models"
            )
            more = typed if self.typed else "start it with --model for another"
            raise UserError(f"There is no model {name[:80]!r} here. This app offers {', '.join(offered)}; {more}.")
        check_model_name(name)

    def predictor(self, name: str) -> Predictor:
        """The model of that name, if ``check`` accepts it, loaded at first use."""
        self.check(name)
        return super().predictor(name)

    def films(self, path: str) -> Future[dict[str, Document]]:
        """The film of a clip for the stage, decoded while models compute."""
        return self._filming.submit(films_of, path)

    def scratch(self) -> Path:
        """A new folder for files for a user."""
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
        """The folder that ``unpack`` makes inside a fresh one, reused for content of the same digest."""
        folder = self._unpacked.get(digest)
        if folder is None or not folder.is_dir():
            folder = self._unpacked[digest] = unpack(self.scratch())
        self.keep(folder)
        return folder

    def keep(self, path: Path) -> None:
        """Mark a folder inside one of ``scratch`` as just used."""
        if path.is_relative_to(self._scratch.name):
            (Path(self._scratch.name) / path.relative_to(self._scratch.name).parts[0]).touch()

    def run(self, study: Study) -> Steps[Any]:
        """Run a study in its turn."""
        return self.in_turn(study.run, study.long)

    def in_turn(self, work: Callable[[Host], Steps[Any]], long: bool = True) -> Steps[Any]:
        """Run work that uses models: one job computes at a time, while others decode or wait.

        Where the app is open to others, a job that is not ``long`` may compute for ``patience`` seconds.
        """
        turn = Turn(self)
        try:
            yield from turn.take()
            watch = Watch(work(turn))
            for step in watch:
                if not long and self.patience is not None and turn.seconds > self.patience:
                    raise UserError(
                        f"This takes longer than {self.patience:g} s and was stopped; use fewer class names or another "
                        "method, or run it on a machine of your own."
                    )
                held = turn.holds
                turn.rest()
                yield step
                turn.resume()
                if held and (long or not turn.holds):  # others may go first, or have gone
                    turn.leave()
                    time.sleep(_MOMENT)
                    yield from turn.take()
            return watch.result
        finally:
            turn.leave()

    def close(self) -> None:
        """Remove every file made for users."""
        self._ended.set()
        self.fetching.close()
        self._scratch.cleanup()


class Turn(Services):
    """The services for one job, which holds the models except while it decodes."""

    def __init__(self, services: Services):
        self.__dict__ |= vars(services)
        self._before = 0.0  # seconds in which it held the models earlier
        self._since: float | None = None
        self._rests: float | None = None  # since when it waits to be resumed
        self._changing = threading.RLock()

    @property
    def seconds(self) -> float:
        """In which it has held the models."""
        return self._before + (time.monotonic() - self._since if self._since is not None else 0.0)

    @property
    def holds(self) -> bool:
        """Whether it has the models now."""
        return self._since is not None

    def take(self) -> Steps[None]:
        """Wait for the models."""
        while not self.computing.acquire(timeout=_POLL):
            for holder in self.holders[:]:
                holder.leave_if_abandoned()
            yield Progress(0.0, "waiting for another job")
        self.holders[:] = [self]
        self._since = time.monotonic()

    def rest(self) -> None:
        """Note that the job waits to be resumed."""
        self._rests = time.monotonic()

    def resume(self) -> None:
        """Note that the job goes on; it may have lost the models."""
        with self._changing:
            self._rests = None

    def leave_if_abandoned(self) -> None:
        """Let the next job have the models where this one has not been resumed for long."""
        with self._changing:
            if self._rests is not None and time.monotonic() - self._rests > _ABANDONED:
                self.leave()

    def leave(self) -> None:
        """Let the next job have the models."""
        with self._changing:
            if self._since is not None:
                self._before, self._since = self.seconds, None
                self.computing.release()

    def decode(self, work: Callable[[Report], Value], doing: str) -> Steps[Value]:
        """Decode while another job computes."""
        self.leave()
        value = yield from super().decode(work, doing)
        yield from self.take()
        return value


def _exists(name: str) -> bool:
    """Whether a model that was loaded can still be read; somebody may have removed its folder since."""
    try:
        check_model_name(name)
    except UserError:
        return False
    return True
