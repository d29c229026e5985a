"""What the log says of one image of a job: its events across the topics, with partition and offset.

The catalogue keeps the last event alone. The others stand in the log, in the partition of the image's key, between the
job's submission and the image's end; they are looked for there backwards, newest first, within limits. What was not
read is said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from watson.agents.ports import partition_of
from watson.agents.replay import LogReader, Place, open_log
from watson.agents.topics import INPUTS, changelog_topic
from watson.errors import Refused, Retriable, UserError
from watson.events import CHAIN, REDRIVE, Event, ImageCatalogued, Record, decode
from watson.settings import Settings
from watson.storage.catalogue import JobRow

__all__ = ["Entry", "Histories", "History", "Searched", "history_document"]

TOPICS = (*CHAIN, "dead-letters")
_MARKING = ("preprocess", "segment", "catalogue")

_GOES_ON = ("listing", "draining", "paused")

_MARGIN = timedelta(seconds=60)
"""That the clocks of two machines may differ, and an event may take to be written."""

_CHUNK = 1000
_MOST_RECORDS = 60_000
_MOST_BYTES = 64_000_000
_MOST_SECONDS = 8.0
_MARK_SECONDS = 2.0
_FETCH_BYTES = 256 << 10
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the image. ``event`` is None where it cannot be decoded (``problem`` says why), and of a mark."""

    record: Record
    event: Event | None
    problem: str = ""
    mark_of: str = ""

    @property
    def time(self) -> datetime:
        """When it happened; of what has no event, when it was written."""
        return self.event.time if self.event is not None else self.written

    @property
    def written(self) -> datetime:
        """The record's timestamp."""
        return datetime.fromtimestamp(self.record.timestamp, UTC)


@dataclass(frozen=True, slots=True)
class Searched:
    """What was read of one topic: ``offsets``, of the ``wanted`` ones between the job's submission and the end."""

    topic: str
    partition: int
    offsets: range
    wanted: range

    @property
    def complete(self) -> bool:
        """Whether all of it was read."""
        return self.offsets == self.wanted or not self.wanted


@dataclass(frozen=True, slots=True)
class History:
    """The entries found, oldest first, and where they were looked for."""

    job: str
    image_key: UUID
    partition: int
    entries: tuple[Entry, ...]
    searched: tuple[Searched, ...]

    @property
    def complete(self) -> bool:
        """Whether no limit was met."""
        return all(one.complete for one in self.searched)


class Histories:
    """Looks for histories, two at a time: each may read as much as the limits allow."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def of(self, row: JobRow, image_key: UUID, end: ImageCatalogued | None) -> History:
        """The history of an image.

        Args:
            row: the image's job; another job's events of the same image are not wanted.
            image_key: says which partition.
            end: the image's row; None where it is not catalogued.

        Raises:
            Retriable: the log cannot be read at present.
        """
        job = row.job
        until = end.time if end is not None else None if job.state in _GOES_ON else job.time
        async with self._at_once:
            try:
                async with open_log(self._settings, _FETCH_BYTES) as log:
                    return await _Search(log, self._settings, job.job, image_key).run(row.submitted_at - _MARGIN, until)
            except UserError as exc:
                raise Retriable(str(exc)) from exc


@dataclass(slots=True)
class _Search:
    """One search: windows of offsets that shrink from their ends as they are read."""

    log: LogReader
    settings: Settings
    job: str
    image_key: UUID
    entries: list[Entry] = field(default_factory=list)
    records: int = 0
    size: int = 0

    async def run(self, since: datetime, until: datetime | None) -> History:
        clock = asyncio.get_running_loop().time
        deadline = clock() + _MOST_SECONDS
        partition = partition_of(self._key, self.settings.partitions)
        windows = await self._windows([(topic, partition) for topic in TOPICS], since, until)
        left = dict(windows)
        while any(left.values()) and self.records < _MOST_RECORDS and self.size < _MOST_BYTES and clock() < deadline:
            chunks = {place: window[-_CHUNK:] for place, window in left.items() if window}
            await self._read(chunks, deadline)
            if clock() >= deadline:  # the chunks may not have been read to their ends
                break
            left = {place: window[:-_CHUNK] for place, window in left.items()}
        await self._add_marks(partition, clock() + _MARK_SECONDS)
        return History(
            job=self.job,
            image_key=self.image_key,
            partition=partition,
            entries=tuple(sorted(self.entries, key=_order)),
            searched=tuple(
                Searched(topic, partition, range(left[topic, partition].stop, window.stop), window)
                for (topic, _), window in windows.items()
            ),
        )

    async def _windows(self, places: Iterable[Place], since: datetime, until: datetime | None) -> dict[Place, range]:
        reach = await self.log.reach(places)
        starts = await self.log.since(reach, since)
        stops = await self.log.since(reach, until + _MARGIN) if until is not None else {}
        return {place: range(starts[place], max(starts[place], stops.get(place, reach[place].stop))) for place in reach}

    async def _read(self, chunks: dict[Place, range], deadline: float) -> None:
        async for record in self.log.stretches(chunks, deadline):
            self.records += 1
            self.size += len(record.value or b"")
            if record.key == self._key:
                self._take(record)

    def _take(self, record: Record) -> None:
        try:
            event = decode(record)
        except Refused as refused:  # of which job it is nobody can tell
            self.entries.append(Entry(record, None, problem=str(refused)))
            return
        if getattr(event, "job", None) == self.job:
            self.entries.append(Entry(record, event))

    async def _add_marks(self, partition: int, deadline: float) -> None:
        """The marks by which a stage knows that it did an event: each was written shortly after what it emitted."""
        roles = {INPUTS[role][0]: role for role in _MARKING}
        inputs = [entry for entry in self.entries if entry.event is not None and entry.record.topic in roles]
        if not inputs:
            return
        wanted = {entry.event.id.bytes: roles[entry.record.topic] for entry in inputs if entry.event is not None}
        changelogs = {role: (self._changelog(role), partition) for role in wanted.values()}
        reach = await self.log.reach(changelogs.values())
        starts = await self.log.since(reach, min(entry.written for entry in inputs))
        spans = {place: reach[place][starts[place] - reach[place].start :][:_CHUNK] for place in reach}
        async for record in self.log.stretches(spans, deadline):
            if record.key in wanted and record.value is not None:
                self.entries.append(Entry(record, None, mark_of=wanted[record.key]))

    def _changelog(self, role: str) -> str:
        return changelog_topic(role, "marks", self.settings).removeprefix(self.settings.topic_prefix)

    @property
    def _key(self) -> bytes:
        return str(self.image_key).encode()


def _order(entry: Entry) -> tuple[datetime, int, int]:
    topic = entry.record.topic
    return entry.time, TOPICS.index(topic) if topic in TOPICS else len(TOPICS), entry.record.offset


def history_document(history: History) -> dict[str, Any]:
    """A history as JSON. ``searched`` says which offsets were read of those that could hold events of the image."""
    return {
        "job": history.job,
        "image_key": history.image_key,
        "partition": history.partition,
        "complete": history.complete,
        "entries": [_entry_document(entry) for entry in history.entries],
        "searched": [
            {
                "topic": one.topic,
                "partition": one.partition,
                "complete": one.complete,
                "read": [one.offsets.start, one.offsets.stop],
                "of": [one.wanted.start, one.wanted.stop],
            }
            for one in history.searched
        ],
    }


def _entry_document(entry: Entry) -> dict[str, Any]:
    record, event = entry.record, entry.event
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "time": entry.time,
        "written": entry.written,
        "what": event.kind if event is not None else f"mark of {entry.mark_of}" if entry.mark_of else "undecodable",
        "id": None if event is None else str(event.id),
        "source": record.header("ce_source"),
        "redrive": record.header(REDRIVE),
        "problem": entry.problem or None,
        "event": None if event is None else event.model_dump(mode="json"),
    }
