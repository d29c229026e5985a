from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watson.web.flow.samples import BAR_SECONDS, BARS, Counter


def counter(*samples: tuple[float, int]) -> Counter:
    made = Counter()
    for time, value in samples:
        made.note(time, value)
    return made


def test_a_steady_counter_has_its_pace() -> None:
    steady = counter(*((float(at), 4 * at) for at in range(0, 90, 3)))
    assert steady.rate(87.0, 60.0) == pytest.approx(4.0)
    assert steady.bars(87.0)[-5:] == pytest.approx([4.0] * 5)


def test_the_present_pace_is_that_of_the_last_seconds_alone() -> None:
    slowed = counter((0.0, 0), (60.0, 600), (120.0, 606))
    assert slowed.rate(120.0, 60.0) == pytest.approx(0.1)


def test_the_pace_at_a_moment_between_two_samples_is_on_the_line_between_them() -> None:
    assert counter((0.0, 0), (40.0, 40), (80.0, 40)).rate(80.0, 60.0) == pytest.approx(20 / 60)


@pytest.mark.parametrize("samples", [(), ((0.0, 5),), ((0.0, 5), (1.5, 9))])
def test_a_pace_is_not_known_before_two_seconds_were_watched(samples: tuple[tuple[float, int], ...]) -> None:
    assert counter(*samples).rate(2.0, 60.0) is None


def test_what_was_sampled_long_ago_says_nothing_of_the_present() -> None:
    assert counter((0.0, 0), (30.0, 300)).rate(100.0, 60.0) is None


def test_a_counter_that_falls_begins_afresh() -> None:
    fallen = counter((0.0, 1000), (10.0, 1100), (20.0, 3), (30.0, 13))
    assert fallen.rate(30.0, 60.0) == pytest.approx(1.0)


def test_it_is_still_since_it_last_grew_as_far_as_was_watched() -> None:
    moved = counter((100.0, 5), (110.0, 6), (120.0, 6), (130.0, 6))
    assert moved.still(131.0) == pytest.approx(21.0)
    assert counter((100.0, 5), (130.0, 5)).still(131.0) == pytest.approx(31.0)


def test_before_the_first_sample_the_bars_are_not_known() -> None:
    bars = counter((100.0, 0), (110.0, 50)).bars(110.0)
    assert bars == [None] * (BARS - 2) + [5.0, 5.0]


samples = st.lists(st.tuples(st.floats(0.1, 20), st.integers(0, 50)), min_size=1, max_size=400)


@given(samples)
def test_no_bar_is_negative_and_together_they_hold_no_more_than_the_growth(steps: list[tuple[float, int]]) -> None:
    made, time, value = Counter(), 0.0, 0
    for seconds, grown in steps:
        time, value = time + seconds, value + grown
        made.note(time, value)
    bars = made.bars(time)
    assert len(bars) == BARS
    assert all(bar is None or bar >= 0 for bar in bars)
    assert sum(bar or 0.0 for bar in bars) * BAR_SECONDS <= value + 1e-6


@given(samples)
def test_what_is_kept_is_bounded(steps: list[tuple[float, int]]) -> None:
    made, time = Counter(), 0.0
    for seconds, value in steps:
        time += seconds
        made.note(time, value)
    assert len(made._times) == len(made._values) <= 256
    assert time - made._times[-1] == 0
    assert len(made._times) < 3 or made._times[1] > time - 400
