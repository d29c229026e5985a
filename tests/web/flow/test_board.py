from __future__ import annotations

import pytest

from tests.web.flow.rows import group, job
from watson.web.flow.board import Board


def watched(*samples: tuple[float, list]) -> Board:
    board = Board()
    for time, rows in samples:
        board.note_jobs(time, rows)
    return board


def test_a_jobs_pace_is_of_what_was_catalogued_and_quarantined() -> None:
    board = watched(
        (0.0, [job("j", discovered=100, segmented=20, catalogued=10, quarantined=0)]),
        (10.0, [job("j", discovered=100, segmented=50, catalogued=25, quarantined=5)]),
    )
    pace = board.pace("j", 10.0)
    assert pace.rate == pytest.approx(2.0)
    assert pace.stages["segmented"] == pytest.approx(3.0)
    assert pace.stages["quarantined"] == pytest.approx(0.5)


def test_the_pace_of_all_is_that_of_the_jobs_together() -> None:
    board = watched(
        (0.0, [job("a", catalogued=0), job("b", catalogued=500)]),
        (10.0, [job("a", catalogued=10), job("b", catalogued=520)]),
    )
    assert board.rate(10.0) == pytest.approx(3.0)


def test_a_job_that_began_since_the_last_sample_began_with_nothing() -> None:
    board = watched((0.0, []), (10.0, [job("j", catalogued=20)]))
    assert board.rate(10.0) == pytest.approx(2.0)
    assert board.pace("j", 10.0).rate == pytest.approx(2.0)


def test_what_a_job_did_before_it_was_watched_is_no_pace() -> None:
    paused, resumed = job("j", "paused", catalogued=5000), job("j", "draining", catalogued=5000)
    assert watched((0.0, [resumed]), (10.0, [resumed])).rate(10.0) == 0.0
    board = watched((0.0, [paused]), (10.0, [resumed]), (20.0, [job("j", catalogued=5010)]))
    assert board.rate(20.0) == pytest.approx(0.5)


def test_the_last_pictures_of_a_job_that_ended_count() -> None:
    board = watched(
        (0.0, [job("j", catalogued=0)]),
        (10.0, [job("j", catalogued=10)]),
        (20.0, [job("j", "complete", catalogued=30)]),
    )
    assert board.rate(20.0) == pytest.approx(1.5)
    assert board.running == 0


def test_a_job_is_forgotten_when_its_end_is_out_of_sight() -> None:
    rows = [job("j", "complete", catalogued=30)]
    board = watched((0.0, [job("j", catalogued=0)]), (10.0, rows), (400.0, rows), (410.0, rows))
    assert board.pace("j", 410.0).rate is None
    assert not board._jobs


def test_the_jobs_watched_at_once_are_bounded() -> None:
    rows = [job(f"j{number}", catalogued=1) for number in range(250)]
    board = watched((0.0, rows), (10.0, rows))
    assert len(board._jobs) == 100
    assert board.pace("j0", 10.0).rate == 0.0
    assert board.pace("j249", 10.0).rate is None


def test_the_time_left_is_of_all_that_is_in_flight_at_the_present_pace() -> None:
    board = watched(
        (0.0, [job("a", discovered=100, catalogued=0), job("b", discovered=50, catalogued=0)]),
        (10.0, [job("a", discovered=100, catalogued=20), job("b", discovered=50, catalogued=0)]),
    )
    assert board.seconds_left(10.0) == pytest.approx(130 / 2)


@pytest.mark.parametrize(
    "rows",
    [[], [job("j", discovered=100)], [job("j", "listing", discovered=100, catalogued=20)]],
    ids=["nothing runs", "nothing moves", "nobody knows how many come"],
)
def test_no_time_left_is_told_that_nobody_can_know(rows: list) -> None:
    board = watched((0.0, [job("j", discovered=100)]), (10.0, rows))
    assert board.seconds_left(10.0) is None


def test_stages_have_lag_pace_and_how_long_they_were_still() -> None:
    board = Board()
    for time, done in ((0.0, 0), (10.0, 50), (20.0, 50)):
        board.note_groups(time, (group(done=done, lag=7),))
    (sampled,) = board.stages(20.0)
    assert (sampled.group.lag, sampled.rate, sampled.still) == (7, 2.5, 10.0)


def test_numbers_of_a_log_that_cannot_be_read_are_not_shown() -> None:
    board = Board()
    assert board.unread
    board.note_groups(0.0, (group(),))
    assert board.unread is None
    board.note_unread("Kafka cannot be reached")
    assert (board.unread, board.stages(1.0)) == ("Kafka cannot be reached", [])
