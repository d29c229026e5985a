"""Where pictures and masks live: keys and bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

__all__ = ["ObjectStat", "ObjectStore"]


@dataclass(frozen=True, slots=True)
class ObjectStat:
    """What a store says of an object without its bytes. ``size`` in bytes."""

    key: str
    size: int
    etag: str


class ObjectStore(Protocol):
    """Bytes under keys. A key is relative, ``/``-separated; content addresses make every put idempotent.

    All methods raise `Retriable` (store unavailable, after the client's own quick retries) or `Refused`
    (``ACCESS_DENIED``).
    """

    async def open(self) -> None:
        """Get ready; for S3: make the one session and its pool."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...

    async def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """Write all or nothing; a reader never sees half an object. An existing object is replaced."""
        ...

    async def get(self, key: str, limit: int | None = None) -> bytes:
        """The object's bytes.

        Raises:
            Refused: ``OBJECT_MISSING``; ``TOO_LARGE`` where it has more than ``limit`` bytes (read no further).
        """
        ...

    async def stat(self, key: str) -> ObjectStat | None:
        """What is known of the object; None where there is none."""
        ...

    async def delete(self, key: str) -> None:
        """Remove it; no error where there is none."""
        ...

    def list(self, prefix: str = "", after: str = "") -> AsyncIterator[list[ObjectStat]]:
        """Pages of objects whose key begins with ``prefix`` and sorts (by UTF-8 bytes) after ``after``, in order."""
        ...
