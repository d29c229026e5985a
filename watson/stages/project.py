"""The projection: what the log says, as rows. Reads every topic, emits nothing, can be dropped and rebuilt.

Every write is an idempotent upsert with the time of its event, or, where a repair sent the event again (header
``redrive: repair``), with the time of that sending, which is later than whatever deleted the row. Counts are numbers of
*marks* (one a stage and image), so that an event that comes twice counts once, on whichever worker; they are counted
anew when a partition is taken over, which no crash and no zombie can falsify.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Protocol

import structlog

from watson.errors import Refused
from watson.events import (
    REDRIVE,
    REPAIR,
    Event,
    ImageCatalogued,
    ImageDiscovered,
    ImageEvent,
    ImagePreprocessed,
    ImageQuarantined,
    ImageSegmented,
    JobChanged,
    ManifestSubmitted,
    ModelEvaluated,
    ModelRegistered,
    ModelWithdrawn,
    Record,
    now,
)
from watson.events.kept import from_kept, kept
from watson.storage.catalogue import Catalogue, StageCount

__all__ = ["PROJECTED_STAGES", "ProjectionMarks", "Projector"]

log = structlog.get_logger(__name__)

PROJECTED_STAGES: dict[type[Event], str] = {
    ImageDiscovered: "discovered",
    ImagePreprocessed: "preprocessed",
    ImageSegmented: "segmented",
    ImageCatalogued: "catalogued",
    ImageQuarantined: "quarantined",
}
"""What each event of the chain counts as."""


_LETTER = "letter"


class ProjectionMarks(Protocol):
    """A set of marks, one part a partition; durable when `put` returns."""

    def get(self, partition: int, key: bytes) -> bytes | None:
        """The mark, or None."""
        ...

    async def put(self, partition: int, key: bytes, value: bytes | None) -> None:
        """Set it."""
        ...

    def items(self, partition: int, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All marks of a partition."""
        ...


class Projector:
    """Applies events to the catalogue, partition by partition."""

    def __init__(self, catalogue: Catalogue, marks: ProjectionMarks) -> None:
        self._catalogue = catalogue
        self._marks = marks
        self._counts: dict[int, dict[tuple[str, str], int]] = {}
        self._changed: set[tuple[int, str, str]] = set()

    # ------------------------------------------------------------------ partitions come and go
    async def assign(self, partition: int) -> None:
        """Count a partition's marks; all its counts are written at the next flush."""
        counts: dict[tuple[str, str], int] = defaultdict(int)
        for number, (key, _) in enumerate(self._marks.items(partition)):
            if number % 500 == 0:
                await asyncio.sleep(0)  # a million marks take seconds
            stage, job, image = key.decode().split("/")[:3]
            if stage == _LETTER:
                continue
            if stage != "quarantined" or self._marks.get(partition, _key("catalogued", job, image)) is None:
                counts[job, stage] += 1
        self._counts[partition] = counts
        self._changed.update((partition, job, stage) for job, stage in counts)

    def revoke(self, partition: int) -> None:
        """Forget a partition's counts: they are somebody else's to write."""
        self._counts.pop(partition, None)
        self._changed = {change for change in self._changed if change[0] != partition}

    # ------------------------------------------------------------------ events
    async def apply(self, record: Record, event: Event) -> str:
        """Write what one event says; returns the outcome as a metric label.

        Raises:
            Retriable: the catalogue is away.
        """
        again = _sent(record) if record.header(REDRIVE) == REPAIR else None
        if isinstance(event, ImageQuarantined):
            return await self._quarantined(record.partition, event, again)
        if isinstance(event, ImageEvent):
            return await self._passed(record, event, again)
        if isinstance(event, ManifestSubmitted):
            await self._catalogue.put_submitted(event.job, event.time, at=again)
            if again is not None:
                self._count_again(record.partition, event.job)
        elif isinstance(event, JobChanged):
            await self._catalogue.put_job(event)
        elif isinstance(event, ModelRegistered):
            await self._catalogue.put_model(event, at=again)
        elif isinstance(event, ModelWithdrawn):
            await self._catalogue.put_model_withdrawn(event, at=again)
        elif isinstance(event, ModelEvaluated):
            await self._catalogue.put_evaluation(event, at=again)
        else:
            return "ignored"
        return "emitted"

    async def _passed(self, record: Record, event: ImageEvent, again: datetime | None) -> str:
        stage, partition = PROJECTED_STAGES[type(event)], record.partition
        key = _key(stage, event.job, str(event.image_key))
        known = self._marks.get(partition, key) is not None
        if isinstance(event, ImageCatalogued):
            await self._catalogue.put_image(event, at=max(again, event.time) if again is not None else None)
            await self._resolve(record, event, count=not known)
        if known:
            return "repeated"
        await self._marks.put(partition, key, b"1")
        self._count(partition, event.job, stage, 1)
        return "emitted"

    async def _resolve(self, record: Record, event: ImageCatalogued, *, count: bool) -> None:
        """The image was quarantined before, and was catalogued after all: its dead letter says so from now on.

        Written at the time at which that was said: a letter may have been written at a later time than its own. One
        that a newer Watson kept stays open: `watson audit JOB --repair` finds it.
        """
        image, partition = str(event.image_key), record.partition
        for _, stored in list(self._marks.items(partition, _key(_LETTER, event.job, f"{image}/"))):
            letter = _letter(stored)
            if letter is None:
                continue
            at = max(letter.time, event.time, _sent(record))
            await self._catalogue.put_dead_letter(letter, resolved=True, at=at)
        if count and self._marks.get(partition, _key("quarantined", event.job, image)) is not None:
            self._count(partition, event.job, "quarantined", -1)

    async def _quarantined(self, partition: int, event: ImageQuarantined, again: datetime | None) -> str:
        at = max(again, event.time) if again is not None else None
        if event.job is None or event.image_key is None:
            await self._catalogue.put_dead_letter(event, resolved=False, at=at)
            return "emitted"
        image = str(event.image_key)
        catalogued = self._marks.get(partition, _key("catalogued", event.job, image)) is not None
        await self._catalogue.put_dead_letter(event, resolved=catalogued, at=at)
        # each stage's newest letter is kept, to be marked as resolved (an older one would lose against the newer row);
        # the image counts once
        letter = _key(_LETTER, event.job, f"{image}/{event.stage}")
        stored = self._marks.get(partition, letter)
        before = _letter(stored) if stored is not None else None
        if before is None or before.time < event.time:
            await self._marks.put(partition, letter, kept(event))
        key = _key("quarantined", event.job, image)
        if self._marks.get(partition, key) is not None:
            return "repeated"
        await self._marks.put(partition, key, b"1")
        self._count(partition, event.job, "quarantined", 0 if catalogued else 1)
        return "emitted"

    def _count(self, partition: int, job: str, stage: str, change: int) -> None:
        if partition in self._counts:  # else it was revoked meanwhile, and its next owner counts
            counts = self._counts[partition]
            counts[job, stage] = counts.get((job, stage), 0) + change
            self._changed.add((partition, job, stage))

    # ------------------------------------------------------------------ counts
    def _count_again(self, partition: int, job: str) -> None:
        """All counts of a job in a partition are written at the next flush, zeros too: rows may be gone or altered."""
        for stage in PROJECTED_STAGES.values():
            self._count(partition, job, stage, 0)

    async def flush(self, at: datetime | None = None) -> None:
        """Write the counts that changed. What fails is written at the next flush.

        Args:
            at: when they were so; None for now. The newest wins.

        Raises:
            Retriable: the catalogue is away.
        """
        changed, self._changed = self._changed, set()
        at = at or now()
        rows = [
            StageCount(job=job, stage=stage, partition=partition, count=self._counts[partition][job, stage], time=at)
            for partition, job, stage in changed
            if partition in self._counts
        ]
        try:
            await asyncio.gather(*(self._catalogue.put_count(row) for row in rows))
        except BaseException:
            self._changed |= changed
            raise


def _sent(record: Record) -> datetime:
    """When a record was sent; never in the future, or nothing could be written over what is written at that time."""
    try:
        return min(datetime.fromtimestamp(record.timestamp, UTC), now())
    except (OverflowError, OSError, ValueError):  # a producer can set any 64 bits
        return datetime.fromtimestamp(0, UTC)


def _letter(stored: bytes) -> ImageQuarantined | None:
    """A letter as it was kept; None where a newer Watson kept it, which this one cannot read."""
    try:
        return from_kept(stored, ImageQuarantined)
    except Refused as refused:
        log.warning("a letter that was kept cannot be read", why=str(refused))
        return None


def _key(stage: str, job: str, image: str) -> bytes:
    return f"{stage}/{job}/{image}".encode()
