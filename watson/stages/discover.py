"""The arithmetic of discover: what is known of each image of a job, how a job's ledger adds up, who may go on.

Pure: no Kafka, no clock, no table; `watson.agents.discover` keeps these values in changelog-backed tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Literal

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from watson.errors import Refused
from watson.events import ImageDiscovered, JobState, ManifestSubmitted, Original, PartitionProgressed
from watson.events.event import Message
from watson.events.ids import image_key
from watson.events.kept import from_kept, kept
from watson.sources.listing import Entry

__all__ = ["Counts", "ImageMark", "JobMark", "Letter", "Part", "credit", "discovered", "image_mark_key", "patience"]

_TICK = timedelta(microseconds=1)
"""The least by which times of events differ."""


class Counts(BaseModel):
    """The ledger of one job in one partition, or summed over partitions. Additive.

    ``listed`` entries of the listing, ``discovered`` distinct images; ``catalogued`` and ``quarantined`` are disjoint.
    ``accused`` of the quarantined are the deployment's fault; ``retried`` counts how often such a one was sent round
    again, and so was in flight once more.
    """

    model_config = ConfigDict(frozen=True)

    listed: int = 0
    discovered: int = 0
    catalogued: int = 0
    quarantined: int = 0
    accused: int = 0
    retried: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Sum, field by field."""
        return Counts(
            listed=self.listed + other.listed,
            discovered=self.discovered + other.discovered,
            catalogued=self.catalogued + other.catalogued,
            quarantined=self.quarantined + other.quarantined,
            accused=self.accused + other.accused,
            retried=self.retried + other.retried,
        )

    def __sub__(self, other: Counts) -> Counts:
        """Difference, field by field."""
        return Counts(
            listed=self.listed - other.listed,
            discovered=self.discovered - other.discovered,
            catalogued=self.catalogued - other.catalogued,
            quarantined=self.quarantined - other.quarantined,
            accused=self.accused - other.accused,
            retried=self.retried - other.retried,
        )

    @property
    def ended(self) -> int:
        """Images that left the chain."""
        return self.catalogued + self.quarantined

    @property
    def settled(self) -> int:
        """Entries of the listing that need no further work: ended images, and repeated mentions of an image."""
        return self.ended + self.listed - self.discovered

    @property
    def passed(self) -> int:
        """Images that ended without accusing the deployment: what a job's pace is made of. Failing is fast."""
        return self.ended - self.accused

    @property
    def failures(self) -> int:
        """All ends that ever accused the deployment, also of images that were retried since."""
        return self.accused + self.retried

    @classmethod
    def total(cls, parts: Iterable[Counts]) -> Counts:
        """The sum of all."""
        total = cls()
        for part in parts:
            total += part
        return total

    def not_before(self, other: Counts) -> bool:
        """Whether these may be newer than ``other``: no number that can only grow has shrunk.

        An image that is retried has ended less, but its retry counts.
        """
        return (
            self.listed >= other.listed
            and self.discovered >= other.discovered
            and self.ended + self.retried >= other.ended + other.retried
            and self.retried >= other.retried
            and self.catalogued >= other.catalogued
        )


class Part(Counts):
    """What a partition said last of a job: its ledger, how far it followed the retries, the newest accusation, who.

    ``owner`` numbers the workers that had the partition, in their order.
    """

    round: int = 0
    accusation: str = ""
    owner: int = 0

    @classmethod
    def of(cls, event: PartitionProgressed) -> Part:
        """As the event says."""
        return cls(**{name: getattr(event, name) for name in cls.model_fields})

    def newer_than(self, other: Part) -> bool:
        """Whether this was said after ``other``.

        A later owner counted anew, so its numbers hold even where they are smaller: it may have read a mark that a
        worker believed dead had written over a newer one, and is about to make that good.
        """
        if self.owner != other.owner:
            return self.owner > other.owner
        return self != other and self.not_before(other) and self.round >= other.round


class Letter(BaseModel):
    """What the tracker keeps of a dead letter that accuses the deployment. ``time`` tells it from others."""

    model_config = ConfigDict(frozen=True)

    time: AwareDatetime
    accusation: str


class ImageMark(BaseModel):
    """What the tracker knows of one image of one job.

    Attributes:
        index: place in the listing; None while only the image's end has been seen (topics race each other).
        repeats: further places in the listing that name the same image.
        end: how it left the chain. ``catalogued`` wins over ``quarantined``, whichever comes first.
        letter: the newest one that accused the deployment. Kept when the image is retried, so that a redelivery of it
            is known for what it is.
        event: the `ImageDiscovered` to send again, while in flight or quarantined for the deployment's fault.
        unread: the same as a newer Watson kept it (its worker had the partition for a while, in a rolling upgrade). The
            image counts as ever; to send it again is for the next worker that can read it.
        sent_at: seconds since 1970 of the last time it was sent.
        redrives: times it was sent again.
        retries: times it was quarantined for the deployment's fault and sent round again.
        round: the job's round of retries when it was discovered or retried last; each round retries an image once.
    """

    model_config = ConfigDict(frozen=True)

    index: int | None = None
    repeats: tuple[int, ...] = ()
    end: Literal["catalogued", "quarantined"] | None = None
    letter: Letter | None = None
    event: ImageDiscovered | None = None
    unread: dict[str, Any] | None = None
    sent_at: float = 0.0
    redrives: int = 0
    retries: int = 0
    round: int = 0

    def to_bytes(self) -> bytes:
        """As stored in the table; the event with its version."""
        stored = self.model_dump(mode="json", exclude_defaults=True, exclude={"event", "unread"})
        if self.event is not None:
            stored["event"] = orjson.Fragment(kept(self.event))
        elif self.unread is not None:
            stored["event"] = self.unread
        return orjson.dumps(stored)

    @classmethod
    def from_bytes(cls, data: bytes) -> ImageMark:
        """From the table; an event of an older version is brought to today's."""
        stored = orjson.loads(data)
        event = stored.pop("event", None)
        if event is None:
            return cls.model_validate(stored)
        try:
            return cls.model_validate({**stored, "event": from_kept(event, ImageDiscovered)})
        except Refused:  # nothing is lost: see `unread`
            return cls.model_validate({**stored, "unread": event})

    @property
    def in_flight(self) -> bool:
        """Discovered, and not ended."""
        return self.end is None and self.event is not None

    @property
    def accused(self) -> bool:
        """Quarantined, and that the deployment's fault."""
        return self.end == "quarantined" and self.letter is not None

    @property
    def retriable(self) -> bool:
        """Whether a round of retries is to send it round again, if it was not yet retried in it."""
        return self.accused and self.event is not None

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
            accused=int(self.accused),
            retried=self.retries,
        )

    def is_repeated_by(self, event: ImageDiscovered) -> bool:
        """Whether it is known, and this is another place in the listing that names it."""
        return self.index is not None and event.index != self.index and event.index not in self.repeats

    def on_discovered(self, event: ImageDiscovered, at: float, round_: int = 0) -> ImageMark:
        """The source lists it (again)."""
        if self.index is None:
            again = event if self.end is None or self.accused else None
            return self.model_copy(update={"index": event.index, "event": again, "sent_at": at, "round": round_})
        if event.index == self.index or event.index in self.repeats:
            return self
        return self.model_copy(update={"repeats": (*self.repeats, event.index)})

    def on_catalogued(self) -> ImageMark:
        """It is in the dataset."""
        return self if self.end == "catalogued" else self._ended("catalogued", None)

    def on_quarantined(self, time: datetime, accusation: str | None = None) -> ImageMark:
        """A dead letter of that time says that it left the chain; ``accusation`` where that accuses the deployment.

        A letter that is not newer than the one for which the image is retried is a late copy, of that or of an older
        one. (Should a newer one be taken for such, since clocks differ, the image is overdue, and is tried again.)
        """
        letter = Letter(time=time, accusation=accusation) if accusation is not None else None
        late = self.letter is not None and time <= self.letter.time
        if late or (self.end is not None and not (self.accused and letter)):
            return self
        return self._ended("quarantined", letter)

    def _ended(self, end: Literal["catalogued", "quarantined"], letter: Letter | None) -> ImageMark:
        again = {} if letter is not None else {"event": None, "unread": None}
        return self.model_copy(update={"end": end, "letter": letter, **again})

    def on_retried(self, at: float, round_: int) -> ImageMark:
        """It was accused, and is sent round again."""
        more = {"sent_at": at, "redrives": 0, "retries": self.retries + 1, "round": round_}
        return self.model_copy(update={"end": None, **more})

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
    message: Message = ""
    pressure: int = Field(default=0, description="the breaker's: see watson.stages.breaker")
    paused_in: Literal["listing", "draining"] = Field(default="listing", description="where a paused job goes on")
    resumes: int = 0
    round: int = Field(default=0, description="of the last `RetryRequested`")
    said: AwareDatetime | None = Field(default=None, description="time of the last `JobChanged`")

    def to_bytes(self) -> bytes:
        """As stored in the table; the manifest with its version."""
        stored = self.model_dump(mode="json", exclude={"manifest"})
        return orjson.dumps({**stored, "manifest": orjson.Fragment(kept(self.manifest))})

    @classmethod
    def from_bytes(cls, data: bytes) -> JobMark:
        """From the table; a manifest of an older version is brought to today's.

        Raises:
            Refused: a newer Watson kept it.
        """
        stored = orjson.loads(data)
        return cls.model_validate({**stored, "manifest": from_kept(stored["manifest"], ManifestSubmitted)})

    def time_to_say(self, now: datetime) -> datetime:
        """The time of the next `JobChanged`: now, but after the last one, whatever clock that was said by."""
        return now if self.said is None else max(now, self.said + _TICK)

    @property
    def moving(self) -> bool:
        """Whether images go through the chain, and the breaker minds them."""
        return self.state in ("listing", "draining")

    @property
    def active(self) -> bool:
        """Whether anything may still come."""
        return self.moving or self.state == "paused"


def image_mark_key(job: str, image: str) -> bytes:
    """Key in the images table: job first, so that one job's images can be read by prefix."""
    return f"{job}/{image}".encode()


def discovered(mark: JobMark, entry: Entry, index: int) -> ImageDiscovered:
    """The event for one entry of the listing."""
    return ImageDiscovered(
        job=mark.manifest.job,
        image_key=image_key(entry.uri),
        dataset=mark.manifest.dataset,
        original=Original(uri=entry.uri, size=entry.size, etag=entry.etag),
        within=entry.within,
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
