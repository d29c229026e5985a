"""The clocks: each partition's, the worker's, and what starts them anew."""

from __future__ import annotations

from dataclasses import replace

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from watson.agents.transport.stall_clocks import Books, Look, StallClocks

ZERO, ONE = TP("source", 0), TP("source", 1)
TIMEOUT = 60.0
UNTOUCHED = Books(committed=0, read=-1, done=0, work=True)
IDLE = replace(UNTOUCHED, work=False)


class Watched:
    """Clocks that have seen an idle worker, and time that passes between looks."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.clocks = StallClocks(TIMEOUT, self.now)
        self.worst = 0.0
        self.clocks.look(Look({ZERO: IDLE, ONE: IDLE}), self.now)

    def after(self, seconds: float, look: Look) -> float:
        self.now += seconds
        self.clocks.look(look, self.now)
        self.worst = max(self.worst, self.clocks.stalled_for)
        return self.clocks.stalled_for


@pytest.fixture
def watched() -> Watched:
    return Watched()


def at(offset: int) -> Books:
    """So many records are read and committed, and there are more."""
    return Books(committed=offset, read=offset - 1, done=offset, work=True)


def handed_over(offset: int) -> Books:
    """Records up to the offset are in the role's hands."""
    return Books(committed=0, read=offset, done=0, work=True)


def test_a_partition_that_is_never_touched_is_stalled_while_another_goes_on(watched: Watched) -> None:
    for number in range(20):
        watched.after(30, Look({ZERO: at(number + 1), ONE: UNTOUCHED}, fetches=30 * number))
    assert watched.clocks.stalled_for == 20 * 30
    assert watched.clocks.stalled == [ONE]


def test_a_partition_that_is_passed_over_is_stalled_though_the_worker_has_more_than_it_can_do(watched: Watched) -> None:
    for number in range(20):
        watched.after(30, Look({ZERO: at(number + 1), ONE: UNTOUCHED}, fetches=30 * number, queued=True))
    assert watched.clocks.stalled == [ONE]


def test_a_partition_that_waits_behind_others_in_the_worker_is_not_stalled(watched: Watched) -> None:
    for number in range(20):
        watched.after(30, Look({ZERO: at(number), ONE: handed_over(3)}, fetches=30 * number, queued=True))
    assert watched.worst == 0


def test_a_partition_that_is_not_fetched_because_the_worker_is_full_is_not_stalled(watched: Watched) -> None:
    for number in range(20):
        watched.after(30, Look({ZERO: at(number + 1), ONE: UNTOUCHED}, fetches=3, queued=True))
    assert watched.worst == 0


def test_a_full_worker_in_which_nothing_moves_is_stalled(watched: Watched) -> None:
    for _ in range(4):
        watched.after(30, Look({ZERO: handed_over(9), ONE: UNTOUCHED}, fetches=3, queued=True))
    assert watched.clocks.stalled_for == 90


def test_an_event_that_was_handed_over_and_never_ends_is_stalled_while_another_partition_goes_on(
    watched: Watched,
) -> None:
    for number in range(5):
        watched.after(30, Look({ZERO: at(number), ONE: handed_over(0)}, fetches=30 * number))
    assert watched.clocks.stalled == [ONE]


def test_what_is_tried_in_one_partition_does_not_excuse_another(watched: Watched) -> None:
    tried = replace(handed_over(0), tried=True)
    for number in range(5):
        watched.after(30, Look({ZERO: tried, ONE: UNTOUCHED}, fetches=30 * number, busy=True))
    assert watched.clocks.stalled == [ONE]


def test_what_is_tried_excuses_its_own_partition(watched: Watched) -> None:
    tried = replace(handed_over(0), tried=True)
    for number in range(20):
        watched.after(30, Look({ZERO: tried, ONE: IDLE}, fetches=30 * number, busy=True))
    assert watched.worst == 0


def test_a_rebalance_starts_the_clocks_anew(watched: Watched) -> None:
    for number in range(1, 6):
        watched.after(50, Look({ZERO: UNTOUCHED}, rebalances=number, fetches=50 * number))
    assert watched.worst == 0


def test_rebalances_now_and_then_hide_a_worker_that_never_consumes_for_five_time_outs_only(watched: Watched) -> None:
    while watched.worst <= TIMEOUT:
        watched.after(50, Look({ZERO: UNTOUCHED}, rebalances=int(watched.now) // 50, fetches=int(watched.now)))
        assert watched.now < 1000 + 7 * TIMEOUT
    assert watched.now > 1000 + 5 * TIMEOUT


def test_what_is_read_again_after_each_rebalance_is_no_progress(watched: Watched) -> None:
    for number in range(20):
        watched.after(10, Look({ZERO: UNTOUCHED}, ready=False, rebalances=number))
        watched.after(10, Look({ZERO: handed_over(7)}, rebalances=number))
        watched.after(30, Look({ZERO: handed_over(7)}, rebalances=number))
    assert watched.worst > TIMEOUT


def test_partitions_that_are_away_during_each_rebalance_keep_their_clocks(watched: Watched) -> None:
    for number in range(20):
        watched.after(5, Look({}, ready=False, rebalances=number))
        watched.after(45, Look({ZERO: at(number), ONE: UNTOUCHED}, rebalances=number, fetches=50 * number))
    assert watched.clocks.stalled == [ONE]


def test_a_partition_that_is_another_workers_now_is_forgotten(watched: Watched) -> None:
    for number in range(5):
        watched.after(30, Look({ZERO: at(number + 1), ONE: UNTOUCHED}, fetches=30 * number))
    assert watched.after(30, Look({ZERO: at(9)}, rebalances=1)) == 0


def test_a_long_recovery_that_gets_on_is_no_stall_and_nor_is_what_follows_it(watched: Watched) -> None:
    for left in range(100, 0, -1):
        watched.after(30, Look({ZERO: UNTOUCHED}, ready=False, recovering=left, rebalances=1))
    watched.after(5, Look({ZERO: UNTOUCHED}, rebalances=1))
    watched.after(5, Look({ZERO: at(1)}, rebalances=1))
    assert watched.worst <= 30


def test_a_recovery_that_stands_still_is_a_stall(watched: Watched) -> None:
    for _ in range(20):
        watched.after(30, Look({ZERO: UNTOUCHED}, ready=False, recovering=7, rebalances=1))
    assert watched.clocks.stalled_for > TIMEOUT


def test_recoveries_after_many_rebalances_hide_no_worker_that_never_consumes(watched: Watched) -> None:
    for number in range(30):
        watched.after(10, Look({ZERO: UNTOUCHED}, ready=False, recovering=7, rebalances=number))
        watched.after(40, Look({ZERO: UNTOUCHED}, rebalances=number))
    assert watched.worst > TIMEOUT


def test_a_rebalance_that_does_not_end_is_a_stall_without_any_work(watched: Watched) -> None:
    for _ in range(4):
        watched.after(30, Look({}, ready=False, rebalances=1))
    assert watched.clocks.stalled_for == 90


def test_a_broker_that_is_back_finds_the_clocks_at_their_beginning(watched: Watched) -> None:
    watched.after(5, Look({ZERO: at(3)}))
    watched.now += 4 * TIMEOUT
    watched.clocks.unanswered(watched.now)
    assert watched.clocks.stalled_for == 4 * TIMEOUT
    assert watched.after(1, Look({ZERO: at(3)})) == 0
    assert watched.after(30, Look({ZERO: at(3)})) == 30


def test_a_commit_that_fails_again_and_again_is_no_progress(watched: Watched) -> None:
    for number in range(20):
        committed = number % 2  # taken back when the broker has refused it
        watched.after(30, Look({ZERO: Books(committed=committed, read=0, done=1, work=True)}, fetches=30 * number))
        if number % 2 == 0:
            watched.after(1, Look({ZERO: Books(committed=0, read=0, done=1, work=True)}, fetches=30 * number))
    assert watched.worst > 0


def test_a_log_that_was_made_anew_is_no_stall(watched: Watched) -> None:
    watched.after(5, Look({ZERO: at(1000)}))
    for number in range(20):
        watched.after(50, Look({ZERO: at(number)}, fetches=50 * number))
    assert watched.worst == 0


@given(
    st.lists(
        st.tuples(st.floats(0.1, TIMEOUT - 1), st.booleans(), st.booleans(), st.integers(0, 2), st.integers(0, 50)),
        max_size=40,
    )
)
def test_a_worker_whose_every_partition_moves_at_every_look_is_never_stalled(
    looks: list[tuple[float, bool, bool, int, int]],
) -> None:
    watched, rebalances, fetches = Watched(), 0, 0
    for number, (seconds, ready, queued, more, fetched) in enumerate(looks):
        rebalances, fetches = rebalances + more, fetches + fetched
        moving = {ZERO: at(number + 1), ONE: at(2 * number + 1)}
        watched.after(seconds, Look(moving, ready, rebalances, queued=queued, fetches=fetches))
    assert watched.worst < TIMEOUT


@given(st.lists(st.tuples(st.floats(1, 50), st.integers(0, 1)), min_size=30))
def test_an_untouched_partition_is_seen_in_the_end_whatever_rebalances(looks: list[tuple[float, int]]) -> None:
    watched, rebalances = Watched(), 0
    for number, (seconds, more) in enumerate(looks):
        rebalances += more
        watched.after(
            seconds, Look({ZERO: at(number), ONE: UNTOUCHED}, rebalances=rebalances, fetches=20 * number, queued=True)
        )
    if watched.now - 1000 > 7 * TIMEOUT + 100:
        assert watched.worst > TIMEOUT
