from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watson.web.templating import _environment

FILTERS = _environment().filters


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (None, "–"), (0.0, "0 images/s"), (0.01, "0.6 images/min"), (0.1, "0.1 images/s"), (0.25, "0.3 images/s"),
        (9.96, "10.0 images/s"), (10.5, "11 images/s"), (12345.0, "12,345 images/s"),
    ],
)  # fmt: skip
def test_a_pace_is_told_in_words_that_can_be_read(rate: float | None, words: str) -> None:
    assert FILTERS["pace"](rate) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "–"), (0.2, "1 s"), (59.0, "59 s"), (59.2, "1 min 0 s"), (3700.0, "1 h 1 min"), (200_000.0, "2 d 7 h")],
)
def test_what_is_left_is_told_or_a_dash(seconds: float | None, words: str) -> None:
    assert FILTERS["left"](seconds) == words


@pytest.mark.parametrize(("seconds", "words"), [(None, "–"), (0.0123, "12 ms"), (4.21, "4.2 s"), (75.0, "1 min 15 s")])
def test_what_something_took_is_told_or_a_dash(seconds: float | None, words: str) -> None:
    assert FILTERS["took"](seconds) == words


def test_a_sparkline_has_a_bar_for_what_is_known_and_is_not_nothing() -> None:
    assert FILTERS["spark"]([None, 0.0, 2.0, 1.0]) == "M2 20v-20.0h.75V20zM3 20v-10.0h.75V20z"
    assert FILTERS["spark"]([]) == FILTERS["spark"]([0.0, None]) == ""


@given(st.lists(st.none() | st.floats(0, 1e9), max_size=60))
def test_no_bar_is_higher_than_the_drawing_nor_too_low_to_be_seen(bars: list[float | None]) -> None:
    heights = [float(height) for height in re.findall(r"v-([\d.]+)h", FILTERS["spark"](bars))]
    assert all(0.8 <= height <= 20 for height in heights)
    assert len(heights) == sum(1 for bar in bars if bar)
