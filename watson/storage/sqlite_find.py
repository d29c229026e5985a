"""Finding images in SQLite: each question walks one index, and stops after so many entries of it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from uuid import UUID

from watson.events import ImageCatalogued
from watson.storage.catalogue import Found
from watson.storage.cursors import Listing, Position, Rank, cursor_of, rank_cursor
from watson.storage.stored import load
from watson.storage.wanted import Wanted

__all__ = ["find_by_key", "find_by_uncertainty"]

_IMAGES_WALKED = 50_000  # with their masks, in the order of keys: about 0.1 s
_MASKS_WALKED = 200_000  # of the wanted categories
_RANKS_WALKED = 10_000  # by uncertainty, where each image's masks must be looked up: about 0.05 s
_EMPTY_WALKED = 200_000  # by uncertainty, for those without masks, which the index itself says
_FEW_MASKS = 10_000  # of the wanted categories in the whole job: cheaper to sort than to search for


@dataclass(frozen=True, slots=True)
class _Keys:
    """One more image key than a page has, or all that were found up to ``end``.

    Attributes:
        keys: 16 bytes each, in order.
        end: the last key looked at, where the walk stopped on its way; None where it reached the end.
        searched: what was walked up to ``end``.
    """

    keys: list[bytes]
    end: bytes | None = None
    searched: int | None = None


def find_by_key(db: sqlite3.Connection, job: str, wanted: Wanted, start: Position | None, limit: int) -> Found:
    """Images by key that are wanted, behind ``start``."""
    after = start.key.bytes if start else b""
    if wanted.anything:
        found = _Keys(_column(db, _ALL, (job, after, limit + 1)))
    elif wanted.nothing:
        found = _Keys(_column(db, _WITH_NOTHING, (job, after, limit + 1)))
    elif wanted.categories:
        found = _by_category(db, job, wanted, after, limit)
    else:
        found = _by_bounds(db, job, wanted, after, limit)
    full = len(found.keys) > limit
    last = found.keys[limit - 1] if full else found.end
    return Found(
        items=_events(db, job, found.keys[:limit]),
        cursor=None if last is None else cursor_of(Listing.IMAGES, Position(UUID(bytes=last))),
        searched=None if full or last is None else found.searched,
    )


_ALL = "SELECT image_key FROM images WHERE job = ? AND image_key > ? ORDER BY image_key LIMIT ?"
_WITH_NOTHING = (
    "SELECT image_key FROM images INDEXED BY images_with_nothing "
    "WHERE job = ? AND masks = 0 AND image_key > ? ORDER BY image_key LIMIT ?"
)
_FAR_IMAGE = "SELECT image_key FROM images WHERE job = ? AND image_key > ? ORDER BY image_key LIMIT 1 OFFSET ?"
_OF_BOUNDS = (
    "SELECT DISTINCT image_key FROM masks INDEXED BY masks_found_by_image "
    "WHERE job = ? AND image_key > ? AND image_key <= ? AND score BETWEEN ? AND ? AND area BETWEEN ? AND ? "
    "ORDER BY image_key LIMIT ?"
)
_FAR_MASK = (
    "SELECT image_key FROM masks INDEXED BY masks_found_by_category "
    "WHERE job = ? AND category = ? AND image_key > ? ORDER BY image_key LIMIT 1 OFFSET ?"
)
_OF_CATEGORY = (
    "SELECT DISTINCT image_key FROM masks INDEXED BY masks_found_by_category "
    "WHERE job = ? AND category = ? AND image_key > ? AND image_key <= ? "
    "AND score BETWEEN ? AND ? AND area BETWEEN ? AND ? ORDER BY image_key LIMIT ?"
)
_BEHIND_ALL = b"\xff" * 17  # greater than any key


def _by_bounds(db: sqlite3.Connection, job: str, wanted: Wanted, after: bytes, limit: int) -> _Keys:
    end = _first(db, _FAR_IMAGE, (job, after, _IMAGES_WALKED - 1))
    values = (job, after, _BEHIND_ALL if end is None else end, *_bounds(wanted), limit + 1)
    return _Keys(_column(db, _OF_BOUNDS, values), end, _IMAGES_WALKED)


def _by_category(db: sqlite3.Connection, job: str, wanted: Wanted, after: bytes, limit: int) -> _Keys:
    """Walks the masks of each category, all of them up to the same key."""
    names = sorted(set(wanted.categories))
    each = _MASKS_WALKED // len(names)
    end = None
    if wanted.bounded:  # else whatever is walked is found
        ends = (_first(db, _FAR_MASK, (job, name, after, each - 1)) for name in names)
        end = min((far for far in ends if far is not None), default=None)
    until = _BEHIND_ALL if end is None else end
    lists = [_column(db, _OF_CATEGORY, (job, name, after, until, *_bounds(wanted), limit + 1)) for name in names]
    keys = [key for key, _ in groupby(merge(*lists))]
    return _Keys(keys[: limit + 1], end, each)


def find_by_uncertainty(db: sqlite3.Connection, job: str, wanted: Wanted, start: Rank | None, limit: int) -> Found:
    """Images that are wanted, the most uncertain first, behind ``start``."""
    after = (start.uncertainty, start.key.bytes) if start else _MOST_UNCERTAIN
    condition, values = _condition(wanted)
    if wanted.categories and _few(db, job, wanted):
        rows = db.execute(f"{_RANKS_OF_MASKS}{condition}{_RANKED}", (job, *after, *values, limit + 1)).fetchall()
        return _ranked(db, job, rows, limit, None, 0)
    most = _EMPTY_WALKED if wanted.nothing else _RANKS_WALKED
    end = None if wanted.anything else db.execute(_FAR_RANK, (job, *after, most - 1)).fetchone()
    if wanted.about_masks:
        condition = f"{_WITH_A_MASK}{condition})"
    query = f"{_RANKS}{condition}{_RANKED}"
    rows = db.execute(query, (job, *after, *(end or _LEAST_UNCERTAIN), *values, limit + 1)).fetchall()
    return _ranked(db, job, rows, limit, end, most)


_MOST_UNCERTAIN, _LEAST_UNCERTAIN = (2.0, b""), (-1.0, b"")  # before and behind every image
_RANKED = " ORDER BY i.uncertainty DESC, i.image_key DESC LIMIT ?"
_FAR_RANK = (
    "SELECT i.uncertainty, i.image_key FROM images i INDEXED BY images_by_uncertainty "
    "WHERE i.job = ? AND (i.uncertainty, i.image_key) < (?, ?) "
    "ORDER BY i.uncertainty DESC, i.image_key DESC LIMIT 1 OFFSET ?"
)
_RANKS = (
    "SELECT i.uncertainty, i.image_key FROM images i INDEXED BY images_by_uncertainty "
    "WHERE i.job = ? AND (i.uncertainty, i.image_key) < (?, ?) AND (i.uncertainty, i.image_key) >= (?, ?)"
)
_WITH_A_MASK = " AND EXISTS (SELECT 1 FROM masks m WHERE m.job = i.job AND m.image_key = i.image_key"
_RANKS_OF_MASKS = (
    "SELECT DISTINCT i.uncertainty, i.image_key FROM masks m INDEXED BY masks_found_by_category "
    "CROSS JOIN images i ON i.job = m.job AND i.image_key = m.image_key "  # CROSS: in this order
    "WHERE m.job = ? AND (i.uncertainty, i.image_key) < (?, ?)"
)


def _ranked(
    db: sqlite3.Connection,
    job: str,
    rows: list[tuple[float, bytes]],
    limit: int,
    end: tuple[float, bytes] | None,
    searched: int,
) -> Found:
    full = len(rows) > limit
    last = rows[limit - 1] if full else end
    return Found(
        items=_events(db, job, [key for _, key in rows[:limit]]),
        cursor=None if last is None else rank_cursor(Rank(last[0], UUID(bytes=last[1]))),
        searched=None if full or last is None else searched,
    )


def _few(db: sqlite3.Connection, job: str, wanted: Wanted) -> bool:
    counted = 0
    for name in set(wanted.categories):
        query = "SELECT count(*) FROM (SELECT 1 FROM masks WHERE job = ? AND category = ? LIMIT ?)"
        counted += db.execute(query, (job, name, _FEW_MASKS + 1 - counted)).fetchone()[0]
        if counted > _FEW_MASKS:
            return False
    return True


def _condition(wanted: Wanted) -> tuple[str, tuple[object, ...]]:
    """What must hold for an image ``i`` or for a mask ``m`` of it."""
    if wanted.anything:
        return "", ()
    if wanted.nothing:
        return " AND i.masks = 0", ()
    names = f" AND m.category IN ({', '.join('?' * len(wanted.categories))})" if wanted.categories else ""
    return f"{names} AND m.score BETWEEN ? AND ? AND m.area BETWEEN ? AND ?", (*wanted.categories, *_bounds(wanted))


def _bounds(wanted: Wanted) -> tuple[float, float, float, float]:
    return wanted.least_score, wanted.most_score, wanted.least_area, wanted.most_area


def _events(db: sqlite3.Connection, job: str, keys: list[bytes]) -> tuple[ImageCatalogued, ...]:
    """The images with these keys. One whose row is gone, and its masks' rows are not, is left out: audits tell."""
    query = "SELECT event FROM images WHERE job = ? AND image_key = ?"
    rows = (db.execute(query, (job, key)).fetchone() for key in keys)
    return tuple(load(ImageCatalogued, row[0]) for row in rows if row is not None)


def _column(db: sqlite3.Connection, query: str, values: tuple[object, ...]) -> list[bytes]:
    return [row[0] for row in db.execute(query, values)]


def _first(db: sqlite3.Connection, query: str, values: tuple[object, ...]) -> bytes | None:
    row = db.execute(query, values).fetchone()
    return row[0] if row else None
