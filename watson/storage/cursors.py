"""Cursors of pages: where a page ended, as text that goes through a URL. The same for every catalogue.

A cursor names the last row by its key, never by a number of rows or a server's paging state: it stays valid when rows
come and go, when the server restarts, and for as long as anyone keeps it.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NamedTuple, TypeVar
from uuid import UUID

from watson.errors import UserError
from watson.storage.catalogue import Page

__all__ = [
    "LARGEST_PAGE",
    "Listing",
    "Position",
    "Rank",
    "check_limit",
    "cursor_of",
    "page_of",
    "position_of",
    "rank_cursor",
    "rank_of",
]

LARGEST_PAGE = 10_000
"""Rows; keeps a page's memory bounded (some tens of MB)."""

_LAYOUT = struct.Struct(">B16sI")
_RANK_LAYOUT = struct.Struct(">Bd16sH")  # the last two bytes are 0: so that no cursor ends in "="
_RANK = 4  # as the members of `Listing`

Item = TypeVar("Item")


class Listing(IntEnum):
    """What is being paged through; part of the cursor, so that none is taken for another's."""

    IMAGES = 1
    MASKS = 2
    DEAD_LETTERS = 3


class Position(NamedTuple):
    """Key of the last row seen. ``place``: of the mask in its image, else 0."""

    key: UUID
    place: int = 0


def cursor_of(listing: Listing, position: Position) -> str:
    """The position as 28 characters of base64url."""
    packed = _LAYOUT.pack(listing, position.key.bytes, position.place)
    return base64.urlsafe_b64encode(packed).decode()


def position_of(listing: Listing, cursor: str | None) -> Position | None:
    """The inverse of `cursor_of`; None for None, which is the beginning.

    Raises:
        UserError: the cursor is not one that this listing gave out.
    """
    if cursor is None:
        return None
    try:
        kind, key, place = _LAYOUT.unpack(_unpacked(cursor))
    except (UnicodeEncodeError, binascii.Error, struct.error):
        kind, key, place = None, b"", 0
    if kind != listing or place > 0x7FFFFFFF:
        raise _refused(cursor, listing.name.lower().replace("_", " "))
    return Position(UUID(bytes=key), place)


class Rank(NamedTuple):
    """Place of an image in the order of uncertainty, 0–1; of two, the later one in a listing is the lesser."""

    uncertainty: float
    key: UUID


def rank_cursor(rank: Rank) -> str:
    """The rank as 36 characters of base64url."""
    return base64.urlsafe_b64encode(_RANK_LAYOUT.pack(_RANK, rank.uncertainty, rank.key.bytes, 0)).decode()


def rank_of(cursor: str | None) -> Rank | None:
    """The inverse of `rank_cursor`; None for None, which is the beginning.

    Raises:
        UserError: the cursor is not one that this listing gave out.
    """
    if cursor is None:
        return None
    try:
        kind, uncertainty, key, rest = _RANK_LAYOUT.unpack(_unpacked(cursor))
    except (UnicodeEncodeError, binascii.Error, struct.error):
        kind, uncertainty, key, rest = None, 0.0, b"", 0
    if kind != _RANK or rest or not 0 <= uncertainty <= 1:  # also false for NaN
        raise _refused(cursor, "images by uncertainty")
    return Rank(uncertainty, UUID(bytes=key))


def _unpacked(cursor: str) -> bytes:
    return base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)


def _refused(cursor: str, name: str) -> UserError:
    return UserError(f"{cursor[:60]!r} is not a cursor of {name}: pass one that a page of them gave, or none.")


def check_limit(limit: int) -> None:
    """Refuse a page of no rows or of too many.

    Raises:
        UserError: says what is allowed.
    """
    if not 1 <= limit <= LARGEST_PAGE:
        raise UserError(f"limit is {limit}: a page has 1 to {LARGEST_PAGE} rows.")


def page_of(listing: Listing, rows: Sequence[Item], limit: int, position: Callable[[Item], Position]) -> Page[Item]:
    """The page of the first ``limit`` rows; ``rows`` holds one more than that where there are more."""
    items = tuple(rows[:limit])
    cursor = cursor_of(listing, position(items[-1])) if len(rows) > limit else None
    return Page(items=items, cursor=cursor)
