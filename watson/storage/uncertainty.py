"""How much a person's look at a picture would tell: by what the model itself doubts, and where another contradicts it.

Pure, and from the catalogue's rows alone: scores, boxes and categories; no pixels. The catalogue keeps images in the
order of this number, and `watson suggest` chooses by it: change it, and catalogues are to be rebuilt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from watson.events import ImageCatalogued, MaskRecord
from watson.events.event import Box

__all__ = ["Doubt", "box_iou", "doubt"]

_SAME_PLACE = 0.5
_NOTHING_FOUND = 0.5
_NOTHING_LET_THROUGH = 1.0
_WORTH_SAYING = 0.05


@dataclass(frozen=True, slots=True)
class Doubt:
    """What speaks for looking at a picture.

    Attributes:
        parts: ``unsure``, ``contested`` and, with another job, ``disagreement``; each 0–1.
        reasons: in words, the strongest first.
    """

    parts: Mapping[str, float]
    reasons: tuple[str, ...]

    @property
    def value(self) -> float:
        """The mean of the parts, 0–1."""
        return fmean(self.parts.values())


def doubt(event: ImageCatalogued, disagreement: float | None = None) -> Doubt:
    """What speaks for looking at a picture.

    ``unsure``: 1 less the mean score of the masks (least confidence). Where none entered the dataset, 1 if the rules
    kept some out, else ½: the picture may well be empty.
    ``contested``: the greatest of 1 less the difference in score, over masks of two categories in one place (margin).
    ``disagreement``: 1 less the panoptic quality against another job's masks.
    Source: Settles 2009, "Active Learning Literature Survey", section 3; Brust et al. 2019, "Active Learning for Deep
    Object Detection", for putting the margins of a picture's instances together.

    Args:
        event: the picture with its masks.
        disagreement: 0–1; None where there is no other job, or it has not this picture.
    """
    said = [_unsure(event), _contested(event.masks)]
    parts = {"unsure": said[0][0], "contested": said[1][0]}
    if disagreement is not None:
        parts["disagreement"] = disagreement
        said.append((disagreement, f"the jobs disagree by {disagreement:.0%}"))
    said.sort(key=lambda entry: -entry[0])  # stable: of equals the first of those above
    return Doubt(parts, tuple(reason for part, reason in said if part >= _WORTH_SAYING))


def _unsure(event: ImageCatalogued) -> tuple[float, str]:
    if event.masks:
        score = fmean(mask.score for mask in event.masks)
        return 1 - score, f"its {len(event.masks)} masks score {score:.0%} on average"
    if event.rejected:
        return _NOTHING_LET_THROUGH, f"none of {event.rejected} masks was let through by the rules"
    return _NOTHING_FOUND, "nothing was found"


def _contested(masks: Sequence[MaskRecord]) -> tuple[float, str]:
    part, reason = 0.0, ""
    best_first = sorted(masks, key=lambda mask: -mask.score)
    for place, one in enumerate(best_first):
        for other in map(best_first.__getitem__, range(place + 1, len(best_first))):
            close = 1 - (one.score - other.score)
            if close <= part:
                break  # nor is any further one closer
            if one.category != other.category and box_iou(one.box, other.box) >= _SAME_PLACE:
                part, reason = close, f"{one.category} {one.score:.0%} or {other.category} {other.score:.0%}"
    return part, reason


def box_iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes (x, y, width, height), 0–1."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)
