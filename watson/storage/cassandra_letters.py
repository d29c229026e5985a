"""Dead letters in Cassandra, with an index by reason that says where to look, never what is so."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from watson.events import ImageQuarantined
from watson.storage.cassandra_buckets import rows_across_buckets
from watson.storage.cassandra_session import CassandraSession
from watson.storage.cassandra_statements import Cql, bucket_of
from watson.storage.catalogue import DeadLetterRow
from watson.storage.cursors import Position
from watson.storage.stored import NO_JOB, dump, load, micros

__all__ = ["CassandraLetters"]

_MOST_IDS = 100  # looked up by one statement


class CassandraLetters:
    """Writes and reads dead letters through a session and its prepared statements."""

    def __init__(self, session: CassandraSession, prepared: dict[str, Any]) -> None:
        self._session = session
        self._prepared = prepared

    async def put(self, event: ImageQuarantined, *, resolved: bool, at: datetime | None = None) -> None:
        """Write the letter and its index entry as one mutation.

        Of two writes with the same time Cassandra keeps the greater value of each cell: ``resolved`` stays true.
        """
        job, bucket, written = event.job or NO_JOB, bucket_of(event.id), micros(at or event.time)
        await self._session.execute_together(
            [
                (self._prepared[Cql.PUT_LETTER], (job, bucket, event.id, resolved, dump(event), written)),
                (self._prepared[Cql.PUT_LETTER_REASON], (job, bucket, event.reason.value, event.id, written)),
            ]
        )

    async def one(self, job: str | None, letter: UUID) -> DeadLetterRow | None:
        """The letter with an event id."""
        place = (job or NO_JOB, bucket_of(letter), [letter])
        return next(iter(_letters(await self._session.execute(self._prepared[Cql.LETTERS_BY_ID], place))), None)

    async def page(
        self, job: str | None, reason: str | None, after: Position | None, wanted: int
    ) -> list[DeadLetterRow]:
        """Letters by event id, all or those of one reason."""
        name = job or NO_JOB

        async def all_letters(bucket: int, start: Position | None, limit: int) -> list[DeadLetterRow]:
            rows = await self._slice(Cql.LETTERS, Cql.LETTERS_AFTER, (name, bucket), start, limit)
            return _letters(rows)

        async def letters_of_reason(bucket: int, start: Position | None, limit: int) -> list[DeadLetterRow]:
            found: list[DeadLetterRow] = []
            place = (name, bucket, reason)
            while len(found) < limit:
                ids = await self._slice(Cql.LETTER_IDS, Cql.LETTER_IDS_AFTER, place, start, _MOST_IDS)
                if ids:
                    wanted_ids = [row.id for row in ids]
                    rows = await self._session.execute(self._prepared[Cql.LETTERS_BY_ID], (name, bucket, wanted_ids))
                    found += [letter for letter in _letters(rows) if letter.event.reason == reason]
                if len(ids) < _MOST_IDS:
                    break
                start = Position(ids[-1].id)
            return found[:limit]

        return await rows_across_buckets(all_letters if reason is None else letters_of_reason, after, wanted)

    async def _slice(
        self, first: Cql, following: Cql, place: tuple[object, ...], start: Position | None, limit: int
    ) -> list[Any]:
        if start is None:
            return await self._session.execute(self._prepared[first], (*place, limit))
        return await self._session.execute(self._prepared[following], (*place, start.key, limit))


def _letters(rows: list[Any]) -> list[DeadLetterRow]:
    return [DeadLetterRow(event=load(ImageQuarantined, row.event), resolved=row.resolved) for row in rows]
