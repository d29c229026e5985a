"""A map that says for each pixel what it shows becomes instances: connected components of each category."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from watson.model.segmenter import Segmentation
from watson.model.semantic import SemanticSettings, instances, instances_of_labels

ALL = SemanticSettings(least_area=0, most=10_000)
NAMES = [None, "cat", "dog"]


def probabilities(labels: NDArray[Any], sure: float = 0.9) -> NDArray[np.float32]:
    """Channels of which the labelled one has ``sure`` and the others share the rest."""
    others = np.float32((1 - sure) / 2)
    return np.stack([np.where(labels == channel, np.float32(sure), others) for channel in range(3)]).astype(np.float32)


def found(labels: list[list[int]], settings: SemanticSettings = ALL) -> Segmentation:
    array = np.array(labels)
    height, width = array.shape
    return instances(probabilities(array), NAMES, width=width, height=height, settings=settings)


def test_each_component_is_an_instance_and_corners_touch() -> None:
    areas = sorted(
        (one.category, one.category_id, int(one.mask.sum()))
        for one in found([[1, 0, 2, 2], [0, 1, 0, 0], [0, 0, 0, 1]]).instances
    )
    assert areas == [("cat", 0, 1), ("cat", 0, 2), ("dog", 1, 2)]


def test_components_less_than_the_least_area_are_left_out() -> None:
    labels = [[1, 0, 2, 2], [0, 0, 2, 2]]
    assert [one.category for one in found(labels, SemanticSettings(least_area=0.25)).instances] == ["dog"]
    assert len(found(labels, SemanticSettings(least_area=0.125)).instances) == 2


def test_of_too_many_components_the_largest_are_kept() -> None:
    labels = [[1, 0, 1, 0, 1], [1, 0, 1, 0, 0], [1, 0, 0, 0, 0]]
    kept = found(labels, SemanticSettings(least_area=0, most=2)).instances
    assert sorted(int(one.mask.sum()) for one in kept) == [2, 3]


def test_the_score_is_the_mean_probability_over_the_component_and_the_best_comes_first() -> None:
    values = np.zeros((3, 1, 5), np.float32)
    values[1, 0] = [0.6, 0.8, 0.0, 0.0, 0.9]
    values[0] = 0.5
    one, other = instances(values, NAMES, width=5, height=1, settings=ALL).instances
    assert (one.score, other.score) == (pytest.approx(0.9), pytest.approx(0.7))


def test_scaled_to_the_picture_edges_lie_between_the_maps_pixels() -> None:
    values = np.zeros((3, 1, 2), np.float32)
    values[1, 0, 0] = values[0, 0, 1] = 1
    (cat,) = instances(values, NAMES, width=8, height=4, settings=ALL).instances
    assert np.array_equal(cat.mask, np.broadcast_to(np.arange(8) < 4, (4, 8)))


def test_nothing_but_background_is_no_instance() -> None:
    assert found([[0, 0], [0, 0]]).instances == ()


def test_labels_alone_are_instances_of_score_one() -> None:
    labels = np.array([[1, 0], [0, 2]])
    seen = instances_of_labels(labels, NAMES, width=4, height=4, settings=ALL).instances
    assert {(one.category, one.score, int(one.mask.sum())) for one in seen} == {("cat", 1.0, 4), ("dog", 1.0, 4)}


LABELS = arrays.arrays(np.int64, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 2))


@given(LABELS)
def test_together_the_masks_are_the_map_and_none_overlaps(labels: NDArray[np.int64]) -> None:
    height, width = labels.shape
    for seen in (
        instances(probabilities(labels), NAMES, width=width, height=height, settings=ALL),
        instances_of_labels(labels, NAMES, width=width, height=height, settings=ALL),
    ):
        again = np.zeros_like(labels)
        for one in seen.instances:
            assert one.mask.dtype == np.bool_
            assert not again[one.mask].any()
            again[one.mask] = one.category_id + 1
        assert np.array_equal(again, labels)


@given(arrays.arrays(np.float32, (3, 4, 5), elements=st.floats(0, 1, width=32)), st.integers(1, 20), st.integers(1, 20))
def test_any_map_gives_masks_of_the_pictures_size_best_first(
    values: NDArray[np.float32], width: int, height: int
) -> None:
    seen = instances(values, NAMES, width=width, height=height, settings=ALL).instances
    scores = [one.score for one in seen]
    assert scores == sorted(scores, reverse=True)
    assert all(one.mask.shape == (height, width) and one.mask.any() and 0 <= one.score <= 1 for one in seen)
