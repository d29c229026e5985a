"""How events become cells of a database, the same in every catalogue: JSON with its version, times, revisions."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import orjson
from pydantic import ValidationError

from watson.errors import UserError
from watson.events import Event, JobChanged, MaskRecord, ModelEvaluated, ModelRegistered
from watson.events.upcasts import upcast
from watson.storage.catalogue import JobRow

__all__ = [
    "NO_JOB",
    "WITHDRAWN",
    "dump",
    "evaluations_of",
    "from_micros",
    "job_rows",
    "load",
    "load_mask",
    "micros",
    "models_of",
    "revision",
]

NO_JOB = "-"
"""Stands for the job of an undecodable event that belongs to none; no job can be named so (`watson.events.JobId`)."""

WITHDRAWN = ""
"""Stands for the event of a model version that was withdrawn: no event's text, and less than any."""

STAGES_COUNTED = ("discovered", "preprocessed", "segmented", "catalogued", "quarantined")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SIGN = 1 << 63  # makes times before 1970 sort before those after it, as unsigned bytes

StoredEvent = TypeVar("StoredEvent", bound=Event)


def micros(time: datetime) -> int:
    """Microseconds since 1970 in UTC, exactly (``timestamp()`` would round); ``time`` is aware."""
    return (time - _EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    """The inverse of `micros`, in UTC."""
    return _EPOCH + timedelta(microseconds=value)


def revision(time: datetime, content: str) -> bytes:
    """Order of two writes of one row, as 16 bytes to be compared as bytes: the greater one wins.

    First by time; of two contents with the same microsecond always the same one wins, whichever came first.
    """
    digest = hashlib.blake2b(content.encode(), digest_size=8).digest()
    return struct.pack(">Q", micros(time) + _SIGN) + digest


def dump(event: Event) -> str:
    """The event's JSON with the version of its wire form: ``{"version":1,"data":{…}}``."""
    return f"{_prefix(event.version)}{event.model_dump_json()}}}"


def load(event_type: type[StoredEvent], text: str) -> StoredEvent:
    """The inverse of `dump`; an older version is brought to today's.

    Raises:
        UserError: the row was written by a newer Watson, or is damaged.
    """
    prefix = _prefix(event_type.version)
    try:
        if text.startswith(prefix):  # nearly always; saves a second parse
            return event_type.model_validate_json(text[len(prefix) : -1])
        return _load_other_version(event_type, text)
    except (ValidationError, LookupError, TypeError, ValueError) as exc:
        raise _damaged(event_type.kind, text, exc) from exc


def load_mask(text: str) -> MaskRecord:
    """The mask of a mask row.

    Raises:
        UserError: the row is damaged.
    """
    try:
        return MaskRecord.model_validate_json(text)
    except ValidationError as exc:
        raise _damaged("mask", text, exc) from exc


def _damaged(kind: str, text: str, exc: Exception) -> UserError:
    why = " ".join(str(exc).split())[:300]  # pydantic's message has many lines, a user's has one
    return UserError(
        f"The catalogue holds a damaged {kind} ({text[:80]!r}…): {why}. "
        "Run `watson project rebuild` to write the catalogue anew from the log."
    )


def _prefix(version: int) -> str:
    return f'{{"version":{version},"data":'


def _load_other_version(event_type: type[StoredEvent], text: str) -> StoredEvent:
    stored = orjson.loads(text)
    version = int(stored["version"])
    if version > event_type.version:
        raise UserError(
            f"The catalogue holds {event_type.kind} version {version}; this Watson knows up to {event_type.version}: "
            "upgrade Watson."
        )
    data = upcast(event_type.kind, version, event_type.version, stored["data"])
    return event_type.model_validate_json(orjson.dumps(data))


def job_rows(jobs: Iterable[tuple[str, int | None]], counts: Mapping[str, Mapping[str, int]]) -> list[JobRow]:
    """Rows of jobs, newest submission first.

    Args:
        jobs: the stored `JobChanged` and the newest manifest's time in microseconds. That counts where the event does
            not tell which manifest the job works on; where it is not known either, the event's own time does.
        counts: job → stage → images, summed over partitions. Stages without images count 0.
    """
    rows = []
    for text, submitted in jobs:
        event = load(JobChanged, text)
        at = event.submitted_at or (event.time if submitted is None else from_micros(submitted))
        counted = dict.fromkeys(STAGES_COUNTED, 0) | dict(counts.get(event.job, {}))
        rows.append(JobRow(job=event, submitted_at=at, counts=counted))
    return sorted(rows, key=lambda row: (-micros(row.submitted_at), row.job.job))


def models_of(texts: Iterable[str]) -> list[ModelRegistered]:
    """Model versions, by name and time, without those withdrawn."""
    events = [load(ModelRegistered, text) for text in texts if text != WITHDRAWN]
    return sorted(events, key=lambda event: (event.name, event.time))


def evaluations_of(texts: Iterable[str]) -> list[ModelEvaluated]:
    """Evaluations, by name, time and dataset."""
    events = [load(ModelEvaluated, text) for text in texts]
    return sorted(events, key=lambda event: (event.name, event.time, event.dataset))
