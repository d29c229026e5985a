"""What a brought network's output means, or in which way it is not what was configured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from watson.model.kinds.brought_output import Instances, Mismatch, Semantic, segmentations
from watson.model.segmenter import Segmentation

NAMES = (None, "cat", "dog")


def semantic(kind: str, array: NDArray[Any], names: Any = NAMES, pictures: int = 1, **settings: Any) -> Segmentation:
    output = Semantic.model_validate({"kind": f"semantic-{kind}", "least_area": 0.0, **settings})
    return segmentations({"out": array}, output, names, pictures=[(4, 6)] * pictures, seen=(2, 3))[0]


def things(outputs: dict[str, Any], picture: tuple[int, int] = (8, 8), **settings: Any) -> Segmentation:
    output = Instances(kind="instances", **settings)
    arrays = {name: np.asarray(value) for name, value in outputs.items()}
    return segmentations(arrays, output, NAMES, pictures=[picture], seen=(8, 8))[0]


def test_logits_become_probabilities() -> None:
    logits = np.zeros((1, 3, 2, 3), np.float32)
    logits[0, 2] = np.log(2)
    (dog,) = semantic("logits", logits).instances
    assert (dog.category, dog.category_id, dog.mask.all()) == ("dog", 1, True)
    assert dog.score == pytest.approx(0.5)


def test_huge_logits_are_no_overflow() -> None:
    logits = np.full((1, 3, 2, 3), -1e30, np.float32)
    logits[0, 1] = 1e30
    assert semantic("logits", logits).instances[0].score == 1
    assert semantic("logits", np.full((1, 1, 2, 3), 1e30, np.float32), names=(None, "cat")).instances[0].score == 1


@pytest.mark.parametrize("names", [(None, "cat"), ("cat", None)])
@pytest.mark.parametrize(("kind", "value"), [("logits", np.log(3)), ("probabilities", 0.75)])
def test_one_channel_is_the_one_category_and_the_rest_background(names: Any, kind: str, value: float) -> None:
    array = np.full((1, 1, 2, 2), value, np.float32)
    array[..., 1] = -value if kind == "logits" else 1 - value
    (cat,) = semantic(kind, array, names=names).instances
    assert cat.score == pytest.approx(0.75 if cat.mask.sum() == 8 else 0.68, abs=0.06)
    assert cat.mask[:, :3].all()
    assert not cat.mask[:, 3:].any()


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3), (1, 1, 2, 3)])
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32])
def test_labels_come_in_any_of_their_shapes(shape: tuple[int, ...], dtype: Any) -> None:
    (cat,) = semantic("labels", np.ones(shape, dtype)).instances
    assert (cat.category, cat.score, cat.mask.all()) == ("cat", 1, True)


@pytest.mark.parametrize(
    ("kind", "array", "said"),
    [
        ("logits", np.zeros((1, 5, 2, 3)), r"5 channels \(its shape is \(5, 2, 3\)\), but the configuration has 3: 2"),
        ("logits", np.zeros((1, 2)), r"is \(C, h, w\), but the output of one picture is \(1, 2\)"),
        ("logits", np.full((1, 3, 2, 3), np.nan), "no finite numbers"),
        ("logits", np.zeros((2, 3, 2, 3)), r"1 pictures went in, but the output's shape is \(2, 3, 2, 3\)"),
        ("probabilities", np.full((1, 3, 2, 3), 4.0), "from 4 to 4: is it logits"),
        ("labels", np.full((1, 2, 3), 3), "labels from 3 to 3, but the configuration has 3"),
        ("labels", np.full((1, 2, 3), -1), "labels from -1 to -1"),
        ("labels", np.full((1, 2, 3), 0.5), "has fractions: is it logits"),
        ("labels", np.zeros((1, 3, 2, 3)), r"map of labels is \(h, w\)"),
    ],
)
def test_another_semantic_output_than_configured_is_told(kind: str, array: NDArray[Any], said: str) -> None:
    with pytest.raises(Mismatch, match=said):
        semantic(kind, array)


def test_an_output_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(Mismatch, match="no output 'map'; there are: out"):
        semantic("logits", np.zeros((1, 3, 2, 3)), name="map")


def masks(*areas: tuple[slice, slice]) -> NDArray[np.float32]:
    made = np.zeros((len(areas), 8, 8), np.float32)
    for number, area in enumerate(areas):
        made[number][area] = 0.9
    return made


LEFT, RIGHT = (slice(None), slice(0, 4)), (slice(None), slice(4, 8))


def test_instances_come_best_first_and_sure_enough() -> None:
    outputs = {"labels": [1, 2, 2, 0], "scores": [0.6, 0.8, 0.4, 0.9], "masks": masks(LEFT, RIGHT, LEFT, LEFT)}
    dog, cat = things(outputs).instances
    assert (dog.category, dog.category_id, dog.score) == ("dog", 1, pytest.approx(0.8))
    assert (cat.category, cat.category_id, cat.score) == ("cat", 0, pytest.approx(0.6))
    assert np.array_equal(cat.mask, np.broadcast_to(np.arange(8) < 4, (8, 8)))
    assert len(things(outputs, most=1).instances) == 1
    assert len(things(outputs, least_score=0.0).instances) == 3
    assert things(outputs, least_area=0.6).instances == ()
    assert things(outputs, mask_threshold=0.95).instances == ()


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 1, 8, 8), (1, 1, 1, 8, 8)])
def test_masks_come_in_any_of_their_shapes(shape: tuple[int, ...]) -> None:
    outputs = {"labels": [[1]], "scores": [[0.9]], "masks": masks(LEFT).reshape(shape)}
    assert things(outputs).instances[0].mask.sum() == 32


def test_no_instances_are_no_mistake() -> None:
    nothing = {"labels": np.zeros(0, np.int64), "scores": np.zeros(0), "masks": np.zeros((0, 8, 8))}
    assert things(nothing).instances == ()


def test_masks_that_fill_boxes_are_pasted_where_these_are() -> None:
    outputs = {
        "labels": [1, 1, 1, 1],
        "scores": [0.9, 0.8, 0.7, 0.6],
        "masks": np.ones((4, 1, 4, 4)),
        "rois": [[2, 4, 6, 8], [-1e9, -1e9, 1e9, 1e9], [20, 20, 30, 30], [3, 3, 3, 3]],
    }
    inside, whole = things(outputs, picture=(16, 8), boxes="rois").instances
    expected = np.zeros((16, 8), np.bool_)
    expected[8:16, 2:6] = True
    assert np.array_equal(inside.mask, expected)
    assert whole.mask.all()


def test_half_a_mask_in_a_box_is_half_the_box() -> None:
    half = np.zeros((1, 4, 4), np.float32)
    half[:, :, :2] = 1
    outputs = {"labels": [2], "scores": [0.9], "masks": half, "boxes": [[0, 0, 8, 8]]}
    (dog,) = things(outputs, boxes="boxes").instances
    assert np.array_equal(dog.mask, np.broadcast_to(np.arange(8) < 4, (8, 8)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"masks": np.zeros((1, 4, 4))}, '4 × 4 pixels, but the input is 8 × 8: where they fill boxes.*"boxes"'),
        ({"masks": np.zeros((2, 8, 8))}, "1 labels, 1 scores, 2 masks"),
        ({"scores": [np.nan]}, "no finite"),
        ({"labels": [7]}, "label 7, but the configuration has 3"),
    ],
)
def test_other_instances_than_configured_are_told(change: dict[str, Any], said: str) -> None:
    with pytest.raises(Mismatch, match=said):
        things({"labels": [1], "scores": [0.9], "masks": masks(LEFT)} | change)
