from __future__ import annotations

from itertools import combinations

from watson.web.palette import COLOURS, PALETTE, colour


def test_the_first_categories_of_a_model_have_the_hues_and_all_others_one_of_the_colours() -> None:
    assert [colour(number) for number in range(3)] == ["#00b0ff", "#ff4081", "#ffc107"]
    assert colour(len(COLOURS)) == colour(0)
    assert len({colour(number) for number in range(len(COLOURS))}) == len(COLOURS) == 3 * len(PALETTE)


def test_no_two_colours_are_nearly_the_same() -> None:
    for one, other in combinations(COLOURS, 2):
        assert sum(abs(a - b) for a, b in zip(one, other, strict=True)) > 30, (one, other)
