from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.web.flow.rows import group, job
from watson.web.flow.board import Board, JobPace
from watson.web.flow.documents import flow_document, pace_document
from watson.web.flow.reading import GroupReading


def document(*samples: GroupReading, every: float = 10.0) -> dict[str, Any]:
    board = Board()
    for number, reading in enumerate(samples):
        board.note_groups(number * every, (reading,))
    return flow_document(board, (len(samples) - 1) * every)


@pytest.mark.parametrize(
    ("samples", "state"),
    [
        ([group(lag=3, workers=0)], "abandoned"),
        ([group(lag=0, workers=0)], "absent"),
        ([group(lag=0)], "idle"),
        ([group(lag=3)], "busy"),
        ([group(lag=3), group(lag=3), group(lag=3)], "busy"),
        ([group(lag=3), group(lag=3), group(lag=4), group(lag=5)], "stuck"),
        ([group(lag=3), group(done=1, lag=3), group(done=1, lag=3)], "busy"),
        ([group(lag=3, state="PreparingRebalance")], "rebalancing"),
        ([group(lag=3, state="CompletingRebalance")], "rebalancing"),
    ],
)
def test_a_stage_has_a_word_for_its_state(samples: list[GroupReading], state: str) -> None:
    (stage,) = document(*samples)["stages"]
    assert stage["state"] == state
    assert stage["label"]


def test_a_stage_with_lag_and_no_worker_says_what_to_do() -> None:
    (stage,) = document(group("catalogue", lag=3, workers=0))["stages"]
    assert "watson worker catalogue" in stage["note"]


def test_a_role_that_pictures_do_not_need_is_shown_where_it_is_there_or_missed() -> None:
    assert document(group("train", workers=0))["stages"] == []
    assert [stage["role"] for stage in document(group("train", workers=0, lag=1))["stages"]] == ["train"]
    assert [stage["role"] for stage in document(group("train"))["stages"]] == ["train"]


def test_an_unread_log_has_no_stages_and_says_why() -> None:
    board = Board()
    board.note_unread("Kafka cannot be reached at nowhere:1")
    assert flow_document(board, 0.0)["trouble"] == "Kafka cannot be reached at nowhere:1"
    assert flow_document(board, 0.0)["stages"] == []


def test_the_document_is_json_and_the_same_while_nothing_moves() -> None:
    board = Board()
    said = set()
    for time in range(0, 600, 3):
        board.note_groups(float(time), (group(done=9),))
        board.note_jobs(float(time), [job("j", "complete", catalogued=9)])
        if time > 310:
            said.add(orjson.dumps(flow_document(board, float(time))))
    assert len(said) == 1


@pytest.mark.parametrize(
    ("state", "rate", "left"),
    [("draining", 2.0, 25.0), ("listing", 2.0, None), ("paused", 2.0, None), ("draining", 0.0, None),
     ("draining", None, None), ("complete", 2.0, None)],
)  # fmt: skip
def test_the_time_left_of_a_job_is_told_only_where_it_can_be_known(
    state: str, rate: float | None, left: float | None
) -> None:
    assert pace_document(JobPace(rate=rate), 50, state)["seconds_left"] == left
