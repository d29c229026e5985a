"""A small job under a few faults at chosen moments: what a mutant must not survive, and Watson must."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.oracle import Finding, judge_log
from tests.chaos.scene import Scene, Servers, prepared
from tests.services.process import wait_until

__all__ = ["INERT", "Trial", "staged"]

ENTRY = ("-m", "tests.chaos.worker")
INERT = {"WATSON_REDRIVE_AFTER": "100000"}
"""Re-drive (and the second listing, which waits as long) switched off by the setting."""

_PROGRESS_SECONDS = 90.0
_STILL_SECONDS = 5.0
_STUCK_SECONDS = 60.0
_SAID_SECONDS = 5.0  # a job's state follows its last image
_INPUTS = {
    "watson-preprocess": ("image-discovered",),
    "watson-segment": ("preprocessed",),
    "watson-catalogue": ("segmented",),
    "watson-discover": ("catalogued", "dead-letters"),
}
"""What each group reads, of what the jobs' ends depend on."""


@dataclass
class Trial:
    """A scene with one worker of each role, and its steps."""

    scene: Scene

    def when(self, topic: str, records: int) -> None:
        """Wait for the moment at which a topic has so many records."""
        reached = wait_until(lambda: self.scene.progress.total(topic) >= records, seconds=_PROGRESS_SECONDS)
        assert reached, f"{topic} did not reach {records} records\n{self.scene.tails()}"

    def end(self, role: str, number: signal.Signals) -> None:
        """End the role's worker; the crew starts it again."""
        for worker in self.scene.crew.of(role):
            worker.end(number)

    @contextmanager
    def away(self, role: str) -> Iterator[None]:
        """The role's worker is stopped until the end of the block: a backlog gathers before it."""
        worker = self.scene.crew.of(role)[0]
        with self.scene.crew.held(worker):
            worker.end(signal.SIGTERM)
            yield

    def finish(self, seconds: float) -> bool:
        """Wait until the jobs are complete (True), or nothing more will come (False)."""
        wait_until(lambda: self.scene.complete or self._at_rest(), seconds=seconds)
        return wait_until(lambda: self.scene.complete, seconds=_SAID_SECONDS)

    def completes(self, seconds: float) -> bool:
        """Wait until the jobs are complete, however long nothing seems to move: a re-drive may be due."""
        return wait_until(lambda: self.scene.complete, seconds=seconds)

    def _at_rest(self) -> bool:
        """Whether every record has been read and committed; or a worker stands still, as stock ones do."""
        return self._still() and (self.scene.progress.unread(_INPUTS) == 0 or self._still(_STUCK_SECONDS))

    def _still(self, seconds: float = _STILL_SECONDS) -> bool:
        """Whether nothing was written for so long, though all workers ran."""
        samples = list(self.scene.progress.samples)
        if not samples or not all(worker.running for worker in self.scene.crew.workers.values()):
            return False
        now, ends = samples[-1]
        since = next((at for at, those in samples if those == ends), now)
        youngest = max(worker.started_at for worker in self.scene.crew.workers.values())
        return now - max(since, youngest) > seconds

    def has_read_all(self, seconds: float = 30.0) -> bool:
        """Whether every stage has committed all that there is: what is missing then is lost, and not only late."""
        return wait_until(lambda: self.scene.progress.unread(_INPUTS) == 0, seconds=seconds)

    def redriven(self) -> int:
        """Images that were sent again because they had not ended."""
        log = self.scene.evidence(catalogue=False).of("image-discovered")
        return len({record.key for record in log if record.header("redrive")})

    def findings(self) -> list[Finding]:
        """What the oracle says of the log."""
        return judge_log(self.scene.sources.jobs, self.scene.evidence(catalogue=False))


@contextmanager
def staged(
    servers: Servers,
    folder: Path,
    *mutants: str,
    images: int,
    roles: tuple[str, ...],
    held: float = 0.0,
    settings: Mapping[str, str] | None = None,
    project: bool = False,
) -> Iterator[Trial]:
    """Workers of which some are mutants, with one job submitted.

    Args:
        servers: shared ones will do: only workers are killed.
        folder: for sources, states and logs.
        mutants: names from `tests.chaos.mutants`.
        images: of the job.
        roles: whose workers are mutants.
        held: seconds that every fourth emission of `segment` is held back.
        settings: further variables.
        project: whether the projection runs too.
    """
    variables = {
        "WATSON_CHAOS_MUTANTS": ",".join(mutants),
        "WATSON_CHAOS_ROLES": ",".join(roles),
        "WATSON_CHAOS_HELD": str(held),
        "WATSON_CREDIT_MIN": "4000",  # all of the job is in flight at once: there is a backlog to lose
        **(settings or {}),
    }
    workers = dict.fromkeys(("discover", "preprocess", "segment", "catalogue", *(["project"] if project else [])), 1)
    with prepared(
        servers, folder, images=images, workers=workers, jobs=("bucket",), entry=ENTRY, settings=variables
    ) as scene:
        scene.submit(scene.sources.jobs[0])
        yield Trial(scene)
