"""Looks in the log for what it says of one image of a job.

The catalogue keeps the last event alone. The others stand in the log, in the partition of the image's key, after the
job's submission. They are looked for from where the image had ended: backwards for its way, forwards for what was sent
again later, by turns and within limits. What was not read is said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from watson.agents.ports import partition_of
from watson.agents.replay import LogReader, Place, open_log
from watson.agents.topics import INPUTS, changelog_topic
from watson.errors import Refused, Retriable, UserError
from watson.events import CHAIN, ImageCatalogued, Record, decode
from watson.settings import Settings
from watson.storage.catalogue import JobRow
from watson.web.history import Entry, History, Searched

__all__ = ["Histories"]

_TOPICS = (*CHAIN, "dead-letters")
_MARKING = ("preprocess", "segment", "catalogue")

_GOES_ON = ("listing", "draining", "paused")

_MARGIN = timedelta(seconds=60)
"""That the clocks of two machines may differ, and an event may take to be written."""

_CHUNK = 1000
_MOST_RECORDS = 60_000
_MOST_BYTES = 64_000_000
_MOST_SECONDS = 8.0
_KNOWN_RECORDS = 20_000
_KNOWN_SECONDS = 2.0
_MARK_SECONDS = 2.0
_FETCH_BYTES = 256 << 10
_AT_ONCE = 2

_MOST_ENTRIES = 100


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
        ended = end.time if end is not None else None if job.state in _GOES_ON else job.time
        async with self._at_once:
            try:
                async with open_log(self._settings, _FETCH_BYTES) as log:
                    return await _Search(log, self._settings, job.job, image_key).run(row.submitted_at - _MARGIN, ended)
            except UserError as exc:
                raise Retriable(str(exc)) from exc


@dataclass(slots=True)
class _Window:
    """What is left to read of one place, on both sides of the offset where the image, or its job, had ended."""

    before: range
    after: range

    def take(self, *, back: bool) -> range:
        """The next stretch: the newest of those before, or the oldest of those after."""
        if back:
            chunk, self.before = self.before[-_CHUNK:], self.before[:-_CHUNK]
        else:
            chunk, self.after = self.after[:_CHUNK], self.after[_CHUNK:]
        return chunk

    @property
    def read(self) -> range:
        """What has been taken."""
        return range(self.before.stop, self.after.start)


@dataclass(slots=True)
class _Search:
    """One search, outwards from where the image had ended, until its limits are met."""

    log: LogReader
    settings: Settings
    job: str
    image_key: UUID
    entries: list[Entry] = field(default_factory=list)
    records: int = 0
    size: int = 0
    more: int = 0

    async def run(self, since: datetime, end: datetime | None) -> History:
        partition = partition_of(self._key, self.settings.partitions)
        began = self._clock()
        windows = await self._windows([(topic, partition) for topic in _TOPICS], since, end)
        wanted = {place: range(window.before.start, window.after.stop) for place, window in windows.items()}
        read = {place: window.read for place, window in windows.items()}
        back = True
        while any(window.before or window.after for window in windows.values()) and not self._is_enough(began):
            await self._read({place: window.take(back=back) for place, window in windows.items()}, began)
            if self._clock() - began >= _MOST_SECONDS:  # perhaps not to its end
                break
            read = {place: window.read for place, window in windows.items()}
            back = not back
        await self._add_marks(partition)
        return History(
            job=self.job,
            image_key=self.image_key,
            partition=partition,
            entries=tuple(sorted(self.entries, key=_order)),
            searched=tuple(Searched(*place, read[place], wanted[place]) for place in windows),
            more=self.more,
        )

    def _is_enough(self, began: float) -> bool:
        """Whether a limit is met: a nearer one where the image's way is known, and only repeats could be missing."""
        found = {entry.record.topic for entry in self.entries}
        is_known = found.issuperset(CHAIN) or found.issuperset((CHAIN[0], "dead-letters"))
        records, seconds = (_KNOWN_RECORDS, _KNOWN_SECONDS) if is_known else (_MOST_RECORDS, _MOST_SECONDS)
        return self.more > 0 or self.records >= records or self.size >= _MOST_BYTES or self._clock() - began >= seconds

    async def _windows(self, places: Iterable[Place], since: datetime, end: datetime | None) -> dict[Place, _Window]:
        reach = await self.log.reach(places)
        starts = await self.log.since(reach, since)
        ends = await self.log.since(reach, end + _MARGIN) if end is not None else {}
        windows = {}
        for place, whole in reach.items():
            middle = max(starts[place], ends.get(place, whole.stop))
            windows[place] = _Window(range(starts[place], middle), range(middle, max(middle, whole.stop)))
        return windows

    async def _read(self, chunks: dict[Place, range], began: float) -> None:
        async for record in self.log.stretches(chunks, began + _MOST_SECONDS):
            self.records += 1
            self.size += len(record.value or b"")
            if record.key == self._key:
                self._take(record)

    def _take(self, record: Record) -> None:
        try:
            event = decode(record)
        except Refused as refused:  # of which job it is nobody can tell
            self._keep(Entry(record, None, problem=str(refused)))
            return
        if getattr(event, "job", None) == self.job:
            self._keep(Entry(record, event))

    def _keep(self, entry: Entry) -> None:
        if len(self.entries) < _MOST_ENTRIES:
            self.entries.append(entry)
        else:
            self.more += 1

    async def _add_marks(self, partition: int) -> None:
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
        async for record in self.log.stretches(spans, self._clock() + _MARK_SECONDS):
            if record.key in wanted and record.value is not None:
                self.entries.append(Entry(record, None, mark_of=wanted[record.key]))

    def _changelog(self, role: str) -> str:
        return changelog_topic(role, "marks", self.settings).removeprefix(self.settings.topic_prefix)

    def _clock(self) -> float:
        return asyncio.get_running_loop().time()

    @property
    def _key(self) -> bytes:
        return str(self.image_key).encode()


def _order(entry: Entry) -> tuple[datetime, int, int]:
    topic = entry.record.topic
    return entry.time, _TOPICS.index(topic) if topic in _TOPICS else len(_TOPICS), entry.record.offset
