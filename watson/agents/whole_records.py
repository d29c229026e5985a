"""Gets the whole of failed records whose dead letters were too small for them: they still stand in the log."""

from __future__ import annotations

from collections.abc import Sequence

from watson.agents.replay import LogReader, open_log
from watson.events import FailedRecord, Record
from watson.settings import Settings

__all__ = ["whole_records"]

_MOST_BYTES = 1_000_000
"""Of a record that is sent again: a producer sends, and a stage takes, no more."""


async def whole_records(settings: Settings, records: Sequence[FailedRecord]) -> tuple[list[FailedRecord], list[str]]:
    """The records with all that was cut off.

    Returns:
        Those that are whole, in their order, and for each of the others one line that says why it is not.

    Raises:
        BrokerUnavailable: no broker answers.
        UserError: the log cannot be read.
    """
    if not any(record.cut for record in records):
        return list(records), []
    whole: list[FailedRecord] = []
    lost: list[str] = []
    async with open_log(settings) as log:
        for record in records:
            found = await _whole(log, record) if record.cut else record
            if isinstance(found, FailedRecord):
                whole.append(found)
            else:
                lost.append(found)
    return whole, lost


async def _whole(log: LogReader, cut: FailedRecord) -> FailedRecord | str:
    """The record; or why there is none."""
    if cut.offset is None:
        return f"a record of {cut.topic}[{cut.partition}] was cut for its dead letter, and its offset is not known"
    place = f"{cut.topic}[{cut.partition}]@{cut.offset}"
    record = await log.record_at(cut.topic, cut.partition, cut.offset)
    if record is None:
        return f"{place} was cut for its dead letter, and is no longer in the log"
    if not _continues(record.key, cut.key) or not _continues(record.value, cut.value):
        return f"{place} was cut for its dead letter, and another record stands there now"
    if (size := _size(record)) > _MOST_BYTES:
        return f"{place} has {size} bytes, more than the {_MOST_BYTES} that can be sent"
    # not its headers there against the letter's: of a record that was sent again, the letter has those of that sending
    return cut.model_copy(update={"key": record.key, "value": record.value, "headers": record.headers, "cut": False})


def _continues(whole: bytes | None, beginning: bytes | None) -> bool:
    if whole is None or beginning is None:
        return whole is beginning
    return whole.startswith(beginning)


def _size(record: Record) -> int:
    headers = sum(len(name.encode()) + len(value) for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers
