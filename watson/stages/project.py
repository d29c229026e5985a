"""The projection: what the log says, as rows. Reads every topic, emits nothing, can be dropped and rebuilt.

Every write is an idempotent upsert with the time of its event. Counts are numbers of *marks* (one a stage and image),
so that an event that comes twice counts once, on whichever worker; they are counted anew when a partition is taken
over, which no crash and no zombie can falsify.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from typing import Protocol

from watson.events import (
    Event,
    ImageCatalogued,
    ImageDiscovered,
    ImageEvent,
    ImagePreprocessed,
    ImageQuarantined,
    ImageSegmented,
    JobChanged,
    ManifestSubmitted,
    ModelRegistered,
    Record,
    now,
)
from watson.storage.catalogue import Catalogue, StageCount

__all__ = ["PROJECTED_STAGES", "ProjectionMarks", "Projector"]

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
        if isinstance(event, ImageQuarantined):
            return await self._quarantined(record.partition, event)
        if isinstance(event, ImageEvent):
            return await self._passed(record.partition, event)
        if isinstance(event, ManifestSubmitted):
            await self._catalogue.put_submitted(event.job, event.time)
        elif isinstance(event, JobChanged):
            await self._catalogue.put_job(event)
        elif isinstance(event, ModelRegistered):
            await self._catalogue.put_model(event)
        else:
            return "ignored"
        return "emitted"

    async def _passed(self, partition: int, event: ImageEvent) -> str:
        stage = PROJECTED_STAGES[type(event)]
        key = _key(stage, event.job, str(event.image_key))
        known = self._marks.get(partition, key) is not None
        if isinstance(event, ImageCatalogued):
            await self._catalogue.put_image(event)
            await self._resolve(partition, event, count=not known)
        if known:
            return "repeated"
        await self._marks.put(partition, key, b"1")
        self._count(partition, event.job, stage, 1)
        return "emitted"

    async def _resolve(self, partition: int, event: ImageCatalogued, *, count: bool) -> None:
        """The image was quarantined before, and was catalogued after all: its dead letter says so from now on."""
        image = str(event.image_key)
        for _, letter in list(self._marks.items(partition, _key(_LETTER, event.job, f"{image}/"))):
            await self._catalogue.put_dead_letter(ImageQuarantined.model_validate_json(letter), resolved=True)
        if count and self._marks.get(partition, _key("quarantined", event.job, image)) is not None:
            self._count(partition, event.job, "quarantined", -1)

    async def _quarantined(self, partition: int, event: ImageQuarantined) -> str:
        if event.job is None or event.image_key is None:
            await self._catalogue.put_dead_letter(event, resolved=False)
            return "emitted"
        image = str(event.image_key)
        catalogued = self._marks.get(partition, _key("catalogued", event.job, image)) is not None
        await self._catalogue.put_dead_letter(event, resolved=catalogued)
        # each stage's letter is kept, to be marked as resolved; the image counts once
        letter = _key(_LETTER, event.job, f"{image}/{event.stage}")
        if self._marks.get(partition, letter) is None:
            await self._marks.put(partition, letter, event.model_dump_json().encode())
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
    async def flush(self) -> None:
        """Write the counts that changed. What fails is written at the next flush.

        Raises:
            Retriable: the catalogue is away.
        """
        changed, self._changed = self._changed, set()
        at = now()
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


def _key(stage: str, job: str, image: str) -> bytes:
    return f"{stage}/{job}/{image}".encode()
