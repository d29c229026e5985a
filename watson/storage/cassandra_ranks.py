"""The images of a job by uncertainty in Cassandra: an index that says where to look, never what is so.

Each revision of an image has an entry of its own, written before the image and taken away with its revision, at the
same times; whoever reads an entry checks it against the image. So it holds in whatever order writes come.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from watson.events import ImageCatalogued
from watson.storage.cassandra_buckets import in_waves
from watson.storage.cassandra_session import CassandraSession
from watson.storage.cassandra_statements import LEVELS, PARTS, Cql, level_of, part_of
from watson.storage.cursors import Rank
from watson.storage.uncertainty import doubt

__all__ = ["CassandraRanks", "RankedRevision", "descending"]

_WIDEST = 8  # levels read at the same time
_MANY_MASKS = 100  # from here on the uncertainty is computed in a thread: each pair of masks may count


class RankedRevision(NamedTuple):
    """An entry: a revision of an image was so uncertain."""

    rank: Rank
    revision: bytes


class CassandraRanks:
    """Writes and reads the index through a session and its prepared statements."""

    def __init__(self, session: CassandraSession, prepared: dict[str, Any]) -> None:
        self._session = session
        self._prepared = prepared

    async def put(self, event: ImageCatalogued, version: bytes, written: int) -> None:
        """Write the entry of a revision, at ``written`` in microseconds."""
        values = (*await _place(event), version, written)
        await self._session.execute(self._prepared[Cql.PUT_RANK], values)

    async def delete(self, event: ImageCatalogued, version: bytes, written: int) -> None:
        """Take away the entry that was written at ``written``."""
        values = (written, *await _place(event), version)
        await self._session.execute(self._prepared[Cql.DELETE_RANK], values)

    async def page(self, job: str, after: Rank | None, wanted: int) -> list[RankedRevision]:
        """The first ``wanted`` entries behind ``after``, the most uncertain first.

        The first wave is one level, each further one is twice as wide, up to `_WIDEST`.
        """
        first = LEVELS - 1 if after is None else level_of(after.uncertainty)

        async def read(place: tuple[int, int]) -> list[Any]:
            if after is None or place[0] < first:
                return await self._session.execute(self._prepared[Cql.RANKS], (job, *place, wanted))
            return await self._session.execute(self._prepared[Cql.RANKS_AFTER], (job, *place, *after, wanted))

        level = first
        found: list[RankedRevision] = []
        width = 1
        while level >= 0 and len(found) < wanted:
            lowest = max(0, level - width + 1)
            places = [(one, part) for one in range(level, lowest - 1, -1) for part in range(PARTS)]
            entries = [_entry(row) for rows in await in_waves(read, places) for row in rows]
            found += sorted(entries, key=lambda entry: descending(entry.rank))
            level, width = lowest - 1, min(2 * width, _WIDEST)
        return found[:wanted]


async def _place(event: ImageCatalogued) -> tuple[object, ...]:
    found = await asyncio.to_thread(doubt, event) if len(event.masks) > _MANY_MASKS else doubt(event)
    key = event.image_key
    return event.job, level_of(found.value), part_of(key), found.value, key


def _entry(row: Any) -> RankedRevision:
    return RankedRevision(Rank(row.uncertainty, row.image_key), row.revision)


def descending(rank: Rank) -> tuple[float, int]:
    """What to sort ranks by; of two, the later one in a listing has the greater."""
    return -rank.uncertainty, -rank.key.int
