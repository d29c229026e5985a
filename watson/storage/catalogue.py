"""The catalogue: what the log says, as rows that can be asked for. All writes are idempotent upserts.

Each write carries the time of the event that it comes from, and the last writer by that time wins, so that a replay
in any order ends in the same rows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from watson.events import (
    ImageCatalogued,
    ImageQuarantined,
    JobChanged,
    MaskRecord,
    ModelEvaluated,
    ModelRegistered,
    ModelWithdrawn,
)
from watson.storage.wanted import Order, Wanted

__all__ = ["Catalogue", "DeadLetterRow", "Found", "JobRow", "MaskRow", "Page", "StageCount"]


Item = TypeVar("Item")


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)


class JobRow(_Row):
    """A job: its newest `JobChanged`, and its counts summed over partitions, by stage.

    Keys of ``counts``: discovered, preprocessed, segmented, catalogued, quarantined. ``discovered`` = ``catalogued``
    + ``quarantined`` + in flight. ``submitted_at`` is the time of the manifest
    that the job works on.
    """

    job: JobChanged
    submitted_at: datetime
    counts: dict[str, int]

    @property
    def in_flight(self) -> int:
        """Images that were discovered and have not ended, as far as the counts have come."""
        ended = self.counts.get("catalogued", 0) + self.counts.get("quarantined", 0)
        return max(0, self.counts.get("discovered", 0) - ended)


class StageCount(_Row):
    """The absolute number of distinct images of a job that passed a stage, in one partition."""

    job: str
    stage: str
    partition: int
    count: int
    time: datetime


class DeadLetterRow(_Row):
    """A quarantined image or undecodable event. ``resolved``: the image was catalogued after all (by a retry)."""

    event: ImageQuarantined
    resolved: bool


class MaskRow(_Row):
    """A mask with the image that it belongs to."""

    job: str
    image_key: UUID
    mask: MaskRecord


class Page(_Row, Generic[Item]):
    """Some rows and, where there are more, the opaque cursor that the next call takes as ``after``."""

    items: tuple[Item, ...]
    cursor: str | None = None


class Found(Page[ImageCatalogued]):
    """A page of what was looked for. With a cursor it may be short, or empty: the search goes on behind it.

    Attributes:
        cursor: where to go on; None where there are no more.
        searched: at least so many images were looked at where that was many enough to stop; None where the page ends
            because it is full, or because there are no more.
    """

    searched: int | None = None


class Catalogue(Protocol):
    """Rows of jobs, images, masks, models, datasets and dead letters.

    All methods raise `Retriable` where the database is unavailable or times out.
    """

    async def open(self) -> None:
        """Connect and prepare statements.

        Raises:
            UserError: the database cannot be reached, or its schema is missing or of another version: says to run
                `watson catalogue migrate`.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...

    async def migrate(self) -> list[str]:
        """Bring the schema (and the keyspace or file) to this code's version; returns the names of the steps done.

        Needs no `open` before. Doing it twice, or from two places at once, does no harm.
        """
        ...

    async def wipe(self) -> None:
        """Empty all projected tables, for a rebuild from the log."""
        ...

    # written by the projection alone; ``at`` is when a repair said a thing again: its rows then win over what was
    # written or deleted up to that time, though they are the rows of the event's own time
    async def put_job(self, event: JobChanged) -> None:
        """The job's state and settings."""
        ...

    async def put_submitted(self, job: str, time: datetime, *, at: datetime | None = None) -> None:
        """When the job's manifest was submitted; may come before or after `put_job`."""
        ...

    async def put_count(self, count: StageCount) -> None:
        """An absolute count; last writer by time wins."""
        ...

    async def put_image(self, event: ImageCatalogued, *, at: datetime | None = None) -> None:
        """A catalogued image, and each of its masks."""
        ...

    async def put_dead_letter(self, event: ImageQuarantined, *, resolved: bool, at: datetime | None = None) -> None:
        """A quarantined image or undecodable event; several stages' letters of one image are several rows."""
        ...

    async def put_model(self, event: ModelRegistered, *, at: datetime | None = None) -> None:
        """A model version."""
        ...

    async def put_model_withdrawn(self, event: ModelWithdrawn, *, at: datetime | None = None) -> None:
        """A model version is no longer listed, unless it is registered again later."""
        ...

    async def put_evaluation(self, event: ModelEvaluated, *, at: datetime | None = None) -> None:
        """How a model version did on a dataset."""
        ...

    # asked by people
    async def jobs(self) -> list[JobRow]:
        """All jobs, newest submission first."""
        ...

    async def job(self, job: str) -> JobRow | None:
        """One job."""
        ...

    async def images(self, job: str, *, after: str | None = None, limit: int = 100) -> Page[ImageCatalogued]:
        """Catalogued images of a job, by image key."""
        ...

    async def find(
        self,
        job: str,
        wanted: Wanted,
        *,
        order: Order = Order.KEY,
        after: str | None = None,
        limit: int = 100,
    ) -> Found:
        """Images of a job that are wanted. Looks at a bounded number of them, so that every answer comes soon.

        Cursors belong to the order, not to what is wanted.
        """
        ...

    async def image(self, job: str, image_key: UUID) -> ImageCatalogued | None:
        """One catalogued image."""
        ...

    async def masks(self, job: str, category: str, *, after: str | None = None, limit: int = 100) -> Page[MaskRow]:
        """Masks of one category, in an order that is stable between calls."""
        ...

    async def categories(self, job: str) -> dict[str, int]:
        """Number of masks by category name."""
        ...

    def mask_rows(self, job: str) -> AsyncIterator[list[MaskRow]]:
        """Every mask row of a job as it is stored, those of outdated revisions too; for audits.

        Raises:
            UserError: a row is damaged.
        """
        ...

    async def dead_letters(
        self, job: str | None, *, reason: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[DeadLetterRow]:
        """Dead letters of a job; with ``job`` None, those of undecodable events that belong to no job."""
        ...

    async def dead_letter(self, job: str | None, letter: UUID) -> DeadLetterRow | None:
        """One dead letter by its event's id; with ``job`` None, of an event that belongs to no job."""
        ...

    async def models(self) -> Sequence[ModelRegistered]:
        """All model versions that were not withdrawn, by name and time."""
        ...

    async def evaluations(self) -> Sequence[ModelEvaluated]:
        """All evaluations, by name, time and dataset; those of withdrawn models too."""
        ...

    async def datasets(self) -> dict[str, list[str]]:
        """Dataset name → its jobs."""
        ...
