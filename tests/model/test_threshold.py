"""The stand-in: brightness regions."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from watson.model import threshold

pictures = arrays.arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30), st.just(3)))


def test_dark_and_bright_halves_are_two_masks_the_larger_first() -> None:
    picture = np.zeros((10, 10, 3), np.uint8)
    picture[:, :4] = 255
    found = threshold.load().segment([picture])[0].instances
    assert [(one.category, one.score) for one in found] == [("dark", 0.6), ("bright", 0.4)]
    assert np.array_equal(found[1].mask, picture[..., 0] == 255)


def test_green_is_brighter_than_blue_as_eyes_see_it() -> None:
    picture = np.zeros((1, 2, 3), np.uint8)
    picture[0, 0, 1] = picture[0, 1, 2] = 255
    found = {one.category: one.mask.tolist() for one in threshold.load().segment([picture])[0].instances}
    assert found == {"middling": [[True, False]], "dark": [[False, True]]}


@given(st.lists(pictures, max_size=4))
def test_each_picture_has_one_to_three_disjoint_masks_whatever_its_batch(batch: list[np.ndarray]) -> None:
    model = threshold.load()
    for picture, found in zip(batch, model.segment(batch), strict=True):
        assert 1 <= len(found.instances) <= 3
        assert np.sum([one.mask for one in found.instances], axis=0).max() == 1
        assert [one.score for one in found.instances] == sorted((one.score for one in found.instances), reverse=True)
        alone = model.segment([picture])[0]
        assert all(np.array_equal(a.mask, b.mask) for a, b in zip(found.instances, alone.instances, strict=True))
