from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from watson.training.augment import scaled, variant
from watson.training.labelled import IGNORED


def labelled(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture whose red is 200 where the label is 1, and 20 elsewhere."""
    labels = np.zeros((height, width), np.int16)
    labels[height // 4 : height // 2 + 1, width // 4 : width // 2 + 1] = 1
    picture = np.full((height, width, 3), 20, np.uint8)
    picture[labels == 1] = (200, 20, 20)
    return picture, labels


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 90), seed=st.integers(0, 2**31))
def test_a_variant_is_a_window_of_the_side_whatever_the_picture(height, width, seed):
    picture, labels = variant(*labelled(height, width), 32, np.random.default_rng(seed))
    assert picture.shape == (32, 32, 3)
    assert picture.dtype == np.uint8
    assert labels.shape == (32, 32)
    assert labels.dtype == np.int16
    assert set(np.unique(labels)) <= {IGNORED, 0, 1}


@given(seed=st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_labels_stay_with_what_they_label(seed):
    picture, labels = variant(*labelled(64, 64), 64, np.random.default_rng(seed))
    red = picture[..., 0].astype(int) - picture[..., 1] > 60  # light changes, but not that much
    judged = labels != IGNORED
    assert (red[judged] == (labels[judged] == 1)).mean() > 0.95


def test_the_same_seed_gives_the_same_variant_and_another_another():
    pictures = [variant(*labelled(64, 64), 64, np.random.default_rng(seed))[0] for seed in (1, 1, 2)]
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_what_has_the_size_already_stays_as_it_is():
    picture, labels = labelled(32, 64)
    same = scaled(picture, labels, (64, 32))
    assert same[0] is picture
    assert same[1] is labels
    assert scaled(picture, labels, (32, 64))[1].shape == (64, 32)
