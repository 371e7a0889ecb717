"""Models, clips and files shared by all users of the app; models load once the port is open."""

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
MAX_NAME_LENGTH = 200  # of a model folder; file systems reject much longer names
BATCH = 8  # clips per step of an evaluation, small so that Cancel takes effect quickly
JOBS = 3  # concurrent jobs: one computes while the others decode
SCRATCH_SECONDS = 3600  # lifetime of files created for users
SCRATCH_BYTES = 2e9
CLEANUP_SECONDS = 600
_POLL = 0.1  # seconds between polls of the lock
_ABANDONED = 5.0  # seconds a job may stay paused before it loses the models; Gradio drops some cancelled generators
_MOMENT = 0.001  # seconds in which a waiting job can acquire the lock


class Services(Host):
    """The host of the app's studies; it also manages the choice of models and the files created for users.

    Args:
        model: name of the model that is initially compared with the baseline.
        device: "auto", "cpu", "cuda" or "mps".
        local: whether only users of this machine can reach the app. They may also use models that are not listed:
            folders, and clip:ARCH/TAG and hf:organisation/name, which may be downloaded.
        time_limit: seconds of computation per job; None sets no limit.
    """

    def __init__(
        self, model: str = DEFAULT, device: str = "auto", *, local: bool = False, time_limit: float | None = None
    ):
        super().__init__(device, batch_size=BATCH)
        self.default, self.baseline, self.local = model, BASELINE, local
        self._scratch = tempfile.TemporaryDirectory(prefix="ezclip-", ignore_cleanup_errors=True)
        self.time_limit, self.computing = time_limit, threading.Lock()
        self.holders: list[Turn] = []  # the job that holds ``computing``
        self._unpacked: dict[str, Path] = {}
        self._closed = threading.Event()
        self.fetching = Fetching()
        self._film_pool = ThreadPoolExecutor(max_workers=JOBS, thread_name_prefix="film")

    def start(self) -> None:
        """Start a decoder, warm up the two models in the background, and clean the scratch folder regularly."""
        pool().start()
        tasks = {"clean": self._clean_regularly} | ({} if zero_gpu.ON else {"load-models": self._warm_up})
        for name, task in tasks.items():
            threading.Thread(target=task, name=name, daemon=True).start()

    def load_before_fork(self) -> None:
        """On a ZeroGPU Space: load the models, which forked processes inherit; their locks start unlocked."""
        for name in self.model_names()[:MODELS]:
            self.predictor(name)
        os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self.computing, self._loading = threading.Lock(), threading.Lock()
        self._clips.renew_locks()
        self._results.renew_locks()
        self._film_pool = ThreadPoolExecutor(max_workers=JOBS, thread_name_prefix="film")

    def clip(self, path: str, T: int) -> Steps[Clip]:
        """The frames of a video; on a ZeroGPU Space they are also stored in a file, as processes share no memory."""
        clip = yield from super().clip(path, T)
        if zero_gpu.ON and not (file := self._clip_file(clip.source)).exists():
            write_atomically(file, lambda target: target.write_bytes(pickle.dumps(clip)))
        return clip

    def cached_clip(self, source: str) -> Clip:
        """A clip by its ``source``; raises UserError if it was evicted."""
        if zero_gpu.ON and (file := self._clip_file(source)).is_file():
            return pickle.loads(file.read_bytes())  # noqa: S301 - written by ``clip`` in a private folder
        return super().cached_clip(source)

    def _clip_file(self, source: str) -> Path:
        return Path(self._scratch.name) / "clips" / hashlib.sha256(source.encode()).hexdigest()

    def _warm_up(self) -> None:
        """Load the two models and analyse a sample, so that the first user's clip is not slower than later ones."""
        sample = min(shipped("assets").glob("samples/*.mp4"))
        try:
            finish(Analyse(str(sample), "waving, clapping", self.default, self.baseline).run(self))
        except UserError as error:
            log.warning("%s", error)

    def _clean_regularly(self) -> None:
        while not self._closed.wait(CLEANUP_SECONDS):
            self._clean()
            uploads(untouched_since=time.time() - STALE_SECONDS)

    def model_names(self) -> list[str]:
        """Names of the available models, the default first."""
        folders = [entry.name for entry in entries() if entry.available]
        fetched = [offer.name for offer in offers() if not offer.needs_conversion and offer.is_local()]
        loaded = [name for name in list(self._predictors) if _exists(name)]  # other threads use them meanwhile
        return list(dict.fromkeys([self.default, *folders, *fetched, *loaded]))

    def card(self, name: str) -> Document:
        """A model's card, if ``check`` accepts its name."""
        self.check(name)
        return model_card(name)

    def offers(self, name: str) -> bool:
        """Whether ``check`` accepts a model."""
        try:
            self.check(name)
        except UserError:
            return False
        return True

    def check(self, name: str) -> None:
        """Raise UserError for a model that does not exist or that this server does not offer."""
        offered = dict.fromkeys([*self.model_names(), self.baseline])
        is_folder = len(name) < MAX_NAME_LENGTH and Path(name, CONFIG).is_file()
        if name not in offered and not (self.local and (is_folder or name.startswith((*FETCHED, "hf:")))):
            unlisted = (
                "also clip:ARCH/TAG, xclip: or videoprism:organisation/name, hf:organisation/name and folders of models"
            )
            more = unlisted if self.local else "start it with --model for another"
            raise UserError(f"There is no model {name[:80]!r} here. This app offers {', '.join(offered)}; {more}.")
        check_model_name(name)

    def predictor(self, name: str) -> Predictor:
        """The model, if ``check`` accepts its name, loaded at first use."""
        self.check(name)
        return super().predictor(name)

    def films(self, path: str) -> Future[dict[str, Document]]:
        """The film of a clip for the stage, decoded in the background."""
        return self._film_pool.submit(films_of, path)

    def scratch(self) -> Path:
        """A new folder for files created for a user."""
        self._clean()
        return Path(tempfile.mkdtemp(dir=self._scratch.name))

    def _clean(self) -> None:
        """Remove scratch folders older than an hour, and the oldest ones beyond 2 GB in total."""
        root, size = Path(self._scratch.name), 0
        with suppress(FileNotFoundError):  # removed by another thread
            for folder in sorted(root.iterdir(), key=lambda folder: -folder.stat().st_mtime):
                size += sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
                if size > SCRATCH_BYTES or time.time() - folder.stat().st_mtime > SCRATCH_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)

    def unpacked(self, digest: str, unpack: Callable[[Path], Path]) -> Path:
        """The folder that ``unpack`` creates in a new scratch folder, reused for content with the same digest."""
        folder = self._unpacked.get(digest)
        if folder is None or not folder.is_dir():
            folder = self._unpacked[digest] = unpack(self.scratch())
        self.mark_used(folder)
        return folder

    def mark_used(self, path: Path) -> None:
        """Mark the scratch folder that contains ``path`` as just used."""
        if path.is_relative_to(self._scratch.name):
            (Path(self._scratch.name) / path.relative_to(self._scratch.name).parts[0]).touch()

    def run(self, study: Study) -> Steps[Any]:
        """Run a study; see ``in_turn``."""
        return self.in_turn(study.run, study.long)

    def in_turn(self, work: Callable[[Host], Steps[Any]], long: bool = True) -> Steps[Any]:
        """Run work that uses models: one job computes at a time, while others decode or wait.

        A job that is not ``long`` is stopped after ``time_limit`` seconds of computation.
        """
        turn = Turn(self)
        try:
            yield from turn.acquire()
            watch = Watch(work(turn))
            for step in watch:
                if not long and self.time_limit is not None and turn.seconds > self.time_limit:
                    raise UserError(
                        f"This takes longer than {self.time_limit:g} s and was stopped; use fewer class names or "
                        "another method, or run it on a machine of your own."
                    )
                was_active = turn.active
                turn.pause()
                yield step
                turn.resume()
                if was_active and (long or not turn.active):  # let waiting jobs go first, or queue again
                    turn.release()
                    time.sleep(_MOMENT)
                    yield from turn.acquire()
            return watch.result
        finally:
            turn.release()

    def close(self) -> None:
        """Remove every file created for users."""
        self._closed.set()
        self.fetching.close()
        self._scratch.cleanup()


class Turn(Services):
    """The services for one job, which holds the models except while it decodes."""

    def __init__(self, services: Services):
        self.__dict__ |= vars(services)
        self._earlier_seconds = 0.0  # total of the earlier periods in which it held the models
        self._acquired_at: float | None = None
        self._paused_at: float | None = None
        self._turn_lock = threading.RLock()

    @property
    def seconds(self) -> float:
        """Total time in which the job has held the models."""
        return self._earlier_seconds + (time.monotonic() - self._acquired_at if self._acquired_at is not None else 0.0)

    @property
    def active(self) -> bool:
        """Whether the job holds the models."""
        return self._acquired_at is not None

    def acquire(self) -> Steps[None]:
        """Wait for the models."""
        while not self.computing.acquire(timeout=_POLL):
            for holder in self.holders[:]:
                holder.release_if_abandoned()
            yield Progress(0.0, "waiting for another job")
        self.holders[:] = [self]
        self._acquired_at = time.monotonic()

    def pause(self) -> None:
        """Note that the generator of the job is suspended."""
        self._paused_at = time.monotonic()

    def resume(self) -> None:
        """Note that the generator was resumed; the job may have lost the models."""
        with self._turn_lock:
            self._paused_at = None

    def release_if_abandoned(self) -> None:
        """Release the models if the job has been paused for too long."""
        with self._turn_lock:
            if self._paused_at is not None and time.monotonic() - self._paused_at > _ABANDONED:
                self.release()

    def release(self) -> None:
        """Release the models to the next job."""
        with self._turn_lock:
            if self._acquired_at is not None:
                self._earlier_seconds, self._acquired_at = self.seconds, None
                self.computing.release()

    def decode(self, work: Callable[[Report], Value], message: str) -> Steps[Value]:
        """Decode while another job computes."""
        self.release()
        value = yield from super().decode(work, message)
        yield from self.acquire()
        return value


def _exists(name: str) -> bool:
    """Whether a loaded model is still on disk; its folder may have been removed."""
    try:
        check_model_name(name)
    except UserError:
        return False
    return True
