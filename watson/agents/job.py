"""One job at home on this worker: its mark, its ledger by partition, its pace."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from time import monotonic

from watson.stages.breaker import pressure, why_paused
from watson.stages.discover import Counts, JobMark, Part

__all__ = ["Job"]


@dataclass(slots=True)
class Job:
    """One job at home here.

    ``owner`` is this worker's number as the home's owner, ``older`` the keys of earlier owners' marks of this job,
    ``parts`` its ledger by partition of the image topics.
    """

    home: int
    owner: int
    mark: JobMark
    older: tuple[bytes, ...] = ()
    parts: dict[int, Part] = field(default_factory=dict)
    moved: asyncio.Event = field(default_factory=asyncio.Event)  # set when credit may have come back
    moved_at: float = field(default_factory=monotonic)
    ends: list[tuple[float, int]] = field(default_factory=list)  # (when, images passed), the last ten seconds or so

    @property
    def total(self) -> Counts:
        """Summed over partitions."""
        return Counts.total(self.parts.values())

    def note(self, partition: int, said: Part, breaker_failures: int) -> bool:
        """Take newer counts of one partition; False where they are not newer.

        The breaker reads them in the same moment: credit must not come back of failures that it has not seen yet, or
        more would fail than it allows.
        """
        known = self.parts.get(partition, Part())
        if not said.newer_than(known):
            return False
        self.parts[partition] = said
        self._press(known, said, breaker_failures)
        self.moved_at = monotonic()
        self.ends = [*(end for end in self.ends if end[0] > self.moved_at - 10.0), (self.moved_at, self.total.passed)]
        self.moved.set()
        return True

    def _press(self, known: Part, said: Part, breaker_failures: int) -> None:
        if not self.mark.moving:
            return
        pressed = pressure(self.mark.pressure, known, said)
        update: dict[str, object] = {"pressure": pressed}
        if pressed >= breaker_failures:
            why = why_paused(self.mark.manifest.job, self.total, said.accusation)
            update = {"state": "paused", "paused_in": self.mark.state, "pressure": 0, "message": why}
        self.mark = self.mark.model_copy(update=update)

    def behind(self, partitions: int) -> list[int]:
        """Partitions that have not said yet that they followed the last round of retries."""
        return [part for part in range(partitions) if self.parts.get(part, Part()).round < self.mark.round]

    @property
    def pace(self) -> float:
        """Images ended a second, over the last ten seconds or so; those that accuse the deployment do not count."""
        if len(self.ends) < 2 or self.ends[-1][0] - self.ends[0][0] < 0.5:
            return 0.0
        (first, some), (last, more) = self.ends[0], self.ends[-1]
        return (more - some) / (last - first)
