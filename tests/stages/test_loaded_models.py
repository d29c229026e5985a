"""The models in memory: loaded once, the least used let go."""

from __future__ import annotations

import asyncio
import threading

import pytest

from watson.errors import ReasonCode, Refused, Retriable
from watson.model import threshold
from watson.model.segmenter import Segmenter
from watson.stages.loaded_models import LoadedModels


class Shelf:
    """Loads stand-ins and records it."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.failures: list[Exception] = []
        self.go = threading.Event()
        self.go.set()

    async def __call__(self, reference: str) -> Segmenter:
        self.loads.append(reference)
        await asyncio.to_thread(self.go.wait, 20)
        if self.failures:
            raise self.failures.pop(0)
        return threshold.load()


def models(shelf: Shelf, most: int = 2, limit: float = 20) -> LoadedModels:
    return LoadedModels(shelf, most=most, timeout=limit)


async def test_requests_at_once_are_one_load() -> None:
    shelf = Shelf()
    held = models(shelf)
    found = await asyncio.gather(*(held.get("a") for _ in range(10)))
    assert shelf.loads == ["a"]
    assert len(set(map(id, found))) == 1


async def test_the_model_not_used_for_longest_is_let_go() -> None:
    shelf = Shelf()
    held = models(shelf)
    for reference in "abacab":
        await held.get(reference)
    assert shelf.loads == ["a", "b", "c", "b"]


async def test_who_gives_up_does_not_stop_the_load_for_others() -> None:
    shelf = Shelf()
    shelf.go.clear()
    held = models(shelf)
    first = asyncio.create_task(held.get("a"))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(held.get("a"))
    await asyncio.sleep(0.01)
    first.cancel()
    shelf.go.set()
    assert await asyncio.wait_for(second, 10)
    assert shelf.loads == ["a"]


async def test_a_failed_load_can_pass_and_is_tried_again() -> None:
    shelf = Shelf()
    shelf.failures = [OSError("disk on fire")]
    held = models(shelf)
    with pytest.raises(Retriable, match="model a could not be loaded: OSError: disk on fire") as retriable:
        await held.get("a")
    assert retriable.value.code is ReasonCode.MODEL_FAILED
    assert await held.get("a")


async def test_a_refusal_is_passed_on() -> None:
    shelf = Shelf()
    shelf.failures = [Refused(ReasonCode.MODEL_UNKNOWN, "none such")]
    with pytest.raises(Refused, match="none such"):
        await models(shelf).get("a")


async def test_a_load_that_takes_too_long_is_given_up_and_the_model_used_once_it_is_there() -> None:
    shelf = Shelf()
    shelf.go.clear()
    held = models(shelf, limit=0.05)
    try:
        with pytest.raises(Retriable, match=r"not loaded within 0\.05 s"):
            await held.get("a")
    finally:
        shelf.go.set()
    async with asyncio.timeout(10):
        while True:
            try:
                assert await held.get("a")
                break
            except Retriable:
                continue
    assert shelf.loads == ["a"]
