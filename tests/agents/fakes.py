"""Hand-written neighbours of the agents' logic: a log in memory, a table in memory, deliveries of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from watson.agents.ports import Outbox
from watson.errors import ReasonCode, Refused
from watson.events import (
    Event,
    ImageCatalogued,
    ImageDiscovered,
    ImageEvent,
    ImagePreprocessed,
    ImageQuarantined,
    JobOptions,
    Normalised,
    Original,
    Record,
    decode,
    encode,
    image_key,
    segmentation_id,
)

SHA = "0" * 64


@dataclass
class MemoryLog:
    """Keeps what was emitted; raises `failure` instead where it is set."""

    records: list[Record] = field(default_factory=list)
    failure: Exception | None = None

    async def emit(self, topic, key, value, headers, partition=None):
        if self.failure is not None:
            raise self.failure
        self.records.append(Record(topic, partition or 0, len(self.records), key, value, tuple(headers)))

    def events(self, kind: type[Event] = Event) -> list[Event]:
        return [event for event in map(decode, self.records) if isinstance(event, kind)]


@dataclass
class MemoryMarks:
    parts: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    failure: Exception | None = None

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self.parts.get(partition, {}).get(key)

    async def put(self, partition: int, key: bytes, value: bytes | None) -> None:
        if self.failure is not None:
            raise self.failure
        part = self.parts.setdefault(partition, {})
        if value is None:
            part.pop(key, None)
        else:
            part[key] = value

    def items(self, partition: int, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return iter([(k, v) for k, v in self.parts.get(partition, {}).items() if k.startswith(prefix)])


@dataclass
class FakeDelivery:
    record: Record
    acked: bool = False

    def ack(self) -> None:
        self.acked = True


async def delivered(deliveries: list[FakeDelivery]) -> AsyncIterator[FakeDelivery]:
    for delivery in deliveries:
        yield delivery


class Stage:
    """A chain stage with a scripted result for each call."""

    name = "preprocess"
    accepts = ImageDiscovered

    def __init__(self, *results: ImageEvent | Exception) -> None:
        self.results = list(results)
        self.calls = 0
        self.repaired: list[ImageEvent | None] = []  # what was said before, of each repair

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def handle(self, event: ImageEvent) -> ImageEvent:
        self.calls += 1
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, Exception):
            raise result
        return result

    async def repair(self, event: ImageEvent, before: ImageEvent | None) -> ImageEvent:
        self.repaired.append(before)
        return await self.handle(event)


def outbox(log: MemoryLog, role: str = "preprocess", partitions: int = 4) -> Outbox:
    return Outbox(log, role, "", partitions)


def record_of(event: Event, partition: int = 0, offset: int = 0, **headers: str) -> Record:
    key, value, pairs = encode(event, "/test", headers)
    return Record(event.topic, partition, offset, key, value, tuple(pairs))


def discovered(number: int = 0, job: str = "job", index: int | None = None) -> ImageDiscovered:
    uri = f"s3://bucket/{number}.jpg"
    return ImageDiscovered(
        job=job,
        image_key=image_key(uri),
        dataset="data",
        original=Original(uri=uri),
        index=number if index is None else index,
        model="m@1",
        options=JobOptions(),
    )


def normalised() -> Normalised:
    return Normalised(object="preprocessed/1-1024/x.jpg", sha256=SHA, width=8, height=8, version="1-1024")


def preprocessed(number: int = 0, job: str = "job") -> ImagePreprocessed:
    found = discovered(number, job)
    return ImagePreprocessed(
        job=job,
        image_key=found.image_key,
        dataset="data",
        original=found.original,
        normalised=normalised(),
        model="m@1",
    )


def catalogued(number: int = 0, job: str = "job") -> ImageCatalogued:
    found = discovered(number, job)
    return ImageCatalogued(
        job=job,
        image_key=found.image_key,
        dataset="data",
        original=found.original,
        normalised=normalised(),
        model="m@1",
        weights_sha256=SHA,
        segmentation_id=segmentation_id(found.image_key, SHA, "1-1024", "m@1"),
        masks_object="masks/x.json.gz",
        masks_sha256=SHA,
        masks=(),
        rejected=0,
        code_version="0",
        segmented_at=found.time,
    )


def quarantined(number: int = 0, job: str = "job", reason: str = "truncated") -> ImageQuarantined:
    from watson.agents.quarantine import image_quarantined

    found = discovered(number, job)
    return image_quarantined(
        record_of(found), found, "preprocess", reason=ReasonCode(reason), message="broken", attempts=1
    )


def key_of(event: ImageEvent) -> UUID:
    return event.image_key


__all__ = [
    "FakeDelivery",
    "MemoryLog",
    "MemoryMarks",
    "Refused",
    "Stage",
    "catalogued",
    "delivered",
    "discovered",
    "outbox",
    "preprocessed",
    "quarantined",
    "record_of",
]
