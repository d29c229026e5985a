"""All dead letters of a job, however many pages they take."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from watson.storage.catalogue import Catalogue, DeadLetterRow

__all__ = ["every_letter"]

_PAGE = 500


async def every_letter(rows: Catalogue, job: str | None, reason: str | None = None) -> AsyncGenerator[DeadLetterRow]:
    """All of a job, page by page; with ``job`` None, those of undecodable events; of one reason, or of any."""
    cursor: str | None = None
    while True:
        page = await rows.dead_letters(job, reason=reason, after=cursor, limit=_PAGE)
        for row in page.items:
            yield row
        cursor = page.cursor
        if cursor is None:
            return
