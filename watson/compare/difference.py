"""What two jobs over the same pictures found differently, counted; and the pictures on which they differ most."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from watson.compare.matching import Kind
from watson.compare.pictures import Compared, compared
from watson.compare.side import Side
from watson.storage.catalogue import JobRow

__all__ = ["CategoryCounts", "Difference", "difference"]


@dataclass(slots=True)
class CategoryCounts:
    """Masks of one category in the pictures that both jobs have.

    ``became`` counts those of the first job that have another category in the second; ``was`` those of the second that
    had another one in the first. ``overlap`` is the IoU of the pairs that kept their category, summed.
    """

    before: int = 0
    after: int = 0
    unchanged: int = 0
    shape: int = 0
    became: int = 0
    was: int = 0
    gained: int = 0
    lost: int = 0
    overlap: float = 0.0

    @property
    def quality(self) -> float:
        """Panoptic quality of the category over all pictures, 0–1 (Kirillov et al. 2019)."""
        masks = self.before + self.after
        return 2 * self.overlap / masks if masks else 1.0


@dataclass(slots=True)
class Difference:
    """From one job to another.

    Attributes:
        images: number of pictures: ``both`` jobs have them; ``same`` of those with all masks unchanged; ``replaced``,
            where another file was in the place when the second job came: not compared; ``only_before``; ``only_after``.
        masks: of the pictures compared, by kind; a pair counts once.
        categories: by name without regard to capitals, written as it was met first.
        renamed: (category before, category after) → masks.
        largest: the pictures on which they disagree most, most first; those on which they agree are not among them.
        complete: whether all pictures were looked at, not as many as were asked for alone.
    """

    before: JobRow
    after: JobRow
    images: Counter[str] = field(default_factory=Counter)
    masks: Counter[Kind] = field(default_factory=Counter)
    categories: dict[str, CategoryCounts] = field(default_factory=dict)
    renamed: Counter[tuple[str, str]] = field(default_factory=Counter)
    largest: list[Compared] = field(default_factory=list)
    complete: bool = True
    disagreements: float = 0.0
    names: dict[str, str] = field(default_factory=dict)

    def of(self, category: str) -> CategoryCounts:
        """The counts of a category."""
        return self.categories.setdefault(self.name(category), CategoryCounts())

    def name(self, category: str) -> str:
        """How a category is written here."""
        return self.names.setdefault(category.casefold(), category)

    @property
    def disagreement(self) -> float:
        """Mean over the pictures compared, 0–1."""
        return self.disagreements / self.images["both"] if self.images["both"] else 0.0


async def difference(
    before: Side,
    after: Side,
    *,
    most: int = 50,
    limit: int | None = None,
    on_progress: Callable[[int], None] = lambda _images: None,
) -> Difference:
    """Compare two jobs mask by mask.

    Args:
        before: a job.
        after: another, over some of the same pictures.
        most: pictures to keep in ``largest``.
        limit: pictures to look at; those of the lowest image keys, which are as good as drawn by chance. None: all.
        on_progress: told the number of pictures so far.

    Raises:
        Refused: ``OBJECT_MISSING`` or ``OBJECT_ALTERED``; masks are gone or damaged.
        Retriable: the catalogue or the store is unavailable.
    """
    found = Difference(before.row, after.row)
    top, seen = _Largest(most), 0
    async with aclosing(compared(before, after)) as pictures:
        async for one in pictures:
            if seen == limit:
                found.complete = False
                break
            seen += 1
            _count(found, one)
            top.offer(one)
            on_progress(seen)
    found.largest = top.sorted()
    return found


class _Largest:
    """The pictures of the largest disagreement; of equals, those with more masks, then by image key."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[tuple[tuple[float, int, int], Compared]] = []

    def offer(self, one: Compared) -> None:
        if one.before is None or one.pairs is None or not one.disagreement or not self._most:
            return
        rank = (one.disagreement, len(one.pairs), -one.before.image_key.int)
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, (rank, one))
        elif rank > self._heap[0][0]:
            heapq.heapreplace(self._heap, (rank, one))

    def sorted(self) -> list[Compared]:
        return [one for _, one in sorted(self._heap, key=lambda entry: entry[0], reverse=True)]


def _count(found: Difference, one: Compared) -> None:
    if one.before is None:
        found.images["only_after"] += 1
    elif one.after is None:
        found.images["only_before"] += 1
    elif one.pairs is None:
        found.images["replaced"] += 1
    else:
        found.images["both"] += 1
        found.images["same"] += all(pair.kind is Kind.UNCHANGED for pair in one.pairs)
        found.disagreements += one.disagreement
        _count_masks(found, one)


def _count_masks(found: Difference, one: Compared) -> None:
    for pair in one.pairs or ():
        found.masks[pair.kind] += 1
        old = one.before.masks[pair.before].category if one.before and pair.before is not None else None
        new = one.after.masks[pair.after].category if one.after and pair.after is not None else None
        if old is not None:
            counts = found.of(old)
            counts.before += 1
            counts.lost += pair.kind is Kind.LOST
            counts.became += pair.kind is Kind.CATEGORY
            counts.unchanged += pair.kind is Kind.UNCHANGED
            counts.shape += pair.kind is Kind.SHAPE
            counts.overlap += pair.iou if pair.kind in (Kind.UNCHANGED, Kind.SHAPE) else 0.0
        if new is not None:
            counts = found.of(new)
            counts.after += 1
            counts.gained += pair.kind is Kind.GAINED
            counts.was += pair.kind is Kind.CATEGORY
        if old is not None and new is not None and pair.kind is Kind.CATEGORY:
            found.renamed[found.name(old), found.name(new)] += 1
