"""Makes dead letters: the failed record byte for byte, where it stands, and why."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson

from watson import __version__, metrics
from watson.agents.ports import Outbox
from watson.errors import ReasonCode, Refused
from watson.events import FIRST_OFFSET, FailedRecord, ImageEvent, ImageQuarantined, Record, Stage

__all__ = ["failed_record", "image_quarantined", "quarantine_undecodable", "record_quarantined"]

_MESSAGE_LIMIT = 2000
# A letter must fit into a record, or its worker would end at it, and again whenever it is started: a producer sends
# 1,000,000 bytes. Base64 makes 4/3 of bytes, JSON up to six bytes of a character, so these come to 0.9 MB at worst.
_MOST_BYTES = 450_000
_MOST_KEY_BYTES = 10_000
_MOST_HEADERS = 32
_MOST_HEADER_NAME = 256
_MOST_HEADER_BYTES = 4096
_OFFSET = re.compile(r"[0-9]{1,18}")
_JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def failed_record(record: Record) -> FailedRecord:
    """The record as a dead letter keeps it. A value beyond 450 kB is cut: its place in the log says where all is.

    The letter says so, and `watson dead-letters retry` reads all of it there.
    """
    key = record.key[:_MOST_KEY_BYTES] if record.key is not None else None
    value = record.value[:_MOST_BYTES] if record.value is not None else None
    headers = tuple(
        (name[:_MOST_HEADER_NAME], header[:_MOST_HEADER_BYTES]) for name, header in record.headers[:_MOST_HEADERS]
    )
    return FailedRecord(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=key,
        value=value,
        headers=headers,
        cut=(key, value, headers) != (record.key, record.value, record.headers),
    )


def image_quarantined(
    record: Record, event: ImageEvent, stage: Stage, *, reason: ReasonCode, message: str, attempts: int
) -> ImageQuarantined:
    """The dead letter of an image that a stage could not process.

    Of one that vanished, the record is what discover sends again: where it stood is not known.
    """
    original = getattr(event, "original", None)
    failed = failed_record(record)
    if reason is ReasonCode.VANISHED:
        failed = failed.model_copy(update={"offset": None})
    return ImageQuarantined(
        job=event.job,
        image_key=event.image_key,
        uri=original.uri if original is not None else None,
        stage=stage,
        reason=reason,
        message=message[:_MESSAGE_LIMIT],
        failed=failed,
        attempts=attempts,
        code_version=__version__,
    )


def record_quarantined(record: Record, stage: Stage, refused: Refused) -> ImageQuarantined:
    """The dead letter of a record that could not be decoded; names job and image where the raw JSON tells them.

    A record that was sent again and cannot be decoded this time either has the letter that it had: its place is its id.
    """
    job, image, uri = _what_it_tells(record)
    return ImageQuarantined(
        job=job,
        image_key=image if job is not None else None,
        uri=uri,
        stage=stage,
        reason=refused.code,
        message=str(refused)[:_MESSAGE_LIMIT],
        failed=failed_record(replace(record, offset=_first_offset(record))),
        attempts=1,
        code_version=__version__,
    )


async def quarantine_undecodable(outbox: Outbox, record: Record, stage: Stage, refused: Refused) -> str:
    """Send a record that cannot be decoded to the dead letters, into its own partition."""
    letter = record_quarantined(record, stage, refused)
    await outbox.send(letter, partition=record.partition)
    metrics.DEAD_LETTERS.labels(outbox.role, letter.reason.value).inc()
    return "undecodable"


def _first_offset(record: Record) -> int:
    stated = record.header(FIRST_OFFSET)
    if stated is None or not _OFFSET.fullmatch(stated) or int(stated) > record.offset:  # of whatever producer
        return record.offset
    return int(stated)


def _what_it_tells(record: Record) -> tuple[str | None, UUID | None, str | None]:
    try:
        data: Any = orjson.loads(record.value or b"")
    except orjson.JSONDecodeError:
        return None, None, None
    if not isinstance(data, dict):
        return None, None, None
    job = data.get("job")
    original = data.get("original")
    uri = original.get("uri") if isinstance(original, dict) else None
    try:
        image = UUID(data["image_key"])
    except (KeyError, TypeError, ValueError, AttributeError):
        image = None
    known_job = job if isinstance(job, str) and _JOB.fullmatch(job) else None
    return known_job, image, uri[:8192] if isinstance(uri, str) else None
