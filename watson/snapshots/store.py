"""Snapshots in the object store: which there are, and the content of one, checked against its name."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import re
import zlib
from collections import Counter
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import structlog
from pydantic import ValidationError

from watson.errors import ReasonCode, Refused, UserError
from watson.snapshots.content import SnapshotImage, parse_header, parse_image
from watson.snapshots.record import RECORDS, SHORT, Part, Snapshot, id_of_record, record_key
from watson.storage.objects import ObjectStore

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

__all__ = ["find", "load_record", "read", "snapshots"]

log = structlog.get_logger(__name__)

_DIGITS = re.compile(r"[0-9a-f]{4,64}")
_MOST_RECORD_BYTES = 64 * 2**20
_MOST_PART_BYTES = 2**28  # far above any real one, packed or unpacked: what is in the store may be forged
_NAMED = 5
_PARSED_AT_ONCE = 500


async def snapshots(objects: ObjectStore) -> list[Snapshot]:
    """The records of all snapshots, newest first. One that is damaged is passed over, and said so in the log.

    Raises:
        Retriable: the store is unavailable.
    """
    found: list[Snapshot | None] = []
    for snapshot in await _ids(objects, ""):
        try:
            found.append(await load_record(objects, snapshot))
        except Refused as refused:
            if refused.code is not ReasonCode.OBJECT_ALTERED:
                raise
            log.error("a snapshot's record is damaged", why=str(refused))  # noqa: TRY400 - whoever lists goes on
    return sorted(
        (record for record in found if record is not None),
        key=lambda record: (record.created_at, record.id),
        reverse=True,
    )


async def find(objects: ObjectStore, digits: str) -> Snapshot:
    """The record of the snapshot whose id begins with ``digits``, of which four are enough where no other has them.

    Raises:
        UserError: there is none, or several.
        Refused: ``OBJECT_ALTERED``; its record is damaged.
        Retriable: the store is unavailable.
    """
    wanted = digits.lower()
    if not _DIGITS.fullmatch(wanted):
        raise UserError(f"{digits!r} is no snapshot: an id is 64 hexadecimal digits, of which the first few are enough")
    ids = await _ids(objects, wanted)
    if len(ids) > 1:
        named = ", ".join(snapshot[:16] for snapshot in ids[:_NAMED])
        raise UserError(f"several snapshots begin with {digits}: {named}; give more digits")
    record = await load_record(objects, ids[0]) if ids else None
    if record is None:
        raise UserError(f"there is no snapshot {digits}; watson datasets list shows those there are")
    return record


async def load_record(objects: ObjectStore, snapshot: str) -> Snapshot | None:
    """The record of a full id; None where there is none.

    Raises:
        Refused: ``OBJECT_ALTERED``; it is damaged, or another's.
        Retriable: the store is unavailable.
    """
    key = record_key(snapshot)
    try:
        record = Snapshot.model_validate_json(await objects.get(key, _MOST_RECORD_BYTES))
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "document"
        raise Refused(ReasonCode.OBJECT_ALTERED, f"{key} is not a snapshot's record: {where}: {first['msg']}") from exc
    except Refused as exc:
        if exc.code is ReasonCode.OBJECT_MISSING:
            return None
        raise
    if record.id != snapshot:
        raise Refused(ReasonCode.OBJECT_ALTERED, f"{key} is the record of another snapshot, {record.id[:SHORT]}")
    return record


async def read(objects: ObjectStore, snapshot: str | Snapshot) -> AsyncGenerator[SnapshotImage]:
    """The images of a snapshot, by image key: what training and exports read. One part is in memory at a time.

    Each part's hash is checked before its images come; that the parts are the snapshot, when the last one has come.

    Args:
        objects: open.
        snapshot: its record, or the first digits of its id.

    Raises:
        UserError: there is no such snapshot.
        Refused: ``OBJECT_MISSING`` or ``OBJECT_ALTERED``; a part is gone, or the content is not what it is named for.
        Retriable: the store is unavailable.
    """
    record = await find(objects, snapshot) if isinstance(snapshot, str) else snapshot
    content, models, categories = hashlib.sha256(), Counter[str](), Counter[str]()
    for number, part in enumerate(record.parts):
        packed = await objects.get(part.object, _MOST_PART_BYTES)
        lines = await asyncio.to_thread(_lines, packed, part, content)
        if number == 0:
            _check_header(lines[0] if lines else b"", record)
        for place, line in enumerate(lines[1:] if number == 0 else lines):
            if place % _PARSED_AT_ONCE == 0:
                await asyncio.sleep(0)
            image = parse_image(line)
            models[image.model] += 1
            categories.update(mask.category for mask in image.masks)
            yield image
    if content.hexdigest() != record.id:
        raise Refused(
            ReasonCode.OBJECT_ALTERED, f"the content of snapshot {record.short} has sha256 {content.hexdigest()}"
        )
    said = {taken.model: taken.images for taken in record.models}
    counted = (models.total(), categories.total(), dict(models), dict(categories))
    if counted != (record.images, record.masks, said, record.categories):
        raise Refused(
            ReasonCode.OBJECT_ALTERED,
            f"the record of snapshot {record.short} counts other images, masks or categories than its content has",
        )


def _check_header(line: bytes, record: Snapshot) -> None:
    if (dataset := parse_header(line).dataset) != record.dataset:
        raise Refused(
            ReasonCode.OBJECT_ALTERED, f"snapshot {record.short} is of dataset {dataset}, not of {record.dataset}"
        )


def _lines(packed: bytes, part: Part, content: Hash) -> list[bytes]:
    """The lines of a part, each with its line feed; ``content`` is told of them. In a thread."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            text = file.read(min(part.size, _MOST_PART_BYTES) + 1)
    except (OSError, EOFError, zlib.error) as exc:
        raise Refused(ReasonCode.OBJECT_ALTERED, f"{part.object} cannot be unpacked: {exc}") from exc
    if (found := hashlib.sha256(text).hexdigest()) != part.sha256:
        raise Refused(ReasonCode.OBJECT_ALTERED, f"{part.object} unpacks to sha256 {found}, not {part.sha256}")
    content.update(text)
    return text.splitlines(keepends=True)


async def _ids(objects: ObjectStore, digits: str) -> list[str]:
    """Full ids of the snapshots that have a record and begin so."""
    found = [id_of_record(stat.key) async for page in objects.list(RECORDS + digits) for stat in page]
    return [snapshot for snapshot in found if snapshot is not None]
