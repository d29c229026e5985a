from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.storage.events import found
from watson.storage.wanted import MOST_CATEGORIES, Wanted, area_of

EVENT = found("j", "x", ("cat", 0.9, 50), ("dog", 0.4, 200))


@pytest.mark.parametrize(
    ("wanted", "admitted"),
    [
        (Wanted(), True),
        (Wanted(categories=("dog", "cow")), True),
        (Wanted(categories=("cow",)), False),
        (Wanted(least_score=0.9), True),
        (Wanted(least_score=0.91), False),
        (Wanted(most_score=0.4), True),
        (Wanted(most_score=0.39), False),
        (Wanted(least_area=1.0), True),
        (Wanted(most_area=0.25), True),
        (Wanted(most_area=0.24), False),
        (Wanted(categories=("dog",), least_score=0.5), False),  # of one mask both, not of any two
        (Wanted(categories=("cat",), least_score=0.5, most_area=0.5), True),
        (Wanted(nothing=True), False),
    ],
)
def test_an_image_is_wanted_for_one_mask_that_is_all_that_is_asked(wanted: Wanted, admitted: bool) -> None:
    assert wanted.admits(EVENT) is admitted


def test_images_with_nothing_found_are_wanted_as_such_and_where_nothing_is_asked() -> None:
    empty = found("j", "y")
    assert Wanted(nothing=True).admits(empty)
    assert Wanted().admits(empty)
    assert not Wanted(most_score=0.9).admits(empty)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"least_score": 0.5, "most_score": 0.4}, "the least score is 0.5, the most is 0.4"),
        ({"least_area": 0.5, "most_area": 0.4}, "the least area is 0.5, the most is 0.4"),
        ({"nothing": True, "categories": ("cat",)}, "have no masks"),
        ({"nothing": True, "least_area": 0.1}, "have no masks"),
        ({"least_score": float("nan")}, "least_score"),
        ({"most_area": 1.01}, "most_area"),
        ({"categories": tuple(map(str, range(MOST_CATEGORIES + 1)))}, "categories"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(asked: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Wanted(**asked)


@given(st.integers(1, 200))
def test_an_area_is_the_part_of_the_picture(area: int) -> None:
    event = found("j", "x", ("cat", 0.9, area))
    assert area_of(event, event.masks[0]) == area / 200
