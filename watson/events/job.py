"""How a job goes on: said by discover, read by discover (credit, retries) and project (status)."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from watson.events.event import Accusation, Count, JobEvent, Message, Name, Short
from watson.events.ids import name_id
from watson.events.manifest import JobOptions, Source

__all__ = ["JobChanged", "JobState", "PartitionProgressed", "RetryRequested"]

JobState = Literal["listing", "draining", "paused", "complete", "cancelled", "failed"]


class PartitionProgressed(JobEvent):
    """How far the images of one job in one partition are. Absolute numbers: saying it twice changes nothing.

    ``listed`` counts entries of the source's listing, ``discovered`` distinct images: they differ where a list names
    a picture twice. ``catalogued`` and ``quarantined`` are disjoint: an image that was quarantined and later
    catalogued (after a retry) counts as catalogued.

    ``accused`` are those of the quarantined whose reason accuses the deployment; ``retried`` counts how often one of
    them was sent round again by a resumed job and so was no longer quarantined. ``accused`` + ``retried`` are all such
    failures that there ever were.
    """

    topic: ClassVar[str] = "jobs"
    version: ClassVar[int] = 3
    kind: ClassVar[str] = "partition-progressed"

    partition: Count = Field(description="of image-discovered")
    listed: Count
    discovered: Count
    catalogued: Count
    quarantined: Count
    accused: Count = 0
    retried: Count = 0
    round: Count = Field(default=0, description="of the last `RetryRequested` followed; 0 before the first")
    accusation: Accusation = Field(default="", description="stage, reason and message of the newest accused")
    owner: Count = Field(
        default=0, description="counts up as workers take the partition over: what a later one counts holds"
    )

    @property
    def id(self) -> UUID:
        """Depends on all its numbers."""
        counts = (self.partition, self.listed, self.discovered, self.catalogued, self.quarantined)
        more: tuple[int, ...] = (self.accused, self.retried, self.round)
        if self.owner:
            more = (*more, self.owner)
        return name_id(self.kind, self.job, *map(str, counts + more if any(more) else counts))


class RetryRequested(JobEvent):
    """What this partition has quarantined of a job for the deployment's fault is to be sent round again.

    Said to each partition when a job is resumed. ``round`` counts up: a picture is retried once in each.
    """

    topic: ClassVar[str] = "jobs"
    version: ClassVar[int] = 1
    kind: ClassVar[str] = "retry-requested"

    partition: Count = Field(description="of image-discovered, and the one that this event is in")
    round: Count = Field(ge=1)

    @property
    def id(self) -> UUID:
        """One for each partition and round."""
        return name_id(self.kind, self.job, str(self.partition), str(self.round))


class JobChanged(JobEvent):
    """A job came to another state, or its listing went on. Carries all of the job, so that the newest tells all."""

    topic: ClassVar[str] = "jobs"
    version: ClassVar[int] = 2
    kind: ClassVar[str] = "job-changed"

    dataset: Name
    source: Source
    model: Short
    options: JobOptions
    state: JobState
    listed: Count = Field(description="entries listed so far; final unless state is listing or paused")
    message: Message = Field(default="", description="why, where the state is failed or paused")
    resumes: Count = Field(default=0, description="how often the job was resumed after a pause, or submitted again")

    @property
    def id(self) -> UUID:
        """Depends on the state, on how far the listing is, and on how often the job was resumed."""
        resumed = (str(self.resumes),) if self.resumes else ()
        return name_id(self.kind, self.job, self.state, str(self.listed), *resumed)
