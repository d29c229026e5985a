"""Micro-batches: who shares one, when it starts, and who pays for a failure."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from watson.errors import ReasonCode, Refused, Retriable
from watson.stages.batching import MicroBatcher

Batcher = MicroBatcher[str, int, int]


class Doubler:
    """Doubles numbers; records its batches; what it does with some numbers is set by a test."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.threads: set[int] = set()
        self.on: dict[int, Callable[[], object]] = {}
        self.most = 10**9  # items that fit in memory

    def __call__(self, group: str, items: Sequence[int]) -> list[int]:
        self.batches.append((group, list(items)))
        self.threads.add(threading.get_ident())
        if len(items) > self.most:
            raise OutOfMemoryError("CUDA out of memory")
        for item in items:
            self.on.get(item, lambda: None)()
        return [2 * item for item in items]


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


def raising(exc: Exception) -> Callable[[], object]:
    def fail() -> None:
        raise exc

    return fail


@asynccontextmanager
async def batching(
    compute: Callable[[str, Sequence[int]], Sequence[int]],
    *,
    batch_size: int = 4,
    batch_wait: float = 0.05,
    timeout: float = 20,  # noqa: ASYNC109 - handed on
) -> AsyncIterator[Batcher]:
    batcher: Batcher = MicroBatcher(compute, batch_size=batch_size, batch_wait=batch_wait, timeout=timeout)
    await batcher.open()
    try:
        yield batcher
    finally:
        await batcher.close()


async def ask(batcher: Batcher, items: Sequence[int], group: str = "m") -> list[int | BaseException]:
    return await asyncio.gather(*(batcher.submit(item, group) for item in items), return_exceptions=True)


async def test_items_that_come_together_share_batches_and_each_gets_its_own_result() -> None:
    double = Doubler()
    async with batching(double) as batcher:
        assert await ask(batcher, range(10)) == [2 * item for item in range(10)]
    assert [len(items) for _, items in double.batches] == [4, 4, 2]


async def test_a_full_batch_does_not_wait() -> None:
    double = Doubler()
    async with batching(double, batch_wait=60) as batcher:
        assert await asyncio.wait_for(ask(batcher, range(4)), 10) == [0, 2, 4, 6]


async def test_a_lone_item_waits_no_longer_than_said() -> None:
    async with batching(Doubler(), batch_wait=0.05) as batcher:
        begun = time.monotonic()
        assert await asyncio.wait_for(batcher.submit(1, "m"), 10) == 2
        assert time.monotonic() - begun >= 0.05


async def test_a_batch_has_items_of_one_group() -> None:
    double = Doubler()
    async with batching(double) as batcher:
        answers = await asyncio.gather(*(batcher.submit(item, "ab"[item % 2]) for item in range(8)))
    assert answers == [2 * item for item in range(8)]
    assert sorted(double.batches) == [("a", [0, 2, 4, 6]), ("b", [1, 3, 5, 7])]


async def test_a_group_that_fills_batch_after_batch_does_not_starve_another() -> None:
    double = Doubler()
    async with batching(double, batch_wait=0.01) as batcher:
        stop = asyncio.Event()

        async def flood() -> None:
            while not stop.is_set():
                await ask(batcher, range(8), "busy")

        flooding = [asyncio.create_task(flood()) for _ in range(3)]
        try:
            assert await asyncio.wait_for(batcher.submit(1, "rare"), 10) == 2
        finally:
            stop.set()
            await asyncio.gather(*flooding)


async def test_the_loop_goes_on_and_the_next_batch_is_collected_while_one_is_computed() -> None:
    double, begun, go = Doubler(), threading.Event(), threading.Event()
    double.on[0] = lambda: (begun.set(), go.wait(20))
    async with batching(double, batch_wait=0.001) as batcher:
        first = asyncio.create_task(batcher.submit(0, "m"))
        assert await asyncio.to_thread(begun.wait, 10)  # the loop is free: this returns
        others = asyncio.create_task(ask(batcher, [1, 2, 3]))
        await asyncio.sleep(0.02)
        go.set()
        assert await asyncio.wait_for(first, 10) == 0
        assert await asyncio.wait_for(others, 10) == [2, 4, 6]
    assert [items for _, items in double.batches] == [[0], [1, 2, 3]]
    assert double.threads.isdisjoint({threading.get_ident()})
    assert len(double.threads) == 1


async def test_an_item_that_fails_does_not_fail_its_mates() -> None:
    double = Doubler()
    double.on[2] = raising(ZeroDivisionError("by zero"))
    async with batching(double) as batcher:
        answers = await ask(batcher, range(4))
    refused = answers.pop(2)
    assert answers == [0, 2, 6]
    assert isinstance(refused, Refused)
    assert refused.code is ReasonCode.MODEL_FAILED
    assert str(refused) == "the model raised ZeroDivisionError: by zero"
    assert isinstance(refused.__cause__, ZeroDivisionError)
    assert [items for _, items in double.batches] == [[0, 1, 2, 3], [0], [1], [2], [3]]


async def test_what_fails_only_in_company_succeeds_alone() -> None:
    def only_alone(_group: str, items: Sequence[int]) -> list[int]:
        if len(items) > 1:
            raise RuntimeError("sizes differ")
        return [2 * item for item in items]

    async with batching(only_alone) as batcher:
        assert await ask(batcher, range(4)) == [0, 2, 4, 6]


@pytest.mark.parametrize("verdict", [Refused(ReasonCode.CORRUPT, "bad"), Retriable("later")])
async def test_a_verdict_of_the_models_own_is_passed_on(verdict: Exception) -> None:
    double = Doubler()
    double.on[1] = raising(verdict)
    async with batching(double) as batcher:
        assert await ask(batcher, [0, 1]) == [0, verdict]


async def test_a_wrong_number_of_results_is_the_models_failure() -> None:
    async with batching(lambda _group, _items: [1, 2, 3]) as batcher:
        (answer,) = await ask(batcher, [1])
    assert isinstance(answer, Refused)
    assert "3 results for 1 pictures" in str(answer)


async def test_without_memory_batches_are_halved_and_stay_small() -> None:
    double = Doubler()
    double.most = 2
    async with batching(double, batch_size=8) as batcher:
        assert await ask(batcher, range(8)) == [2 * item for item in range(8)]
        tried = [len(items) for _, items in double.batches]
        assert tried == [8, 4, 2, 2, 4, 2, 2]
        assert await ask(batcher, range(8)) == [2 * item for item in range(8)]
    assert [len(items) for _, items in double.batches][len(tried) :] == [2, 2, 2, 2]


@pytest.mark.parametrize("exc", [OutOfMemoryError("CUDA out of memory"), MemoryError()])
async def test_without_memory_for_one_it_can_pass(exc: Exception) -> None:
    double = Doubler()
    double.on[1] = raising(exc)
    async with batching(double) as batcher:
        (answer,) = await ask(batcher, [1])
    assert isinstance(answer, Retriable)
    assert answer.code is ReasonCode.MODEL_FAILED


async def test_a_model_that_hangs_is_given_up_and_what_waits_behind_it_too() -> None:
    double, go = Doubler(), threading.Event()
    double.on[0] = lambda: go.wait(20)
    async with batching(double, batch_size=1, timeout=0.2) as batcher:
        try:
            answers = await ask(batcher, [0, 1])
        finally:
            go.set()
        assert all(isinstance(one, Retriable) and "no result within 0.2 s" in str(one) for one in answers)
        assert await batcher.submit(5, "m") == 10  # it goes on once the model does
    assert [1] not in [items for _, items in double.batches]  # nobody waits for it any more


async def test_who_gives_up_waiting_takes_no_place_in_a_batch() -> None:
    double, begun, go = Doubler(), threading.Event(), threading.Event()
    double.on[0] = lambda: (begun.set(), go.wait(20))
    async with batching(double, batch_wait=0.001) as batcher:
        first = asyncio.create_task(batcher.submit(0, "m"))
        assert await asyncio.to_thread(begun.wait, 10)
        second, third = (asyncio.create_task(batcher.submit(item, "m")) for item in (1, 2))
        await asyncio.sleep(0.01)
        second.cancel()
        await asyncio.wait([second])
        go.set()
        assert await asyncio.wait_for(asyncio.gather(first, third), 10) == [0, 4]
    assert second.cancelled()
    assert [items for _, items in double.batches] == [[0], [2]]


async def test_closing_answers_who_waits_and_takes_no_more() -> None:
    double, begun, go = Doubler(), threading.Event(), threading.Event()
    double.on[0] = lambda: (begun.set(), go.wait(20))
    async with batching(double, batch_size=1) as batcher:
        asked = asyncio.create_task(ask(batcher, [0, 1, 2]))
        assert await asyncio.to_thread(begun.wait, 10)
        closing = asyncio.create_task(batcher.close())
        answers = await asyncio.wait_for(asked, 10)
        go.set()
        await asyncio.wait_for(closing, 10)
        assert all(isinstance(one, Retriable) and "stopping" in str(one) for one in answers)
        with pytest.raises(Retriable, match="stopping"):
            await batcher.submit(1, "m")
    assert not [thread for thread in threading.enumerate() if thread.ident in double.threads]


async def test_closing_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watson.stages.batching._CLOSING", 0.1)
    double, begun, go = Doubler(), threading.Event(), threading.Event()
    double.on[0] = lambda: (begun.set(), go.wait(20))
    try:
        async with batching(double, batch_wait=0.001) as batcher:
            asked = asyncio.create_task(ask(batcher, [0]))
            assert await asyncio.to_thread(begun.wait, 10)
            await asyncio.wait_for(batcher.close(), 5)
            await asked
    finally:
        go.set()
