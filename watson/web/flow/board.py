"""What was sampled of the last minutes: groups of the log, counts of jobs, and what they say. Bounded; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from watson.storage.catalogue import JobRow
from watson.web.flow.reading import GroupReading
from watson.web.flow.samples import Counter

__all__ = ["RATE_SECONDS", "RUNNING", "Board", "JobPace", "Sampled"]

RATE_SECONDS = 60.0
"""A present rate is that of the last minute."""

RUNNING = ("listing", "draining")
"""States of a job in which pictures move."""

_MOST_JOBS = 100
_STAGES = ("discovered", "preprocessed", "segmented", "catalogued", "quarantined")
_ENDED = "ended"


@dataclass(frozen=True, slots=True)
class JobPace:
    """A job's present pace, in images a second; None where it was not watched for long enough to know.

    ``rate`` is of images that ended, ``stages`` of each stage, ``bars`` of the last five minutes (see `Counter.bars`).
    """

    rate: float | None = None
    stages: dict[str, float | None] | None = None
    bars: Sequence[float | None] = ()


@dataclass(frozen=True, slots=True)
class Sampled:
    """A role's group as last read, and its pace: records committed a second, and seconds without any."""

    group: GroupReading
    rate: float | None
    still: float


class Board:
    """Takes samples, at most every second or so, and answers from them."""

    def __init__(self) -> None:
        self._groups: tuple[GroupReading, ...] = ()
        self._done: dict[str, Counter] = {}
        self._jobs: dict[str, dict[str, Counter]] = {}
        self._running: tuple[JobRow, ...] = ()
        self._ended = Counter()
        self._last_jobs: tuple[float, frozenset[str]] | None = None
        self.unread: str | None = "Kafka has not been asked yet"
        """Why the log's numbers are not known; None where they are."""

    # samples

    def note_groups(self, now: float, groups: tuple[GroupReading, ...]) -> None:
        """The log was read."""
        self._groups, self.unread = groups, None
        for group in groups:
            self._done.setdefault(group.role, Counter()).note(now, group.done)

    def note_unread(self, why: str) -> None:
        """The log could not be read: what it said before is no longer shown."""
        self._groups, self.unread = (), why

    def note_jobs(self, now: float, rows: Sequence[JobRow]) -> None:
        """The catalogue was asked; ``rows`` are all jobs, newest first."""
        running = [row for row in rows if row.job.state in RUNNING][:_MOST_JOBS]
        # one that just ended is watched on: its last pictures belong to the last minutes too
        lately = [row for row in rows if row.job.state not in RUNNING and self._was_moving(row.job.job, now)]
        watched = [*running, *lately][:_MOST_JOBS]
        grown = sum(self._note_job(now, row) for row in watched)
        self._ended.note(now, self._ended.value + grown)
        self._running = tuple(running)
        self._jobs = {row.job.job: self._jobs[row.job.job] for row in watched}
        self._last_jobs = now, frozenset(row.job.job for row in rows)

    def _note_job(self, now: float, row: JobRow) -> int:
        """Take one job's counts; returns how many images ended since the last time."""
        counts = {stage: row.counts.get(stage, 0) for stage in _STAGES}
        counts[_ENDED] = counts["catalogued"] + counts["quarantined"]
        counters = self._jobs.get(row.job.job)
        if counters is None:
            counters = self._jobs[row.job.job] = {name: Counter() for name in counts}
            if self._last_jobs is not None and row.job.job not in self._last_jobs[1]:  # it began since: with nothing
                for counter in counters.values():
                    counter.note(self._last_jobs[0], 0)
        before = counters[_ENDED].value if counters[_ENDED].watched(now) else counts[_ENDED]
        for name, count in counts.items():
            counters[name].note(now, count)
        return max(0, counts[_ENDED] - before)

    def _was_moving(self, job: str, now: float) -> bool:
        return job in self._jobs and any(self._jobs[job][_ENDED].bars(now))

    # answers

    def stages(self, now: float) -> list[Sampled]:
        """Each role, in the order of the chain; empty while the log cannot be read."""
        return [
            Sampled(
                group=group,
                rate=self._done[group.role].rate(now, RATE_SECONDS),
                still=self._done[group.role].still(now),
            )
            for group in self._groups
        ]

    def pace(self, job: str, now: float) -> JobPace:
        """How fast a job goes."""
        counters = self._jobs.get(job)
        if counters is None:
            return JobPace()
        return JobPace(
            rate=counters[_ENDED].rate(now, RATE_SECONDS),
            stages={stage: counters[stage].rate(now, RATE_SECONDS) for stage in _STAGES},
            bars=counters[_ENDED].bars(now),
        )

    def rate(self, now: float) -> float | None:
        """Images of all jobs that ended a second."""
        return self._ended.rate(now, RATE_SECONDS)

    def bars(self, now: float) -> list[float | None]:
        """The same, of the last five minutes."""
        return self._ended.bars(now)

    @property
    def running(self) -> int:
        """Jobs whose pictures move, at most 100."""
        return len(self._running)

    def seconds_left(self, now: float) -> float | None:
        """Until all running jobs are done, at the present rate; None where nobody can know."""
        rate = self.rate(now)
        if not rate or not self._running or any(row.job.state == "listing" for row in self._running):
            return None
        return sum(row.in_flight for row in self._running) / rate
