"""Images and their masks in Cassandra: one mutation an image, and the newest revision wins in whatever order.

Each revision of an image (in practice one; another where the same image of the same job was catalogued again) has its
own rows, which no other revision overwrites. A writer first writes its rows, then looks which revisions there are, and
takes away all but the newest. Of two writers at the same time at least one sees both, since each looks after its own
write and reads and writes go to quorums. What is taken away is deleted at its own timestamp: the deletion also covers
a write of the same rows that comes later, and never anything newer. That timestamp is the event's time, or that of the
repair that wrote the rows again. The entry by uncertainty of each revision comes and goes likewise.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from watson.events import ImageCatalogued
from watson.storage.cassandra_buckets import in_waves, rows_across_buckets
from watson.storage.cassandra_ranks import CassandraRanks
from watson.storage.cassandra_session import CassandraSession
from watson.storage.cassandra_statements import BUCKETS, Cql, bucket_of
from watson.storage.catalogue import MaskRow
from watson.storage.cursors import Position
from watson.storage.stored import dump, load, load_mask, micros, revision

__all__ = ["CassandraImages"]

Statements = list[tuple[Any, tuple[object, ...]]]

_COUNT_SECONDS = 60.0  # for the masks of one partition: some tens of MB at worst
_BUCKETS_READ = 8  # whole partitions in memory at the same time


class CassandraImages:
    """Writes and reads images and masks through a session and its prepared statements."""

    def __init__(self, session: CassandraSession, prepared: dict[str, Any]) -> None:
        self._session = session
        self._prepared = prepared
        self.ranks = CassandraRanks(session, prepared)

    async def put(self, event: ImageCatalogued, at: datetime | None = None) -> None:
        """Write the image and its masks, then take away older revisions.

        Args:
            event: what the rows say.
            at: when a repair said it again: the rows are the same, but written later than what deleted them.
        """
        await self.ranks.put(event, revision(event.time, dump(event)), micros(at or event.time))
        await self._session.execute_together(self._insertions(event, at))
        place = (event.job, bucket_of(event.image_key), event.image_key)
        revisions = [row.revision for row in await self._session.execute(self._prepared[Cql.REVISIONS], place)]
        for outdated in revisions[1:]:  # newest first, as they are clustered
            for row in await self._session.execute(self._prepared[Cql.REVISION], (*place, outdated)):
                older = load(ImageCatalogued, row.event)
                await self.ranks.delete(older, outdated, row.written)
                await self._session.execute_together(self._deletions(older, outdated, row.written))

    async def one(self, job: str, key: UUID) -> ImageCatalogued | None:
        """The newest revision of one image."""
        rows = await self._session.execute(self._prepared[Cql.IMAGE], (job, bucket_of(key), key))
        return load(ImageCatalogued, rows[0].event) if rows else None

    async def those(self, job: str, keys: Sequence[UUID]) -> list[tuple[ImageCatalogued, bytes] | None]:
        """The newest revision of each image; None where there is none."""

        async def read(key: UUID) -> list[Any]:
            return await self._session.execute(self._prepared[Cql.IMAGE_REVISION], (job, bucket_of(key), key))

        found = await in_waves(read, keys)

        def loaded() -> list[tuple[ImageCatalogued, bytes] | None]:
            return [(load(ImageCatalogued, rows[0].event), rows[0].revision) if rows else None for rows in found]

        return await asyncio.to_thread(loaded)

    async def page(self, job: str, after: Position | None, wanted: int) -> list[ImageCatalogued]:
        """Images by key."""

        async def fetch(bucket: int, start: Position | None, limit: int) -> list[Any]:
            if start is None:
                return await self._session.execute(self._prepared[Cql.IMAGES], (job, bucket, limit))
            return await self._session.execute(self._prepared[Cql.IMAGES_AFTER], (job, bucket, start.key, limit))

        rows = await rows_across_buckets(fetch, after, wanted)
        return await asyncio.to_thread(lambda: [load(ImageCatalogued, row.event) for row in rows])

    async def masks(self, job: str, category: str, after: Position | None, wanted: int) -> list[MaskRow]:
        """Masks of a category by image key and place in the image."""

        async def fetch(bucket: int, start: Position | None, limit: int) -> list[Any]:
            place = (job, bucket, category)
            if start is None:
                return await self._session.execute(self._prepared[Cql.MASKS], (*place, limit))
            return await self._session.execute(self._prepared[Cql.MASKS_AFTER], (*place, *start, limit))

        rows = await rows_across_buckets(fetch, after, wanted)
        return _mask_rows(job, rows)

    async def mask_rows(self, job: str) -> AsyncIterator[list[MaskRow]]:
        """All mask rows, partition by partition, some partitions at a time."""

        async def read(bucket: int) -> list[Any]:
            return await self._session.execute(self._prepared[Cql.MASK_ROWS], (job, bucket), seconds=_COUNT_SECONDS)

        for first in range(0, BUCKETS, _BUCKETS_READ):
            for rows in await in_waves(read, range(first, min(first + _BUCKETS_READ, BUCKETS))):
                if rows:
                    yield await asyncio.to_thread(_mask_rows, job, rows)

    async def categories(self, job: str) -> dict[str, int]:
        """Number of masks by category: counted by the server, partition by partition, at each call."""

        async def count(bucket: int) -> list[Any]:
            query = self._prepared[Cql.CATEGORIES]
            return await self._session.execute(query, (job, bucket), seconds=_COUNT_SECONDS)

        total: Counter[str] = Counter()
        for rows in await in_waves(count, range(BUCKETS)):
            total.update({row.category: row.count for row in rows})
        return dict(sorted(total.items()))

    def _insertions(self, event: ImageCatalogued, again: datetime | None = None) -> Statements:
        text = dump(event)
        version, at = revision(event.time, text), micros(again or event.time)
        job, key, bucket = event.job, event.image_key, bucket_of(event.image_key)
        image = (self._prepared[Cql.PUT_IMAGE], (job, bucket, key, version, text, at))
        put_mask = self._prepared[Cql.PUT_MASK]
        return [image] + [
            (put_mask, (job, bucket, mask.category, key, mask.index, version, mask.model_dump_json(), at))
            for mask in event.masks
        ]

    def _deletions(self, event: ImageCatalogued, version: bytes, at: int) -> Statements:
        job, key, bucket = event.job, event.image_key, bucket_of(event.image_key)
        image = (self._prepared[Cql.DELETE_IMAGE], (at, job, bucket, key, version))
        delete_mask = self._prepared[Cql.DELETE_MASK]
        return [image] + [
            (delete_mask, (at, job, bucket, mask.category, key, mask.index, version)) for mask in event.masks
        ]


def _mask_rows(job: str, rows: list[Any]) -> list[MaskRow]:
    return [MaskRow(job=job, image_key=row.image_key, mask=load_mask(row.mask)) for row in rows]
