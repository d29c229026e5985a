"""Objects in an S3 bucket, below a prefix: AWS or any server that speaks S3."""

from __future__ import annotations

from collections.abc import AsyncIterator

from watson.errors import ReasonCode, Refused, Retriable, UserError
from watson.settings import Settings
from watson.storage.keys import checked_key
from watson.storage.objects import ObjectStat
from watson.storage.s3_connection import BucketMissing, S3Connection

__all__ = ["S3ObjectStore"]


class S3ObjectStore:
    """An `ObjectStore` in a bucket. One session and one pool of connections from `open` to `close`."""

    def __init__(self, settings: Settings, bucket: str, prefix: str = "") -> None:
        self._connection = S3Connection(settings)
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    async def open(self) -> None:
        """Connect, and see that the bucket is there.

        Raises:
            UserError: there is no such bucket, or the keys are refused.
            Retriable: the server cannot be reached.
        """
        await self._connection.open()
        try:
            await self._connection.call("list_objects_v2", self._bucket, Prefix=self._prefix, MaxKeys=1)
        except Refused as exc:
            await self.close()
            raise UserError(f"object store: {exc}; make the bucket, or correct WATSON_OBJECTS or the S3 keys") from exc
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the pool."""
        await self._connection.close()

    async def ensure_bucket(self) -> None:
        """Make the bucket where it is missing. Needs no `open` before; doing it twice does no harm.

        Raises:
            Refused: ``ACCESS_DENIED``; or the name is not allowed, or is someone else's.
            Retriable: the server cannot be reached.
        """
        async with self._connection as connection:
            await connection.ensure_bucket(self._bucket)

    async def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """Write all or nothing; an existing object is replaced."""
        name = self._name(key)
        try:
            await self._connection.call("put_object", self._bucket, Key=name, Body=data, ContentType=content_type)
        except BucketMissing as exc:
            raise _bucket_lost(exc) from exc

    async def get(self, key: str, limit: int | None = None) -> bytes:
        """The object's bytes; `Refused` with ``OBJECT_MISSING`` or ``TOO_LARGE``."""
        try:
            return await self._connection.get(self._bucket, self._name(key), limit)
        except BucketMissing as exc:
            raise _bucket_lost(exc) from exc

    async def stat(self, key: str) -> ObjectStat | None:
        """Size and ETag; None where there is no object."""
        try:
            answer = await self._connection.call("head_object", self._bucket, Key=self._name(key))
        except Refused as exc:
            if exc.code is ReasonCode.OBJECT_MISSING:
                return None
            raise
        return ObjectStat(key, answer["ContentLength"], answer["ETag"].strip('"'))

    async def delete(self, key: str) -> None:
        """Remove it; no error where there is none."""
        try:
            await self._connection.call("delete_object", self._bucket, Key=self._name(key))
        except BucketMissing as exc:
            raise _bucket_lost(exc) from exc
        except Refused as exc:
            if exc.code is not ReasonCode.OBJECT_MISSING:
                raise

    async def list(self, prefix: str = "", after: str = "") -> AsyncIterator[list[ObjectStat]]:
        """Pages of at most 1000 objects by the bytes of their keys."""
        start = len(self._prefix)
        pages = self._connection.pages(self._bucket, self._prefix + prefix, self._prefix + after if after else "")
        try:
            async for page in pages:
                if stats := [ObjectStat(o.key[start:], o.size, o.etag) for o in page if not o.key.endswith("/")]:
                    yield stats
        except BucketMissing as exc:
            raise _bucket_lost(exc) from exc

    def _name(self, key: str) -> str:
        return self._prefix + checked_key(key)


def _bucket_lost(exc: BucketMissing) -> Retriable:
    """The bucket was there at `open`: no picture's fault, and someone may bring it back."""
    return Retriable(f"object store: {exc}", ReasonCode.STORE_UNAVAILABLE)
