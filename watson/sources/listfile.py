"""A list file, local or in S3, read by block: bounded memory, from any byte on."""

from __future__ import annotations

import asyncio
import codecs
import os
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from watson.errors import ReasonCode, Refused, Retriable, UserError
from watson.settings import Settings
from watson.sources.roots import check_opened
from watson.sources.uris import FilePlace, S3Place, canonical
from watson.storage.s3_connection import S3Connection

__all__ = ["BLOCK", "LINES_AT_ONCE", "LONGEST_LINE", "Line", "ListFile", "lines", "open_list"]

BLOCK = 1 << 20
"""Bytes read at once; of S3, bytes of one range request."""

LONGEST_LINE = 1 << 16
"""Bytes of a line that are kept. No URI is nearly so long; what follows in such a line is passed over."""

LINES_AT_ONCE = 500
"""So many lines, then others get their turn: a block may hold a million of them, none of which is an entry."""

_GZIP = b"\x1f\x8b"


class ListFile(Protocol):
    """Random access to a file that stays the same while it is open."""

    @property
    def name(self) -> str:
        """The file's canonical URI."""
        ...

    async def read(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset`` on; none at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end; ``begin`` and ``end`` are its offsets in the file, the line end included.

    ``cut`` says that it was longer than `LONGEST_LINE`, and that ``raw`` is not all of it.
    """

    raw: bytes
    begin: int
    end: int
    cut: bool = False


async def lines(file: ListFile, begin: int = 0) -> AsyncIterator[Line]:
    """The lines from offset ``begin`` on, where a line must begin. The last may lack its end."""
    held, cut, at, seen = b"", False, begin, 0
    while block := await file.read(at, BLOCK):
        start = 0
        while (end := block.find(b"\n", start)) >= 0:
            raw, after = held + block[start:end], at + end + 1
            yield _line(raw, begin, after, cut=cut)
            seen += 1
            if seen % LINES_AT_ONCE == 0:
                await asyncio.sleep(0)
            held, cut, begin, start = b"", False, after, end + 1
        held += block[start:]
        if len(held) > LONGEST_LINE:
            held, cut = held[:LONGEST_LINE], True
        at += len(block)
    if at > begin:
        yield _line(held, begin, at, cut=cut)


def _line(raw: bytes, begin: int, end: int, *, cut: bool) -> Line:
    if begin == 0:
        raw = raw.removeprefix(codecs.BOM_UTF8)
    return Line(raw[:LONGEST_LINE], begin, end, cut or len(raw) > LONGEST_LINE)


@asynccontextmanager
async def open_list(place: FilePlace | S3Place, settings: Settings) -> AsyncIterator[ListFile]:
    """Open a list, and see that it is text.

    Raises:
        UserError: it does not exist, may not be read, or is not text; says which list.
        Retriable: the store is unavailable.
    """
    name = canonical(place)
    async with AsyncExitStack() as resources:
        try:
            if isinstance(place, FilePlace):
                file: ListFile = await _open_file(place, name, resources, settings)
            else:
                file = await _open_object(place, name, await resources.enter_async_context(S3Connection(settings)))
            start = await file.read(0, 4096)
        except (OSError, Refused) as exc:
            why = exc.strerror if isinstance(exc, OSError) else exc
            raise UserError(f"cannot read the list {name}: {why}") from exc
        if b"\0" in start or start.startswith(_GZIP):
            raise UserError(f"{name} is not a list: it is not plain text in UTF-8 (decompress or convert it first)")
        yield file


@dataclass(frozen=True, slots=True)
class _LocalFile:
    name: str
    descriptor: int

    async def read(self, offset: int, length: int) -> bytes:
        try:
            return await asyncio.to_thread(os.pread, self.descriptor, length, offset)
        except OSError as exc:
            why = f"reading the list {self.name}: {exc.strerror}"
            raise Retriable(why, ReasonCode.STORE_UNAVAILABLE) from exc


@dataclass(frozen=True, slots=True)
class _S3Object:
    name: str
    connection: S3Connection
    place: S3Place
    size: int
    etag: str

    async def read(self, offset: int, length: int) -> bytes:
        if offset >= self.size:  # S3 refuses an empty range
            return b""
        # If-Match: a list that is replaced meanwhile fails here rather than giving lines of two versions.
        return await self.connection.get(
            self.place.bucket, self.place.key, Range=f"bytes={offset}-{offset + length - 1}", IfMatch=self.etag
        )


async def _open_file(place: FilePlace, name: str, resources: AsyncExitStack, settings: Settings) -> _LocalFile:
    # Not blocking: a named pipe without a writer would hold the thread for ever; it is refused instead.
    descriptor = await asyncio.to_thread(os.open, place.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    resources.callback(os.close, descriptor)
    await asyncio.to_thread(check_opened, place.path, descriptor, settings)  # a link may have been put there just now
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise UserError(f"cannot read the list {name}: it is not a file")
    return _LocalFile(name, descriptor)


async def _open_object(place: S3Place, name: str, connection: S3Connection) -> _S3Object:
    found = await connection.call("head_object", place.bucket, Key=place.key)
    return _S3Object(name, connection, place, found["ContentLength"], found["ETag"])
