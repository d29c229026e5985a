from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from watson.training.confusion import Confusion

MAPS = st.lists(
    st.tuples(
        arrays(np.int16, (4, 5), elements=st.integers(-1, 3)), arrays(np.int16, (4, 5), elements=st.integers(0, 3))
    ),
    min_size=1,
    max_size=4,
)


def by_sets(maps: list[tuple[np.ndarray, np.ndarray]], label: int) -> float | None:
    """The definition, pixel by pixel."""
    there = {(n, i) for n, (t, _) in enumerate(maps) for i, v in enumerate(t.flat) if v == label}
    found = {
        (n, i)
        for n, (t, f) in enumerate(maps)
        for i, (true, v) in enumerate(zip(t.flat, f.flat, strict=True))
        if v == label and true >= 0
    }
    return len(there & found) / len(there | found) if there | found else None


@given(MAPS)
def test_it_is_intersection_over_union_of_the_pixels_that_are_judged(maps):
    confusion = Confusion(3)
    for truth, found in maps:
        confusion.add(truth, found)
    expected = [by_sets(maps, label) for label in range(4)]
    assert [None if np.isnan(v) else pytest.approx(v) for v in confusion.iou()] == expected
    known = [value for value in expected if value is not None]
    assert confusion.mean_iou() == pytest.approx(np.mean(known) if known else 0)
    things = [value for value in expected[1:] if value is not None]
    assert confusion.mean_iou(background=False) == pytest.approx(np.mean(things) if things else 0)
    merged = [(np.where(t > 0, 1, t), np.where(f > 0, 1, 0)) for t, f in maps]
    assert confusion.foreground_iou() == pytest.approx(by_sets(merged, 1) or 0)


def test_labels_of_other_sizes_are_not_compared():
    with pytest.raises(ValueError, match="cannot be compared"):
        Confusion(1).add(np.zeros((2, 2), np.int16), np.zeros((2, 3), np.int16))
