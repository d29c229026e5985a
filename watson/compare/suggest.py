"""Which pictures of a job are most worth a person's time: those in doubt, spread over the categories."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from math import sqrt
from uuid import UUID

from watson.compare.pictures import compared
from watson.compare.side import Side
from watson.events import ImageCatalogued
from watson.storage.in_step import images_of
from watson.storage.uncertainty import Doubt, doubt

__all__ = ["Suggestion", "Suggestions", "choose", "suggest"]

_NOTHING = ""
"""Stands for the category of a picture without masks: those must not fill the list either."""

_OF_A_CATEGORY = 200
"""Pictures of one category that are kept to choose from, beside the most doubtful of all: the choice is exact up to so
many of a category, and memory is bounded however many are asked for."""

_RARE = 0.01


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A picture to look at.

    Attributes:
        worth: what ranked it when it was chosen; greater is better, at most 1.
        categories: of its masks, each once; `_NOTHING` alone where it has none.
    """

    image_key: UUID
    uri: str
    categories: tuple[str, ...]
    doubt: Doubt
    worth: float = 0.0
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suggestions:
    """The pictures chosen, best first; out of how many; and how many of all have each category."""

    chosen: list[Suggestion]
    images: int
    categories: Counter[str]

    @property
    def coverage(self) -> dict[str, tuple[int, int]]:
        """Category → pictures of the job that have it, and how many of them are chosen; the rarest first."""
        chosen = Counter(category for one in self.chosen for category in one.categories)
        names = sorted(self.categories, key=lambda name: (self.categories[name], name))
        return {name: (self.categories[name], chosen[name]) for name in names if name != _NOTHING}


async def suggest(
    side: Side,
    number: int,
    *,
    against: Side | None = None,
    on_progress: Callable[[int], None] = lambda _images: None,
) -> Suggestions:
    """Choose ``number`` pictures of a job. Memory grows with that number and the categories, not with the pictures.

    Args:
        side: the job; its objects are asked for masks only with ``against``.
        number: of pictures to choose, at least 1.
        against: another job over the same pictures, whose disagreement counts too.
        on_progress: told the number of pictures looked at so far.

    Raises:
        Refused: ``OBJECT_MISSING`` or ``OBJECT_ALTERED``; masks are gone or damaged (with ``against``).
        Retriable: the catalogue or the store is unavailable.
    """
    counts: Counter[str] = Counter()
    overall, best = _Best(number), dict[str, _Best]()
    images = 0
    async with aclosing(_doubts(side, against)) as pictures:
        async for event, why in pictures:
            images += 1
            categories = tuple(sorted({mask.category for mask in event.masks})) or (_NOTHING,)
            counts.update(categories)
            one = Suggestion(event.image_key, event.original.uri, categories, why)
            overall.offer(one)
            for category in categories:
                best.setdefault(category, _Best(min(number, _OF_A_CATEGORY))).offer(one)
            on_progress(images)
    pool = {one.image_key: one for heap in (overall, *best.values()) for one in heap.kept()}
    chosen = choose(pool.values(), counts, number)
    return Suggestions([_explained(one, counts, images) for one in chosen], images, counts)


async def _doubts(side: Side, against: Side | None) -> AsyncGenerator[tuple[ImageCatalogued, Doubt]]:
    if against is None:
        async with aclosing(images_of(side.catalogue, side.job)) as events:
            async for event in events:
                yield event, doubt(event)
        return
    async with aclosing(compared(side, against)) as pictures:
        async for one in pictures:
            if one.before is not None:
                yield one.before, doubt(one.before, None if one.pairs is None else one.disagreement)


class _Best:
    """The pictures of one category that are most in doubt; of equals, those whose key comes first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[tuple[float, int, Suggestion]] = []

    def offer(self, one: Suggestion) -> None:
        entry = (one.doubt.value, -one.image_key.int, one)
        if not one.doubt.value:
            return
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        elif entry[:2] > self._heap[0][:2]:
            heapq.heapreplace(self._heap, entry)

    def kept(self) -> Iterable[Suggestion]:
        return (entry[2] for entry in self._heap)


def choose(pool: Iterable[Suggestion], counts: Counter[str], number: int) -> list[Suggestion]:
    """Choose one after the other, so that each choice of a category makes its next one worth less. Pure.

    A picture is worth its doubt × (1 + 1/√n) / 2 / √(1 + k), for the one of its categories that makes most of it, where
    n pictures have the category and k of them are chosen already: the first of a category counts in full, a rare one up
    to twice what a common one does. The same pictures give the same choice, in whatever order they come.

    Args:
        pool: to choose from.
        counts: category → pictures that have it, in the whole job.
        number: to choose at most.
    """
    chosen: list[Suggestion] = []
    taken: Counter[str] = Counter()

    def worth(one: Suggestion) -> float:
        return one.doubt.value * max(
            (1 + 1 / sqrt(max(1, counts[category]))) / 2 / sqrt(1 + taken[category]) for category in one.categories
        )

    heap = [(-worth(one), one.image_key.int, one) for one in pool]
    heapq.heapify(heap)
    while heap and len(chosen) < number:
        stale, key, one = heapq.heappop(heap)
        now = -worth(one)
        if now > stale and heap and (now, key) > heap[0][:2]:
            heapq.heappush(heap, (now, key, one))  # worth less by now than the next: look again later (Minoux 1978)
            continue
        taken.update(one.categories)
        chosen.append(replace(one, worth=-now))
    return chosen


def _explained(one: Suggestion, counts: Counter[str], images: int) -> Suggestion:
    rarest = min(one.categories, key=lambda category: (counts[category], category))
    rare = rarest != _NOTHING and counts[rarest] <= _RARE * images
    more = (f"{rarest} is in {counts[rarest]} of {images} images",) if rare else ()
    return replace(one, reasons=one.doubt.reasons + more)
