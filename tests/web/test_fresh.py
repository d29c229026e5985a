from __future__ import annotations

import asyncio

import pytest

from watson.web.fresh import Fresh


class Asked:
    """Answers with how often it was asked, when let."""

    def __init__(self) -> None:
        self.times = 0
        self.let = asyncio.Event()

    async def __call__(self, key: str) -> str:
        self.times += 1
        times = self.times
        await self.let.wait()
        if key == "broken":
            raise ValueError(key)
        return f"{key} {times}"


async def test_those_who_ask_at_once_share_one_question() -> None:
    asked = Asked()
    fresh = Fresh(asked, 60)
    waiting = [asyncio.create_task(fresh.get("a")) for _ in range(5)]
    asked.let.set()
    assert await asyncio.gather(*waiting) == ["a 1"] * 5
    assert await fresh.get("a") == "a 1"
    assert await fresh.get("b") == "b 2"


async def test_an_answer_gets_old() -> None:
    asked = Asked()
    asked.let.set()
    fresh = Fresh(asked, 0.05)
    async with asyncio.timeout(10):
        while await fresh.get("a") != "a 2":  # noqa: ASYNC110 - the clock alone makes it old
            await asyncio.sleep(0.01)


async def test_an_error_is_not_kept() -> None:
    asked = Asked()
    asked.let.set()
    fresh = Fresh(asked, 60)
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            await fresh.get("broken")
    assert asked.times == 2


async def test_one_who_leaves_does_not_spoil_the_answer_for_the_others() -> None:
    asked = Asked()
    fresh = Fresh(asked, 60)
    leaving, staying = (asyncio.create_task(fresh.get("a")) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    asked.let.set()
    assert await staying == "a 1"
