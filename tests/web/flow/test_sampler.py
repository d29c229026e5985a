from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.web.flow.rows import job
from tests.web.scene import NO_BROKER
from watson.errors import Retriable
from watson.settings import Settings
from watson.storage.catalogue import JobRow
from watson.web.flow import sampler as module
from watson.web.flow.sampler import Sampler, _backoff


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the board has no event for it
            await asyncio.sleep(0.01)


async def running() -> list[JobRow]:
    return [job("j", discovered=10, catalogued=2)]


async def test_where_kafka_is_away_the_board_says_so_and_the_jobs_are_watched_all_the_same() -> None:
    sampler = Sampler(Settings(brokers=NO_BROKER), running)
    await sampler.start()
    try:
        await until(lambda: sampler.board.running == 1 and "cannot be reached" in str(sampler.board.unread))
        assert NO_BROKER in str(sampler.board.unread)
    finally:
        await sampler.stop()


async def test_a_catalogue_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE_SECONDS", 0.01)
    asked = 0

    async def away_at_first() -> list[JobRow]:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise Retriable("the database does not answer")
        return await running()

    sampler = Sampler(Settings(brokers=NO_BROKER), away_at_first)
    await sampler.start()
    try:
        await until(lambda: sampler.board.running == 1)
    finally:
        await sampler.stop()
    assert asked >= 3


async def test_a_defect_ends_no_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE_SECONDS", 0.01)
    asked = 0

    async def wrong_at_first() -> list[JobRow]:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise KeyError("defect")
        return await running()

    sampler = Sampler(Settings(brokers=NO_BROKER), wrong_at_first)
    await sampler.start()
    try:
        await until(lambda: sampler.board.running == 1)
    finally:
        await sampler.stop()


async def test_a_stop_ends_a_question_under_way_and_may_come_twice() -> None:
    begun = asyncio.Event()

    async def never() -> list[JobRow]:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    sampler = Sampler(Settings(brokers=NO_BROKER), never)
    await sampler.start()
    await begun.wait()
    tasks = list(sampler._tasks)
    async with asyncio.timeout(5):
        await sampler.stop()
        await sampler.stop()
    assert all(task.done() for task in tasks)


def test_the_wait_grows_with_each_failure_to_half_a_minute() -> None:
    waits = [_backoff(failures) for failures in range(1, 2000)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (6.0, 30.0)
