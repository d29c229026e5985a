"""The arithmetic of discover: what is known of each image of a job, how a job's ledger adds up, who may go on.

Pure: no Kafka, no clock, no table; `watson.agents.discover` keeps these values in changelog-backed tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from watson.events import ImageDiscovered, JobState, ManifestSubmitted, Original, PartitionProgressed
from watson.events.ids import image_key

__all__ = ["Counts", "ImageMark", "JobMark", "credit", "discovered", "image_mark_key", "patience"]


class Counts(BaseModel):
    """The ledger of one job in one partition, or summed over partitions. Additive.

    ``listed`` entries of the listing, ``discovered`` distinct images; ``catalogued`` and ``quarantined`` are disjoint.
    """

    model_config = ConfigDict(frozen=True)

    listed: int = 0
    discovered: int = 0
    catalogued: int = 0
    quarantined: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Sum, field by field."""
        return Counts(
            listed=self.listed + other.listed,
            discovered=self.discovered + other.discovered,
            catalogued=self.catalogued + other.catalogued,
            quarantined=self.quarantined + other.quarantined,
        )

    def __sub__(self, other: Counts) -> Counts:
        """Difference, field by field."""
        return Counts(
            listed=self.listed - other.listed,
            discovered=self.discovered - other.discovered,
            catalogued=self.catalogued - other.catalogued,
            quarantined=self.quarantined - other.quarantined,
        )

    @property
    def ended(self) -> int:
        """Images that left the chain."""
        return self.catalogued + self.quarantined

    @property
    def settled(self) -> int:
        """Entries of the listing that need no further work: ended images, and repeated mentions of an image."""
        return self.ended + self.listed - self.discovered

    @classmethod
    def total(cls, parts: Iterable[Counts]) -> Counts:
        """The sum of all."""
        total = cls()
        for part in parts:
            total += part
        return total

    @classmethod
    def of(cls, event: PartitionProgressed) -> Counts:
        """As the event says."""
        return cls(
            listed=event.listed,
            discovered=event.discovered,
            catalogued=event.catalogued,
            quarantined=event.quarantined,
        )

    def not_before(self, other: Counts) -> bool:
        """Whether these may be newer than ``other``: no number that can only grow has shrunk."""
        return (
            self.listed >= other.listed
            and self.discovered >= other.discovered
            and self.ended >= other.ended
            and self.catalogued >= other.catalogued
        )


class ImageMark(BaseModel):
    """What the tracker knows of one image of one job.

    Attributes:
        index: place in the listing; None while only the image's end has been seen (topics race each other).
        repeats: further places in the listing that name the same image.
        end: how it left the chain. ``catalogued`` wins over ``quarantined``, whichever comes first.
        event: the `ImageDiscovered` to send again, while in flight.
        sent_at: seconds since 1970 of the last time it was sent.
        redrives: times it was sent again.
    """

    model_config = ConfigDict(frozen=True)

    index: int | None = None
    repeats: tuple[int, ...] = ()
    end: Literal["catalogued", "quarantined"] | None = None
    event: ImageDiscovered | None = None
    sent_at: float = 0.0
    redrives: int = 0

    @property
    def in_flight(self) -> bool:
        """Discovered, and not ended."""
        return self.end is None and self.event is not None

    @property
    def counts(self) -> Counts:
        """What it adds to the ledger. An end counts once the image itself is known, so that ended <= discovered."""
        if self.index is None:
            return Counts()
        return Counts(
            listed=1 + len(self.repeats),
            discovered=1,
            catalogued=int(self.end == "catalogued"),
            quarantined=int(self.end == "quarantined"),
        )

    def is_repeated_by(self, event: ImageDiscovered) -> bool:
        """Whether it is known, and this is another place in the listing that names it."""
        return self.index is not None and event.index != self.index and event.index not in self.repeats

    def on_discovered(self, event: ImageDiscovered, at: float) -> ImageMark:
        """The source lists it (again)."""
        if self.index is None:
            kept = event if self.end is None else None
            return self.model_copy(update={"index": event.index, "event": kept, "sent_at": at})
        if event.index == self.index or event.index in self.repeats:
            return self
        return self.model_copy(update={"repeats": (*self.repeats, event.index)})

    def on_end(self, end: Literal["catalogued", "quarantined"]) -> ImageMark:
        """It left the chain."""
        if self.end in (end, "catalogued"):
            return self
        return self.model_copy(update={"end": end, "event": None})

    def on_redriven(self, at: float) -> ImageMark:
        """It was sent again."""
        return self.model_copy(update={"sent_at": at, "redrives": self.redrives + 1})


class JobMark(BaseModel):
    """What the lister knows of one job: enough to go on on another worker."""

    model_config = ConfigDict(frozen=True)

    manifest: ManifestSubmitted
    state: JobState = "listing"
    model: str = Field(description="name@version, resolved once")
    cursor: str | None = None
    listed: int = 0
    relists: int = 0
    message: str = ""

    @property
    def active(self) -> bool:
        """Whether anything is still to come."""
        return self.state in ("listing", "draining")


def image_mark_key(job: str, image: str) -> bytes:
    """Key in the images table: job first, so that one job's images can be read by prefix."""
    return f"{job}/{image}".encode()


def discovered(mark: JobMark, uri: str, size: int | None, etag: str | None, index: int) -> ImageDiscovered:
    """The event for one entry of the listing."""
    return ImageDiscovered(
        job=mark.manifest.job,
        image_key=image_key(uri),
        dataset=mark.manifest.dataset,
        original=Original(uri=uri, size=size, etag=etag),
        index=index,
        model=mark.model,
        options=mark.manifest.options,
    )


def credit(pace: float, weight: float, *, least: int, most: int, seconds: float) -> int:
    """How many images of a job may be in flight.

    So many seconds' worth of the job's own pace (images ended a second), within bounds, times the job's weight: a
    small job is never stuck behind more than each other job's credit, and a fast line is never starved.
    """
    return max(1, round(min(most, max(least, pace * seconds)) * weight))


def patience(redrives: int, typical: float, *, least: float) -> float:
    """Seconds to wait for an image's end before it is sent again: eight times what is typical, doubled each time."""
    return float(max(least, 8.0 * typical) * 2.0**redrives)
