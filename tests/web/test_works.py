from __future__ import annotations

import asyncio

import pytest

from watson.errors import Retriable
from watson.web.works import Work, Works


def works(**changes: float) -> Works[str]:
    return Works(**{"at_once": 1, "most": 3, "seconds": 10, "kept": 60, **changes})


async def test_who_asks_for_the_same_is_given_what_is_under_way_and_later_what_came_out() -> None:
    begun = 0

    async def do(work: Work[str]) -> str:
        nonlocal begun
        begun += 1
        work.progress(1, 2)
        return "done"

    all_ = works()
    one, same, other = (all_.start(key, do) for key in ("a", "a", "b"))
    assert one is same is not other
    assert await one.wait(5)
    assert await other.wait(5)
    assert (one.result(), one.done, one.of, all_.start("a", do), begun) == ("done", 1, 2, one, 2)


async def test_no_more_than_so_many_are_worked_on_at_once_and_none_beyond_those_that_wait() -> None:
    at_work, most, going = 0, 0, asyncio.Event()

    async def do(_work: Work[str]) -> str:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await going.wait()
        at_work -= 1
        return ""

    all_ = works(at_once=2)
    begun = [all_.start(key, do) for key in "abc"]
    assert not await begun[2].wait(0.05)
    with pytest.raises(Retriable, match="3 requests like this one"):
        all_.start("d", do)
    going.set()
    assert [await work.wait(5) for work in begun] == [True] * 3
    assert most == 2
    assert await all_.start("d", do).wait(5)


async def test_what_went_wrong_is_told_to_who_asks_next_and_then_begun_anew() -> None:
    async def do(_work: Work[str]) -> str:
        raise Retriable("away")

    all_ = works()
    work = all_.start("a", do)
    assert await work.wait(5)
    assert all_.start("a", do) is work
    with pytest.raises(Retriable, match="away"):
        work.result()
    assert all_.start("a", do) is not work


async def test_a_result_is_kept_for_a_time() -> None:
    async def do(_work: Work[str]) -> str:
        return ""

    for kept, same in ((60, True), (0, False)):
        all_ = works(kept=kept)
        work = all_.start("a", do)
        assert await work.wait(5)
        assert (all_.start("a", do) is work) == same


async def test_what_takes_too_long_is_given_up_and_what_is_under_way_ends_with_the_server() -> None:
    async def do(_work: Work[str]) -> str:
        await asyncio.Event().wait()
        return ""

    slow = works(seconds=0.05).start("a", do)
    assert await slow.wait(5)
    with pytest.raises(Retriable, match="given up"):
        slow.result()
    all_ = works()
    work = all_.start("a", do)
    assert not await work.wait(0.01)
    await all_.close()
    assert work.over
