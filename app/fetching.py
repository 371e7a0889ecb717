"""Model downloads in the background, independent of open pages: one job per model."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ezclip.checkpoints.download import Hosts
from ezclip.checkpoints.fetch import FetchedModel, adopt, fetch
from ezclip.checkpoints.gallery import Offer
from ezclip.errors import as_user_error
from ezclip.progress import Progress, Steps, Watch, with_time_left


@dataclass
class Job:
    """The state of a job, shown on all pages."""

    step: Progress = Progress(0.0, "starting")
    running: bool = True
    error: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)


class Fetching:
    """Starts, cancels and records the jobs.

    Args:
        hosts: addresses of the hosts; by default those of ``fetch``.
    """

    def __init__(self, hosts: Hosts | None = None):
        self.hosts = hosts
        self.jobs: dict[str, Job] = {}
        self.fetched: list[str] = []  # names of the downloaded models, in order of completion
        self._lock = threading.Lock()

    def get(self, offer: Offer) -> None:
        """Download a model, unless its download is already running."""
        self._start(offer, lambda: fetch(offer, self.hosts))

    def adopt(self, offer: Offer, file: Path) -> None:
        """Install a model from a file downloaded with a browser."""
        self._start(offer, lambda: adopt(offer, file))

    def cancel(self, offer: Offer) -> None:
        """Cancel the job of a model, if there is one; the partial download is kept."""
        if job := self.jobs.get(offer.name):
            job.cancelled.set()

    def running(self) -> bool:
        """Whether any job is running."""
        return any(job.running for job in self.jobs.values())

    def close(self) -> None:
        """Cancel all jobs."""
        for job in self.jobs.values():
            job.cancelled.set()

    def _start(self, offer: Offer, begin: Callable[[], Steps[FetchedModel]]) -> None:
        with self._lock:
            if (old := self.jobs.get(offer.name)) and old.running:
                return
            job = self.jobs[offer.name] = Job()
        threading.Thread(target=self._run, args=(job, begin), name=f"fetch {offer.name}", daemon=True).start()

    def _run(self, job: Job, begin: Callable[[], Steps[FetchedModel]]) -> None:
        watch = Watch(with_time_left(begin()))
        try:
            for step in watch:
                job.step = step
                if job.cancelled.is_set():
                    watch.close()
                    job.error = "Cancelled; the partial download is kept, start it again to continue."
                    return
            self.fetched.append(watch.result.offer.name)
        except Exception as error:  # shown on the page
            job.error = str(as_user_error(error))
        finally:
            job.running = False
