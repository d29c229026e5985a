"""The masks object: what goes in comes out, the same masks make the same bytes, and damage is named."""

from __future__ import annotations

import gzip
import json
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco

from watson.errors import ReasonCode, Refused
from watson.model.masks import MaskFile, decode_masks, encode_masks
from watson.model.run_lengths import runs_of
from watson.model.segmenter import Instance, ModelInfo, Segmentation

INFO = ModelInfo("painted", "0123456789ab", "painted", "a" * 64, ("cat", "dog"))
ID = UUID("0b7c0b6e-3a4c-5d0e-9a52-6f8f5d2f7f10")
SHA = "b" * 64

sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
scores = st.floats(0, 1)


@st.composite
def segmentations(draw: st.DrawFn) -> Segmentation:
    size = draw(sizes)
    found = st.builds(
        Instance, st.integers(0, 999), st.text(min_size=1, max_size=12), scores, arrays.arrays(np.bool_, size)
    )
    return Segmentation(tuple(draw(st.lists(found, min_size=1, max_size=4))))


def encoded(segmentation: Segmentation, size: tuple[int, int] | None = None) -> tuple[MaskFile, bytes]:
    height, width = size or segmentation.instances[0].mask.shape
    return encode_masks(segmentation, INFO, segmentation_id=ID, picture_sha256=SHA, width=width, height=height)


def one(mask: np.ndarray, score: float = 0.5) -> Segmentation:
    return Segmentation((Instance(1, "dog", score, mask),))


def altered(data: bytes, **changes: Any) -> bytes:
    return gzip.compress(json.dumps(json.loads(gzip.decompress(data)) | changes).encode())


@given(segmentations())
def test_what_is_encoded_is_decoded(segmentation: Segmentation) -> None:
    file, data = encoded(segmentation)
    back = decode_masks(data)
    assert back == file
    for stored, instance in zip(back.masks, segmentation.instances, strict=True):
        assert np.array_equal(stored.pixels(), instance.mask)
        assert (stored.category_id, stored.category) == (instance.category_id, instance.category)
        assert stored.score == pytest.approx(instance.score, abs=5.1e-5)
        assert stored.area == instance.mask.sum()


@given(segmentations())
def test_the_same_masks_make_the_same_bytes(segmentation: Segmentation) -> None:
    assert encoded(segmentation)[1] == encoded(segmentation)[1]


def test_the_bytes_carry_no_time_and_no_name() -> None:
    header = encoded(one(np.eye(4, dtype=bool)))[1][:10]
    assert header[:8] == b"\x1f\x8b\x08\x00" + bytes(4)  # magic, deflate, no flags (so no name), time 0


def test_the_box_is_in_coco_order() -> None:
    mask = np.zeros((10, 20), dtype=bool)
    mask[2:5, 7:15] = True
    summary = encoded(one(mask))[0].summaries[0]
    assert summary.box == (7, 2, 8, 3)
    assert summary.area == 24


def test_an_empty_mask_has_no_area_and_no_box() -> None:
    summary = encoded(one(np.zeros((3, 4), dtype=bool)))[0].summaries[0]
    assert (summary.area, summary.box) == (0, (0, 0, 0, 0))


def test_a_picture_without_things_has_an_object_without_masks() -> None:
    file, data = encoded(Segmentation(()), (3, 4))
    assert decode_masks(data) == file
    assert file.summaries == ()


def test_the_documented_recipe_reads_an_object_without_watson() -> None:
    mask = np.tri(5, 7, dtype=bool)
    document = json.loads(gzip.decompress(encoded(one(mask))[1]))
    assert np.array_equal(coco.decode(document["masks"][0]["rle"]), mask)


def test_a_mask_of_another_size_is_the_models_failure() -> None:
    with pytest.raises(Refused, match=r"painted@0123456789ab gave a mask of \(3, 3\)") as refused:
        encoded(one(np.ones((3, 3), dtype=bool)), (4, 4))
    assert refused.value.code is ReasonCode.MODEL_FAILED


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_score_that_is_no_probability_is_the_models_failure(score: float) -> None:
    with pytest.raises(Refused, match="score") as refused:
        encoded(one(np.ones((3, 3), dtype=bool), score))
    assert refused.value.code is ReasonCode.MODEL_FAILED


_GOOD = encoded(one(np.eye(4, dtype=bool)))[1]
_MASK = json.loads(gzip.decompress(_GOOD))["masks"][0]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a masks object"),
        (b"not gzip at all", "not a masks object"),
        (_GOOD[:-9], "not a masks object"),
        (_GOOD[:30] + bytes([_GOOD[30] ^ 1]) + _GOOD[31:], "not a masks object"),
        (gzip.compress(b"{"), "document"),
        (altered(_GOOD, format="watson-masks/2"), "format"),
        (altered(_GOOD, surprise=1), "surprise"),
        (altered(_GOOD, width=5), "the picture of"),
        (altered(_GOOD, masks=[_MASK | {"area": 5}]), "area"),
        (altered(_GOOD, masks=[_MASK | {"index": 1}]), "place 0"),
        (altered(_GOOD, masks=[_MASK | {"rle": {"size": [4, 4], "counts": ""}}]), "empty"),
        (altered(_GOOD, masks=[_MASK | {"rle": {"size": [4, 4], "counts": "1"}}]), "the mask has 16"),
        (altered(_GOOD, masks=[_MASK | {"rle": {"size": [4, 4], "counts": "0" * 50}}]), "the mask has 16"),
        (altered(_GOOD, masks=[_MASK | {"rle": {"size": [4, 4], "counts": "ooooooooo0"}}]), "too long"),
        (altered(_GOOD, masks=[_MASK | {"rle": {"size": [4, 4], "counts": "O`0"}}]), "negative"),
        (altered(_GOOD, masks=[_MASK | {"rle": {"size": [4, 4], "counts": "é"}}]), "ASCII"),
    ],
)
def test_a_damaged_object_is_refused_and_the_damage_named(data: bytes, says: str) -> None:
    with pytest.raises(Refused, match=says) as refused:
        decode_masks(data)
    assert refused.value.code is ReasonCode.OBJECT_ALTERED


def test_an_object_that_unpacks_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watson.model.masks._MAX_JSON_BYTES", 1000)
    with pytest.raises(Refused, match="more than 1000 bytes"):
        decode_masks(gzip.compress(bytes(10_000)))


@given(arrays.arrays(np.bool_, sizes))
def test_runs_are_read_as_coco_reads_them(mask: np.ndarray) -> None:
    runs = runs_of(coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode())
    rebuilt = np.repeat(np.arange(runs.size) % 2, runs).reshape(mask.shape, order="F")
    assert np.array_equal(rebuilt, mask)


def test_long_runs_are_read_as_coco_reads_them() -> None:
    mask = np.zeros((3000, 4000), dtype=bool)
    mask[7, 3000] = mask[1500:, 3990:] = True
    runs = runs_of(coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode())
    assert runs.sum() == mask.size
    assert runs[1::2].sum() == mask.sum()
