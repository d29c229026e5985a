"""The pictures that did not enter the dataset, and why: ``quarantine.json`` and the gallery's section."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import orjson

from watson.events import ImageQuarantined
from watson.export.names import file_name
from watson.storage.catalogue import Catalogue

__all__ = ["Quarantine", "write_quarantine"]

_PAGE = 200
_FILES_KEPT = 5


class Quarantine:
    """What the summary and the gallery say of quarantined pictures.

    Attributes:
        reasons: reason code → number of pictures.
        files: reason code → names of the first few.
        entries: the first letters, for the gallery.
    """

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.files: dict[str, list[str]] = {}
        self.entries: list[Mapping[str, Any]] = []

    @property
    def pictures(self) -> int:
        """Number of distinct quarantined pictures."""
        return self.reasons.total()


async def write_quarantine(catalogue: Catalogue, job: str, path: Path, *, gallery_limit: int) -> Quarantine:
    """Write all unresolved dead letters of a job to ``path``, and count them.

    A picture counts once, by its first letter, even where several stages wrote one.
    """
    quarantine = Quarantine()
    seen: set[UUID] = set()
    with path.open("wb") as out:
        out.write(b"[")
        cursor: str | None = None
        while True:
            page = await catalogue.dead_letters(job, after=cursor, limit=_PAGE)
            for row in page.items:
                if not row.resolved:
                    _write(out, row.event, quarantine, seen, gallery_limit)
            if (cursor := page.cursor) is None:
                break
        out.write(b"\n]\n")
    return quarantine


def _write(out: BinaryIO, event: ImageQuarantined, quarantine: Quarantine, seen: set[UUID], gallery_limit: int) -> None:
    entry = _entry(event)
    out.write(b",\n" if out.tell() > 1 else b"\n")
    out.write(orjson.dumps(entry))
    picture = event.image_key or event.id
    if picture in seen:
        return
    seen.add(picture)
    reason = event.reason.value
    quarantine.reasons[reason] += 1
    files = quarantine.files.setdefault(reason, [])
    if len(files) < _FILES_KEPT:
        files.append(entry["file"])
    if len(quarantine.entries) < gallery_limit:
        quarantine.entries.append(entry)


def _entry(event: ImageQuarantined) -> dict[str, Any]:
    failed = event.failed
    return {
        "file": file_name(event.uri) if event.uri else event.key,
        "uri": event.uri,
        "image_key": str(event.image_key) if event.image_key else None,
        "stage": event.stage,
        "reason": event.reason.value,
        "message": event.message,
        "attempts": event.attempts,
        "code_version": event.code_version,
        "record": {"topic": failed.topic, "partition": failed.partition, "offset": failed.offset},
    }
