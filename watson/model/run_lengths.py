"""COCO's compressed run-length encoding of a mask, checked before C code believes it.

pycocotools reads past its buffers when the runs do not add up to the mask's size, so what comes from outside is
checked here first. Source: ``rleFrString`` and ``rleToString`` in cocoapi's ``common/maskApi.c``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["RunLengths", "runs_of"]

_FIRST_CHARACTER = 48
_MORE = 0x20
_PAYLOAD = 0x1F
_SIGN = 0x10
_BITS = 5
_MOST_CHARACTERS = 7  # 35 bits: more than any run of a 32-bit size


class RunLengths(BaseModel):
    """One mask: columns first, runs of 0 and 1 in turn, as COCO writes them in ``segmentation``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: tuple[int, int] = Field(description="height, width in pixels")
    counts: str

    @model_validator(mode="after")
    def _fills_its_size(self) -> RunLengths:
        pixels = self.size[0] * self.size[1]
        if (total := int(runs_of(self.counts).sum())) != pixels:
            raise ValueError(f"the runs are {total} pixels long, the mask has {pixels}")
        return self

    def to_coco(self) -> dict[str, Any]:
        """As pycocotools and COCO's ``segmentation`` member take it."""
        return {"size": list(self.size), "counts": self.counts}


def runs_of(counts: str) -> NDArray[np.int64]:
    """Return the lengths of the runs, in pixels, (N,) int64; the first run is of 0.

    Args:
        counts: COCO's string: five bits a character, the lowest first, a sixth bit where more follow; from the fourth
            run on, the difference to the run two places before.

    Raises:
        ValueError: it is not such a string.
    """
    try:
        characters = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - _FIRST_CHARACTER
    except UnicodeEncodeError as exc:
        raise ValueError("the run lengths have characters that are not ASCII") from exc
    if not characters.size or characters.min() < 0 or characters.max() > (_MORE | _PAYLOAD) or characters[-1] & _MORE:
        raise ValueError("the run lengths are empty, cut off or have characters that COCO does not use")
    ends = np.flatnonzero((characters & _MORE) == 0)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > _MOST_CHARACTERS:
        raise ValueError("a run length is too long")
    place = np.arange(characters.size) - np.repeat(starts, lengths)
    values = np.add.reduceat((characters & _PAYLOAD) << (_BITS * place), starts)
    values -= np.where(characters[ends] & _SIGN, np.int64(1) << (_BITS * lengths), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    if values.min() < 0:
        raise ValueError("a run length is negative")
    return values
