"""The formats of lists: lines in, entries out. A line that is wrong becomes an entry that ends in quarantine."""

from __future__ import annotations

import asyncio
import csv
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from watson.errors import UserError
from watson.sources.listfile import LINES_AT_ONCE, LONGEST_LINE, Line, ListFile, lines
from watson.sources.listing import Entry
from watson.sources.uris import unreadable_uri

__all__ = ["CsvRows", "Format", "LineByLine", "json_line", "text_line"]

ToUri = Callable[[str], str]
"""Text of an entry → its URI."""

_BLANKS = b" \t\r\n\v\f"
_MOST_LINES = 100
"""Lines of one CSV row; a quote still open after so many is taken for a mistake in the first of them."""


class Format(Protocol):
    """How entries stand in a list."""

    async def begin(self, file: ListFile) -> int:
        """Read the header where there is one; returns the offset where entries begin.

        Raises:
            UserError: the header is not what it must be.
        """
        ...

    def entries(self, source: AsyncIterator[Line]) -> AsyncIterator[tuple[Entry, Line]]:
        """Each entry, with the last line that it took."""
        ...


@dataclass(frozen=True, slots=True)
class LineByLine:
    """An entry a line. ``read`` gives the entry's URI; None for a line that has none."""

    read: Callable[[bytes, ToUri], str | None]
    to_uri: ToUri

    async def begin(self, file: ListFile) -> int:  # noqa: ARG002 - Format asks for it
        """No header."""
        return 0

    async def entries(self, source: AsyncIterator[Line]) -> AsyncIterator[tuple[Entry, Line]]:
        """See `Format`."""
        async for line in source:
            if line.cut:
                yield Entry(unreadable_uri(f"line of more than {LONGEST_LINE} bytes", line.raw)), line
            elif (uri := self.read(line.raw.strip(_BLANKS), self.to_uri)) is not None:
                yield Entry(uri), line


def text_line(raw: bytes, to_uri: ToUri) -> str | None:
    """A URI or path; blank lines and those that begin with ``#`` say nothing. Blanks around it do not belong to it."""
    return None if not raw or raw.startswith(b"#") else to_uri(raw.decode(errors="surrogateescape"))


def json_line(raw: bytes, to_uri: ToUri) -> str | None:
    """A JSON object whose member ``uri`` is a URI or path; blank lines say nothing."""
    if not raw:
        return None
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return unreadable_uri("line is not JSON", raw)
    uri = value.get("uri") if isinstance(value, dict) else None
    if not isinstance(uri, str) or not uri.strip():
        return unreadable_uri('line has no member "uri" with a text', raw)
    return to_uri(uri)


class CsvRows:
    """A row an entry, columns by name. Quoting is RFC 4180's; a quoted field may go over several lines."""

    def __init__(self, columns: Sequence[str], to_uri: Callable[[Mapping[str, str]], str]) -> None:
        """Take the columns that the header must have, and what makes a URI of their values.

        ``to_uri`` raises ValueError where the values make none.
        """
        self._columns = columns
        self._to_uri = to_uri
        self._places: dict[str, int] = {}

    async def begin(self, file: ListFile) -> int:
        """Find the columns in the header."""
        async for record, fields in _rows(lines(file)):
            names = [name.strip() for name in fields or ()]
            missing = [column for column in self._columns if column not in names]
            if missing:
                found = _shown(", ".join(names)) or "none that can be read"
                raise UserError(f"{file.name} has no column {' and no column '.join(missing)}; its columns: {found}")
            self._places = {column: names.index(column) for column in self._columns}
            return record[-1].end
        raise UserError(f"{file.name} is empty: a CSV list begins with a header that names {', '.join(self._columns)}")

    async def entries(self, source: AsyncIterator[Line]) -> AsyncIterator[tuple[Entry, Line]]:
        """See `Format`."""
        async for record, fields in _rows(source):
            raw = b"\n".join(line.raw for line in record)
            if fields is None:
                uri = unreadable_uri("row is not CSV (quotes do not match, or too long)", raw)
            else:
                uri = self._uri(fields, raw)
            yield Entry(uri), record[-1]

    def _uri(self, fields: Sequence[str], raw: bytes) -> str:
        try:
            return self._to_uri({column: fields[place].strip() for column, place in self._places.items()})
        except IndexError:
            return unreadable_uri(f"row of {len(fields)} fields, fewer than the header's", raw)
        except ValueError as exc:
            return unreadable_uri(str(exc), raw)


def _shown(names: str) -> str:
    """For a message: short, valid Unicode, and the reason where that is not what the list holds."""
    raw = names.encode(errors="surrogateescape")
    shown = raw.decode(errors="backslashreplace")
    why = "" if shown == names else " (not UTF-8: save the list as UTF-8)"
    return shown[:500] + why


async def _rows(source: AsyncIterator[Line]) -> AsyncIterator[tuple[list[Line], list[str] | None]]:
    """Rows that are not blank, with the lines that each took; None for a first line that is not CSV.

    Only that line is given up: those that were read in search of a closing quote are taken for rows of their own.
    """
    waiting: deque[Line] = deque()
    given_up = 0

    async def following() -> Line | None:
        return waiting.popleft() if waiting else await anext(source, None)

    while (line := await following()) is not None:
        record: list[Line] = [line]
        try:
            while (fields := _fields(record)) is None:
                more = await following()
                if more is not None:
                    record.append(more)
                if more is None or len(record) > _MOST_LINES:
                    raise csv.Error("quote is not closed")  # noqa: TRY301 - one place to give up
        except csv.Error:
            waiting.extendleft(reversed(record[1:]))
            yield record[:1], None
            given_up += len(record)
            if given_up > LINES_AT_ONCE:  # read again and again, so `lines` does not count them
                given_up = 0
                await asyncio.sleep(0)
        else:
            if fields:
                yield record, fields


class _OpenQuoteError(Exception):
    """The row goes on in the next line."""


def _fields(record: Sequence[Line]) -> list[str] | None:
    """The fields of one row; None where its last line leaves a quote open.

    Raises:
        csv.Error: quotes do not match, or a line is too long.
    """

    def feed() -> Iterator[str]:
        for line in record:
            if line.cut:
                raise csv.Error("line is too long")
            yield line.raw.decode(errors="surrogateescape") + "\n"
        raise _OpenQuoteError

    try:
        return next(csv.reader(feed(), strict=True))
    except _OpenQuoteError:
        return None
