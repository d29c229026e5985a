"""How a job goes on: said by discover, read by discover (credit) and project (status)."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from watson.events.event import Count, JobEvent, Name, Short
from watson.events.ids import name_id
from watson.events.manifest import JobOptions, Source

__all__ = ["JobChanged", "JobState", "PartitionProgressed"]

JobState = Literal["listing", "draining", "complete", "cancelled", "failed"]


class PartitionProgressed(JobEvent):
    """How far the images of one job in one partition are. Absolute numbers: saying it twice changes nothing.

    ``listed`` counts entries of the source's listing, ``discovered`` distinct images: they differ where a list names
    a picture twice. ``catalogued`` and ``quarantined`` are disjoint: an image that was quarantined and later
    catalogued (after a retry) counts as catalogued.
    """

    topic: ClassVar[str] = "jobs"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "partition-progressed"

    partition: Count = Field(description="of image-discovered")
    listed: Count
    discovered: Count
    catalogued: Count
    quarantined: Count

    @property
    def id(self) -> UUID:
        """Depends on all its numbers."""
        counts = (self.partition, self.listed, self.discovered, self.catalogued, self.quarantined)
        return name_id(self.kind, self.job, *map(str, counts))


class JobChanged(JobEvent):
    """A job came to another state, or its listing went on. Carries all of the job, so that the newest tells all."""

    topic: ClassVar[str] = "jobs"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "job-changed"

    dataset: Name
    source: Source
    model: Short
    options: JobOptions
    state: JobState
    listed: Count = Field(description="entries listed so far; final unless state is listing")
    message: str = Field(default="", max_length=4000, description="why, where the state is failed")

    @property
    def id(self) -> UUID:
        """Depends on the state and on how far the listing is."""
        return name_id(self.kind, self.job, self.state, str(self.listed))
