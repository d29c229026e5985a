from __future__ import annotations

import asyncio

import pytest

from watson.errors import ReasonCode, Retriable
from watson.web.lately import Lately


class Oracle:
    """Answers with the number of the question, when it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_answer = asyncio.Event()
        self.fails = False

    async def ask(self, key: str) -> int:
        self.asked.append(key)
        await self.may_answer.wait()
        if self.fails:
            raise Retriable("away", ReasonCode.STORE_UNAVAILABLE)
        return len(self.asked)


async def until_answered(lately: Lately[str, int]) -> None:
    async with asyncio.timeout(10):
        await asyncio.gather(*lately._asking.values())


async def test_who_has_no_patience_gets_nothing_and_the_next_one_the_answer() -> None:
    oracle = Oracle()
    lately = Lately(oracle.ask, seconds=60)
    assert await lately.get("a", 0) is None
    assert await lately.get("a", 0.01) is None
    oracle.may_answer.set()
    assert await lately.get("a", 10) == 1
    assert await lately.get("a", 0) == 1
    assert oracle.asked == ["a"]


async def test_an_old_answer_is_given_at_once_and_the_question_put_again() -> None:
    oracle = Oracle()
    oracle.may_answer.set()
    lately = Lately(oracle.ask, seconds=0)
    assert await lately.get("a", 10) == 1
    oracle.may_answer.clear()
    assert [await lately.get("a", 10) for _ in range(3)] == [1, 1, 1]
    await asyncio.sleep(0)
    assert oracle.asked == ["a", "a"]
    oracle.may_answer.set()
    await until_answered(lately)
    assert await lately.get("a", 10) == 2


async def test_a_question_that_fails_leaves_the_last_answer_and_is_put_again() -> None:
    oracle = Oracle()
    oracle.may_answer.set()
    lately = Lately(oracle.ask, seconds=0)
    assert await lately.get("a", 10) == 1
    oracle.fails = True
    assert await lately.get("a", 10) == 1
    await until_answered(lately)
    oracle.fails = False
    assert await lately.get("a", 10) == 1
    await until_answered(lately)
    assert await lately.get("a", 10) == 3


async def test_a_question_goes_on_when_the_one_who_asked_has_left() -> None:
    oracle = Oracle()
    lately = Lately(oracle.ask, seconds=60)
    visitor = asyncio.create_task(lately.get("a", 10))
    await asyncio.sleep(0)
    visitor.cancel()
    with pytest.raises(asyncio.CancelledError):
        await visitor
    oracle.may_answer.set()
    assert await lately.get("a", 10) == 1
    assert oracle.asked == ["a"]
