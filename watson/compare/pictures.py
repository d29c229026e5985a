"""Two jobs, picture by picture: what each found in it, and which mask became which."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from watson.compare.masks import ious_of, load_masks
from watson.compare.matching import Kind, Pair, match, quality
from watson.compare.side import Side
from watson.events import ImageCatalogued
from watson.storage.in_step import images_in_step
from watson.storage.objects import ObjectStore

__all__ = ["Compared", "compared"]

_Stores = tuple[ObjectStore, ObjectStore]
"""Where the objects of the one and of the other are."""

_AT_ONCE = 16  # pictures whose masks are fetched at once: bounds memory


@dataclass(frozen=True, slots=True)
class Compared:
    """A picture that at least one of the jobs has.

    Attributes:
        before: as the first job has it.
        after: as the second job has it.
        pairs: which mask became which, by places in ``before.masks`` and ``after.masks``; None where only one job has
            the picture, or another picture was in its place when the second job came.
    """

    before: ImageCatalogued | None
    after: ImageCatalogued | None
    pairs: tuple[Pair, ...] | None = None

    @property
    def disagreement(self) -> float:
        """1 less the panoptic quality, 0–1; 0 where there is nothing to compare."""
        return 0.0 if self.pairs is None else 1 - quality(self.pairs)


async def compared(before: Side, after: Side) -> AsyncGenerator[Compared]:
    """Every picture of two jobs, by image key. Memory does not grow with their number.

    Args:
        before: a job; its objects are asked for masks only where the events do not tell all.
        after: another.

    Raises:
        Refused: ``OBJECT_MISSING`` or ``OBJECT_ALTERED``; masks are gone or damaged.
        Retriable: the catalogue or the store is unavailable.
    """
    waiting: list[tuple[ImageCatalogued | None, ...]] = []
    async with aclosing(images_in_step([(before.catalogue, before.job), (after.catalogue, after.job)])) as rows:
        async for row in rows:
            waiting.append(row)
            if len(waiting) == _AT_ONCE:
                for one in await _compare_all(before, after, waiting):
                    yield one
                waiting = []
    for one in await _compare_all(before, after, waiting):
        yield one


async def _compare_all(before: Side, after: Side, rows: list[tuple[ImageCatalogued | None, ...]]) -> list[Compared]:
    return await asyncio.gather(*(_compare((before.objects, after.objects), old, new) for old, new in rows))


async def _compare(objects: _Stores, before: ImageCatalogued | None, after: ImageCatalogued | None) -> Compared:
    if before is None or after is None or before.original.sha256 != after.original.sha256:
        return Compared(before, after)
    known = _by_id(before, after)
    if known is None:
        known = await _by_overlap(objects, before, after)
    return Compared(before, after, tuple(known))


def _by_id(before: ImageCatalogued, after: ImageCatalogued) -> list[Pair] | None:
    """The pairs where no pixel need be looked at: of one segmentation by two sets of rules, or of none at all.

    None where that does not tell: masks are left over on both sides.
    """
    there = {mask.index: place for place, mask in enumerate(after.masks)}
    pairs: list[Pair] = []
    if (before.masks_object, before.masks_sha256) == (after.masks_object, after.masks_sha256):
        for place, mask in enumerate(before.masks):
            if (other := there.pop(mask.index, None)) is not None:
                pairs.append(Pair(Kind.UNCHANGED, place, other, 1.0))
    paired = {pair.before for pair in pairs}
    lost = [Pair(Kind.LOST, place, None) for place in range(len(before.masks)) if place not in paired]
    gained = [Pair(Kind.GAINED, None, place) for place in there.values()]
    return None if lost and gained else pairs + lost + gained


async def _by_overlap(objects: _Stores, before: ImageCatalogued, after: ImageCatalogued) -> list[Pair]:
    old, new = await asyncio.gather(load_masks(objects[0], before), load_masks(objects[1], after))
    ious = await asyncio.to_thread(ious_of, old, new)
    return match([mask.category for mask in before.masks], [mask.category for mask in after.masks], ious)
