"""Run lengths from outside: either they are COCO's and fill the mask, or C code never sees them."""

from __future__ import annotations

import gzip
import json
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco
from pydantic import ValidationError

from watson.errors import ReasonCode, Refused
from watson.model.masks import decode_masks
from watson.model.run_lengths import RunLengths, runs_of

SIZES = st.tuples(st.integers(1, 30), st.integers(1, 30))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SIZES.flatmap(lambda size: arrays.arrays(np.bool_, size)))
def test_what_pycocotools_encodes_is_taken_and_decodes_to_the_same_mask(mask: np.ndarray) -> None:
    encoded = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    runs = RunLengths(size=mask.shape, counts=encoded["counts"].decode())
    assert np.array_equal(coco.decode(runs.to_coco()).astype(bool), mask)
    lengths = runs_of(runs.counts)
    assert lengths.sum() == mask.size
    again = np.repeat(np.arange(lengths.size) % 2, lengths).reshape(mask.shape, order="F")
    assert np.array_equal(again.astype(bool), mask)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.tuples(st.integers(-3, 40), st.integers(-3, 40)),
    st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=30) | st.text(max_size=10),
)
def test_whatever_else_comes_is_refused_or_fills_the_mask(size: tuple[int, int], counts: str) -> None:
    try:
        runs = RunLengths(size=size, counts=counts)
    except ValidationError:
        return
    if min(size) > 0:
        pixels = coco.decode(runs.to_coco())
        assert pixels.shape == size
        assert pixels.sum() == coco.area(runs.to_coco()) == runs_of(counts)[1::2].sum()


def _object(**change: object) -> bytes:
    rle = {"size": [2, 2], "counts": "04"}
    mask = {"index": 0, "category_id": 1, "category": "c", "score": 0.5, "area": 4, "box": [0, 0, 2, 2], "rle": rle}
    document = {
        "format": "watson-masks/1", "segmentation_id": str(UUID(int=1)), "picture_sha256": "a" * 64,
        "width": 2, "height": 2, "model": "m@1", "weights_sha256": "b" * 64, "masks": [mask],
    }  # fmt: skip
    return gzip.compress(json.dumps(document | change).encode(), 1)


def test_the_object_that_the_hostile_ones_are_made_of_is_taken() -> None:
    assert decode_masks(_object()).masks[0].pixels().all()


BIG = 2**31
HOSTILE = {
    "a mask of four exapixels": _object(width=BIG, height=BIG),
    "a mask of eighty gigapixels that its runs fill": _object(
        width=100_000, height=800_000, masks=[{"index": 0, "category_id": 1, "category": "c", "score": 0.5, "area": 0,
        "box": [0, 0, 0, 0], "rle": {"size": [800_000, 100_000], "counts": "0"}}],
    ),
    "a hundred thousand masks": _object(masks=[{"index": n} for n in range(100_000)]),
    "arrays in arrays": gzip.compress(b"[" * 1_000_000),
    "not a number": gzip.compress(gzip.decompress(_object()).replace(b"0.5", b"NaN")),
    "a bomb": gzip.compress(b" " * 100_000_000, 1),
    "a bomb in a bomb": gzip.compress(gzip.compress(b" " * 100_000_000)),
    "many members": gzip.compress(b" ") * 100_000,
    "not gzip": b"\x1f\x8b" + b"\0" * 1000,
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_forged_object_is_refused_before_it_costs_memory(what: str) -> None:
    with pytest.raises(Refused) as caught:
        decode_masks(HOSTILE[what])
    assert caught.value.code is ReasonCode.OBJECT_ALTERED
    assert len(str(caught.value)) < 1000
