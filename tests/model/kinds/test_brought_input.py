"""How a picture goes into a brought network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from watson.model.kinds.brought_input import Input, batch_of, input_size

RED = np.full((4, 6, 3), (255, 0, 51), np.uint8)


def test_pixels_are_scaled_then_normalised_a_colour_at_a_time() -> None:
    settings = Input(width=6, height=4, mean=(0.5, 0.25, 0.2), std=(0.5, 1.0, 2.0))
    (values,) = batch_of([RED], settings)
    assert values.shape == (3, 4, 6)
    assert values.dtype == np.float32
    assert values[:, 0, 0] == pytest.approx([1, -0.25, 0], abs=1e-6)


def test_layout_colour_and_type_are_as_configured() -> None:
    settings = Input(width=3, height=2, layout="NHWC", colour="BGR", dtype="uint8")
    batch = batch_of([RED, RED], settings)
    assert batch.shape == (2, 2, 3, 3)
    assert batch.dtype == np.uint8
    assert batch[1, 0, 0].tolist() == [51, 0, 255]
    assert batch.flags.c_contiguous
    assert batch_of([RED], Input(width=3, height=2, dtype="float16")).dtype == np.float16


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 300), st.integers(1, 40))
def test_in_proportion_the_longer_side_is_near_the_longest_and_both_are_multiples(
    height: int, width: int, longest: int, multiple: int
) -> None:
    size = input_size(np.zeros((height, width, 3), np.uint8), Input(longest=longest, multiple=multiple))
    assert all(side % multiple == 0 and side >= multiple for side in size)
    assert max(size) <= max(multiple, longest + multiple / 2)
    assert (size[0] >= size[1]) == (height >= width) or size[0] == size[1]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, 'say "width" and "height", or "longest" alone'),
        ({"width": 3}, 'say "width" and "height"'),
        ({"width": 3, "height": 3, "longest": 3}, 'say "width" and "height"'),
        ({"longest": 3, "dtype": "uint8", "scale": 1.0}, "as uint8 pixels go in as they are"),
        ({"longest": 3, "std": (1.0, 0.0, 1.0)}, "none of it can be 0"),
    ],
)
def test_an_input_that_contradicts_itself_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Input(**given)
