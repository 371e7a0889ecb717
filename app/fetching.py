"""Downloads of models that go on whatever pages are open: one job for each model."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ezclip.checkpoints.download import Hosts
from ezclip.checkpoints.fetch import Fetched, adopt, fetch
from ezclip.checkpoints.gallery import Offer
from ezclip.errors import as_user_error
from ezclip.progress import Progress, Steps, Watch, with_time_left


@dataclass
class Job:
    """The state of one job, read by all pages."""

    step: Progress = Progress(0.0, "starting")
    running: bool = True
    error: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)


class Fetching:
    """Starts, cancels and remembers the jobs.

    Args:
        hosts: addresses of the hosts, those of ``fetch`` by default.
    """

    def __init__(self, hosts: Hosts | None = None):
        self.hosts = hosts
        self.jobs: dict[str, Job] = {}
        self.fetched: list[str] = []  # names of the models that came, in their order
        self._lock = threading.Lock()

    def get(self, offer: Offer) -> None:
        """Download a model, unless that is going on."""
        self._start(offer, lambda: fetch(offer, self.hosts))

    def adopt(self, offer: Offer, file: Path) -> None:
        """Take a file that a browser downloaded as a model."""
        self._start(offer, lambda: adopt(offer, file))

    def cancel(self, offer: Offer) -> None:
        """End the job of a model, if there is one; what came is kept."""
        if job := self.jobs.get(offer.name):
            job.cancelled.set()

    def running(self) -> bool:
        """Whether anything is being fetched."""
        return any(job.running for job in self.jobs.values())

    def close(self) -> None:
        """End all jobs."""
        for job in self.jobs.values():
            job.cancelled.set()

    def _start(self, offer: Offer, begin: Callable[[], Steps[Fetched]]) -> None:
        with self._lock:
            if (old := self.jobs.get(offer.name)) and old.running:
                return
            job = self.jobs[offer.name] = Job()
        threading.Thread(target=self._run, args=(job, begin), name=f"fetch {offer.name}", daemon=True).start()

    def _run(self, job: Job, begin: Callable[[], Steps[Fetched]]) -> None:
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
