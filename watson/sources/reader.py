"""Reads the bytes of a picture from where its URI points."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from typing import Self

from watson.errors import ReasonCode, Refused, Retriable
from watson.settings import Settings
from watson.sources.http import HttpReader
from watson.sources.roots import allowed_path, check_opened
from watson.sources.uris import FilePlace, HttpPlace, parse_uri
from watson.storage.s3_connection import S3Connection

__all__ = ["Reader"]

_REFUSALS = {
    errno.ENOENT: ReasonCode.OBJECT_MISSING,
    errno.ENOTDIR: ReasonCode.OBJECT_MISSING,
    errno.EACCES: ReasonCode.ACCESS_DENIED,
    errno.EPERM: ReasonCode.ACCESS_DENIED,
    errno.EISDIR: ReasonCode.SOURCE_INVALID,
    errno.ELOOP: ReasonCode.SOURCE_INVALID,
    errno.ENAMETOOLONG: ReasonCode.SOURCE_INVALID,
    errno.ENXIO: ReasonCode.SOURCE_INVALID,  # a socket
}
"""What is so of the file itself; every other error of the system can pass."""


class Reader:
    """Reads ``file://``, ``s3://`` and, where the settings allow it, ``http(s)://`` URIs, and absolute paths.

    An async context manager, or `open` and `close`.

    The S3 client is made with the first ``s3://`` URI: a worker of local pictures does without.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection = S3Connection(settings)
        self._http = HttpReader(settings)

    async def open(self) -> None:
        """Nothing yet."""

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.close()
        await self._connection.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def read(self, uri: str, limit: int, within: str | None = None) -> bytes:
        """All bytes of the file or object.

        Args:
            uri: as listed.
            limit: most bytes; of a larger one nothing is read, or no more than one byte over the limit.
            within: URI of a directory in which a file must be, links followed; None for anywhere that sources may be.

        Raises:
            Refused: ``OBJECT_MISSING``; ``ACCESS_DENIED``, also by the settings (``source_roots``, ``http_sources``) or
                because it is not in ``within``; ``TOO_LARGE``; ``SOURCE_INVALID`` where the URI is not one that can be
                read, or it names no file.
            Retriable: ``STORE_UNAVAILABLE``.
        """
        place = parse_uri(uri)
        if isinstance(place, FilePlace):
            folder = parse_uri(within) if within is not None else None
            path = folder.path if isinstance(folder, FilePlace) else None
            return await asyncio.to_thread(self._read_file, place.path, limit, path)
        if isinstance(place, HttpPlace):
            return await self._http.read(place.url, limit)
        if not place.key:
            raise Refused(ReasonCode.SOURCE_INVALID, f"{uri} names a bucket, not an object")
        await self._connection.open()
        return await self._connection.get(place.bucket, place.key, limit)

    def _read_file(self, path: str, limit: int, within: str | None = None) -> bytes:
        real = allowed_path(path, self._settings)
        return _read_file(path, real, limit, lambda descriptor: check_opened(path, descriptor, self._settings, within))


def _read_file(path: str, real: str, limit: int, check: Callable[[int], None]) -> bytes:
    try:
        with open(real, "rb", opener=_open_without_waiting) as file:
            check(file.fileno())
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Refused(ReasonCode.SOURCE_INVALID, f"{path!r} is not a file")
            if status.st_size > limit:
                raise Refused(ReasonCode.TOO_LARGE, f"{path!r} has {status.st_size} bytes, more than {limit}")
            data = file.read(status.st_size + 1)
            if len(data) > status.st_size:  # it grew just now
                data += file.read(limit + 1 - len(data))
    except OSError as exc:
        why = f"{path!r}: {exc.strerror}"
        if (code := _REFUSALS.get(exc.errno or 0)) is not None:
            raise Refused(code, why) from exc
        raise Retriable(why, ReasonCode.STORE_UNAVAILABLE) from exc
    if len(data) > limit:
        raise Refused(ReasonCode.TOO_LARGE, f"{path!r} grew while it was read and has more than {limit} bytes")
    return data


def _open_without_waiting(path: str, flags: int) -> int:
    """As `open` does it, but it waits for no writer of a named pipe, and a link put there just now is not followed."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
