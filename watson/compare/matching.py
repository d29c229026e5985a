"""Which mask of one picture became which: pairs of masks, by how much they overlap. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_IOU", "SAME_IOU", "Kind", "Pair", "match", "quality"]

LEAST_IOU = 0.5
"""Two masks that overlap less are two things. Source: COCO's and Pascal VOC's evaluation."""

SAME_IOU = 0.9
"""Two masks that overlap so much are one, but for their edges."""


class Kind(StrEnum):
    """What became of a mask. The values stand in JSON and as classes in the page."""

    UNCHANGED = "unchanged"
    SHAPE = "changed-shape"
    CATEGORY = "changed-category"
    GAINED = "gained"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Pair:
    """A mask of the one and a mask of the other that are the same thing; one of them None where it has no partner.

    Attributes:
        before: place in the first list.
        after: place in the second list.
        iou: 0–1; 0 without a partner.
    """

    kind: Kind
    before: int | None
    after: int | None
    iou: float = 0.0


def match(before: Sequence[str], after: Sequence[str], ious: NDArray[np.float64]) -> list[Pair]:
    """Pair masks one to one, best overlap first; masks of one category before those of two.

    So a mask keeps its partner of the same name where there is one, as COCO's evaluation has it (which looks at each
    category for itself), and only what is left over can have changed its category, as in TIDE. Turned round, gained
    masks are lost ones, and all else is the same.
    Source: Lin et al. 2014, "Microsoft COCO"; Bolya et al. 2020, "TIDE: A General Toolbox for Identifying Object
    Detection Errors".

    Args:
        before: category of each mask; compared without regard to capitals, as a job's rules do.
        after: likewise, of the other.
        ious: (len(before), len(after)) float64, 0–1.
    """
    named = [name.casefold() for name in before], [name.casefold() for name in after]
    free = set(range(len(before))), set(range(len(after)))
    pairs: list[Pair] = []
    for same_category in (True, False):
        for i, j in _overlapping(ious):
            if i in free[0] and j in free[1] and (named[0][i] == named[1][j]) is same_category:
                free[0].remove(i)
                free[1].remove(j)
                pairs.append(Pair(_kind(float(ious[i, j]), same_category=same_category), i, j, float(ious[i, j])))
    pairs += [Pair(Kind.LOST, i, None) for i in sorted(free[0])]
    pairs += [Pair(Kind.GAINED, None, j) for j in sorted(free[1])]
    return pairs


def _overlapping(ious: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Places of all that overlap enough, best first.

    Of equals the earlier place comes first. Two that exclude each other share a row or a column, so which of them that
    is does not change when the two lists are swapped.
    """
    places = [(int(i), int(j)) for i, j in np.argwhere(ious >= LEAST_IOU)]
    yield from sorted(places, key=lambda place: (-ious[place], place))


def _kind(iou: float, *, same_category: bool) -> Kind:
    if not same_category:
        return Kind.CATEGORY
    return Kind.UNCHANGED if iou >= SAME_IOU else Kind.SHAPE


def quality(pairs: Sequence[Pair]) -> float:
    """Panoptic quality of one picture over all categories, 0–1.

    The IoU of all pairs of one category, summed, over half of all masks: 1 where both say the same, or neither says
    anything. A mask that changed its category is a false positive and a false negative.
    Source: Kirillov et al. 2019, "Panoptic Segmentation", equation 1: sum of IoU / (TP + FP/2 + FN/2).
    """
    masks = sum((pair.before is not None) + (pair.after is not None) for pair in pairs)
    if not masks:
        return 1.0
    return 2 * sum(pair.iou for pair in pairs if pair.kind in (Kind.UNCHANGED, Kind.SHAPE)) / masks
