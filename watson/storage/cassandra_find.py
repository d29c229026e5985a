"""Finding images in Cassandra: what is wanted is judged here, so only so many rows are read for one answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from watson.events import ImageCatalogued
from watson.storage.cassandra_images import CassandraImages
from watson.storage.cassandra_ranks import descending
from watson.storage.catalogue import Found, MaskRow
from watson.storage.cursors import Listing, Position, Rank, cursor_of, rank_cursor
from watson.storage.uncertainty import doubt
from watson.storage.wanted import Wanted

__all__ = ["find_by_key", "find_by_uncertainty"]

_LEAST_BATCH = 200  # rows
_IMAGES_WALKED = 2000  # by key: some MB, and about 0.1 s to read their JSON
_MASKS_WALKED = 5000  # of the wanted categories
_RANKS_WALKED = 400  # by uncertainty: each image is a read of its own
_FEW_MASKS = 400  # of the wanted categories in the whole job: cheaper to sort than to search for
_LAST_PLACE = 0x7FFFFFFF  # greater than any mask's place in its image

Place = TypeVar("Place", Position, Rank)


@dataclass(frozen=True, slots=True)
class _Batch(Generic[Place]):
    """What a walk came by, in order.

    Attributes:
        images: that may be wanted, each with its place in the order.
        end: how far the walk has come; None where it has come to its end.
        searched: rows looked at.
    """

    images: list[tuple[Place, ImageCatalogued]]
    end: Place | None
    searched: int


async def find_by_key(images: CassandraImages, job: str, wanted: Wanted, start: Position | None, limit: int) -> Found:
    """Images by key that are wanted, behind ``start``."""
    batch = max(limit + 1, _LEAST_BATCH)
    if wanted.anything:
        walk, most = _by_key(images, job, start, limit + 1), limit + 1
    elif wanted.categories:
        walk, most = _by_category(images, job, wanted, start, batch, limit + 1), _MASKS_WALKED
    else:
        walk, most = _by_key(images, job, start, batch), _IMAGES_WALKED
    return await _search(walk, wanted, limit, most, lambda place: cursor_of(Listing.IMAGES, place))


async def find_by_uncertainty(
    images: CassandraImages, job: str, wanted: Wanted, start: Rank | None, limit: int
) -> Found:
    """Images that are wanted, the most uncertain first, behind ``start``."""
    if wanted.categories and (few := await _few(images, job, wanted)) is not None:
        return _sorted(few, wanted, start, limit)
    return await _search(_by_rank(images, job, start, limit + 1), wanted, limit, _RANKS_WALKED, rank_cursor)


async def _few(images: CassandraImages, job: str, wanted: Wanted) -> list[ImageCatalogued] | None:
    """All images of the wanted categories where they have few masks together; else None."""
    names = sorted(set(wanted.categories))
    lists = await asyncio.gather(*(images.masks(job, name, None, _FEW_MASKS + 1) for name in names))
    if sum(map(len, lists)) > _FEW_MASKS:
        return None
    found = await images.those(job, _candidates(lists, wanted, None))
    return [one[0] for one in found if one is not None]


def _sorted(events: list[ImageCatalogued], wanted: Wanted, start: Rank | None, limit: int) -> Found:
    """The page behind ``start`` of all images that may be wanted."""
    ranked = [(Rank(doubt(event).value, event.image_key), event) for event in events if wanted.admits(event)]
    ranked.sort(key=lambda one: descending(one[0]))
    rest = [one for one in ranked if start is None or descending(one[0]) > descending(start)]
    cursor = rank_cursor(rest[limit - 1][0]) if len(rest) > limit else None
    return Found(items=tuple(event for _, event in rest[:limit]), cursor=cursor)


async def _search(
    walk: AsyncIterator[_Batch[Place]], wanted: Wanted, limit: int, most: int, cursor: Callable[[Place], str]
) -> Found:
    """Goes on until the page is full, the walk has ended or ``most`` rows were looked at."""
    found: list[tuple[Place, ImageCatalogued]] = []
    searched = 0
    async with aclosing(walk) as batches:  # type: ignore[type-var]  # an asynchronous generator
        async for batch in batches:
            found += [one for one in batch.images if wanted.admits(one[1])]
            searched += batch.searched
            items = tuple(event for _, event in found[:limit])
            if len(found) > limit:
                return Found(items=items, cursor=cursor(found[limit - 1][0]))
            if batch.end is None:
                return Found(items=items)
            if searched >= most:
                return Found(items=items, cursor=cursor(batch.end), searched=searched)
    raise AssertionError("a walk says when it has come to its end")


async def _by_key(
    images: CassandraImages, job: str, start: Position | None, size: int
) -> AsyncIterator[_Batch[Position]]:
    while True:
        events = await images.page(job, start, size)
        start = Position(events[-1].image_key) if len(events) == size else None
        yield _Batch([(Position(event.image_key), event) for event in events], start, len(events))
        if start is None:
            return


async def _by_category(
    images: CassandraImages, job: str, wanted: Wanted, start: Position | None, size: int, at_once: int
) -> AsyncIterator[_Batch[Position]]:
    """Walks the masks of each category, all of them up to the same image; reads no more images than a page needs."""
    if start is not None:
        start = Position(start.key, _LAST_PLACE)
    while True:
        lists = await asyncio.gather(*(images.masks(job, name, start, size) for name in sorted(set(wanted.categories))))
        ends = [rows[-1].image_key for rows in lists if len(rows) == size]
        end = min(ends, key=lambda key: key.bytes, default=None)
        keys = _candidates(lists, wanted, end)
        start = None if end is None else Position(end, _LAST_PLACE)
        for first in range(0, max(1, len(keys)), at_once):
            some = keys[first : first + at_once]
            last = first + at_once >= len(keys)
            reach = end if last else some[-1]
            events = [one[0] for one in await images.those(job, some) if one is not None]
            searched = sum(map(len, lists)) if last else 0
            reached = None if reach is None else Position(reach)
            yield _Batch([(Position(event.image_key), event) for event in events], reached, searched)
        if start is None:
            return


def _candidates(lists: list[list[MaskRow]], wanted: Wanted, end: UUID | None) -> list[UUID]:
    """Images up to ``end`` with a mask whose score is wanted; its area is known with the image alone.

    Of the image at ``end`` perhaps not all masks were read: it is always one to look at.
    """
    keys = {
        row.image_key
        for rows in lists
        for row in rows
        if row.image_key == end
        or (
            (end is None or row.image_key.bytes < end.bytes)
            and wanted.least_score <= row.mask.score <= wanted.most_score
        )
    }
    return sorted(keys, key=lambda key: key.bytes)


async def _by_rank(images: CassandraImages, job: str, start: Rank | None, size: int) -> AsyncIterator[_Batch[Rank]]:
    while True:
        entries = await images.ranks.page(job, start, size)
        newest = await images.those(job, [entry.rank.key for entry in entries])
        start = entries[-1].rank if len(entries) == size else None
        yield _Batch(
            [
                (entry.rank, one[0])
                for entry, one in zip(entries, newest, strict=True)
                if one is not None and one[1] == entry.revision  # else it is an outdated revision's entry
            ],
            start,
            len(entries),
        )
        if start is None:
            return
