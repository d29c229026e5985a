"""A bucket, or a prefix of it, as a source. The cursor is the last key."""

from __future__ import annotations

from collections.abc import AsyncIterator

from watson.errors import Refused, UserError
from watson.sources.listing import Batch, Entry
from watson.sources.uris import S3Place, s3_uri
from watson.storage.s3_connection import S3Connection

__all__ = ["S3Lister"]


class S3Lister:
    """Lists all objects whose key begins with the place's key, as S3 sorts them.

    A prefix is S3's own: ``s3://bucket/train`` also lists ``training/…``; end it in ``/`` to mean a folder. Keys that
    end in ``/`` are folders made by consoles, and skipped.
    """

    def __init__(self, connection: S3Connection, place: S3Place) -> None:
        self._connection = connection
        self._place = place

    async def batches(self, cursor: str | None, page_size: int) -> AsyncIterator[Batch]:
        """See `Lister`."""
        bucket, prefix = self._place.bucket, self._place.key
        try:
            async for page in self._connection.pages(bucket, prefix, cursor or "", page_size):
                entries = tuple(Entry(s3_uri(bucket, o.key), o.size, o.etag) for o in page if not o.key.endswith("/"))
                if entries:
                    yield Batch(entries, page[-1].key)
        except Refused as exc:
            raise UserError(f"cannot list s3://{bucket}/{prefix}: {exc}") from exc
