"""The history of one image of a job: its events across the topics, with partition and offset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from watson.events import REDRIVE, Event, Record

__all__ = ["Entry", "History", "Searched", "history_document"]

_MOST_EVENT_BYTES = 100_000
"""An event that is larger is told without its body: its place says where all of it stands."""


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
    def body(self) -> dict[str, Any] | None:
        """The event as JSON; None where there is none, or a very large one."""
        if self.event is None or len(self.record.value or b"") > _MOST_EVENT_BYTES:
            return None
        return self.event.model_dump(mode="json")

    @property
    def written(self) -> datetime:
        """The record's timestamp."""
        return datetime.fromtimestamp(self.record.timestamp, UTC)


@dataclass(frozen=True, slots=True)
class Searched:
    """What was read of one topic: ``offsets``, of the ``wanted`` ones since the job's submission."""

    topic: str
    partition: int
    offsets: range
    wanted: range

    @property
    def complete(self) -> bool:
        """Whether all of it was read."""
        return len(self.offsets) == len(self.wanted)


@dataclass(frozen=True, slots=True)
class History:
    """The entries found, oldest first, and where they were looked for; ``more`` were found beyond those kept."""

    job: str
    image_key: UUID
    partition: int
    entries: tuple[Entry, ...]
    searched: tuple[Searched, ...]
    more: int = 0

    @property
    def complete(self) -> bool:
        """Whether no limit was met."""
        return not self.more and all(one.complete for one in self.searched)


def history_document(history: History) -> dict[str, Any]:
    """A history as JSON. ``searched`` says which offsets were read of those that could hold events of the image."""
    return {
        "job": history.job,
        "image_key": history.image_key,
        "partition": history.partition,
        "complete": history.complete,
        "more": history.more,
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
        "event": entry.body,
    }
