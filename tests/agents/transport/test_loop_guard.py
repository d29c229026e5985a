"""The thread that looks whether the event loop runs, told the time by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from watson.agents.transport.loop_guard import LoopGuard


class Loop:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def call_soon_threadsafe(self, answer: Any) -> None:
        self.asked.append(answer)

    def run(self) -> None:
        while self.asked:
            self.asked.pop()()


def made() -> tuple[LoopGuard, Loop]:
    loop = Loop()
    guard = LoopGuard(loop, 60.0, lambda _: None)  # type: ignore[arg-type]  # as far as it is used
    assert not guard.look(0.0)
    return guard, loop


def test_a_loop_that_does_not_answer_is_noticed_at_the_limit() -> None:
    guard, _ = made()
    assert not any(guard.look(float(second)) for second in range(1, 61))
    assert guard.look(61.0)
    assert guard.blocked == 61.0


def test_a_loop_that_answers_at_last_is_left_alone() -> None:
    guard, loop = made()
    for second in range(1, 60):
        guard.look(float(second))
    loop.run()
    assert not any(guard.look(float(second)) for second in range(60, 120))
    assert guard.blocked == 59.0


def test_a_process_that_was_frozen_and_wakes_is_not_ended() -> None:
    guard, loop = made()
    assert not guard.look(100_000.0)  # SIGSTOP, and SIGCONT a day later: the thread wakes before the loop
    assert guard.blocked == 2.0
    loop.run()
    assert not guard.look(100_001.0)
    assert guard.blocked == 0.0


async def test_a_loop_that_was_closed_is_asked_no_more() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    guard = LoopGuard(loop, 60.0, lambda _: None)
    assert not guard.look(0.0)
    assert guard._stopped.is_set()


@pytest.mark.parametrize("limit", [0.2, 60.0])
def test_it_looks_often_enough_for_its_limit(limit: float) -> None:
    guard = LoopGuard(Loop(), limit, lambda _: None)  # type: ignore[arg-type]  # as far as it is used
    assert guard._step <= min(1.0, limit / 4)
