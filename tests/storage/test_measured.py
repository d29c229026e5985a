from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry, Histogram

from watson.errors import ReasonCode, Refused, Retriable, UserError
from watson.storage.measured import measured


class Store:
    name = "a store"

    async def get(self, key: str, limit: int | None = None) -> str:
        if isinstance(problem := PROBLEMS.get(key), BaseException):
            raise problem
        return f"{key} {limit}"

    async def list(self) -> AsyncIterator[int]:
        yield 1

    def close(self) -> str:
        return "closed"


PROBLEMS = {
    "missing": Refused(ReasonCode.OBJECT_MISSING, "no such object"),
    "away": Retriable("it does not answer"),
    "wrong": UserError("no such bucket"),
    "cancelled": asyncio.CancelledError(),
}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def store(registry: CollectorRegistry) -> Store:
    return measured(Store(), Histogram("x_seconds", "x", ("operation", "result"), registry=registry))


def counted(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    (family,) = registry.collect()
    return {
        (sample.labels["operation"], sample.labels["result"]): sample.value
        for sample in family.samples
        if sample.name == "x_seconds_count"
    }


async def test_calls_give_what_the_store_gives_and_are_counted(store: Store, registry: CollectorRegistry) -> None:
    assert await store.get("a", limit=3) == "a 3"
    assert await store.get("b") == "b None"
    assert counted(registry) == {("get", "ok"): 2}


@pytest.mark.parametrize(("key", "result"), [("missing", "refused"), ("away", "away"), ("wrong", "failed")])
async def test_what_is_raised_is_raised_and_counted_as_what_it_is(
    store: Store, registry: CollectorRegistry, key: str, result: str
) -> None:
    with pytest.raises(type(PROBLEMS[key])):
        await store.get(key)
    assert counted(registry) == {("get", result): 1}


async def test_a_call_that_is_cancelled_is_not_counted(store: Store, registry: CollectorRegistry) -> None:
    with pytest.raises(asyncio.CancelledError):
        await store.get("cancelled")
    assert counted(registry) == {}


async def test_all_else_is_the_stores_own(store: Store, registry: CollectorRegistry) -> None:
    assert [page async for page in store.list()] == [1]
    assert (store.close(), store.name) == ("closed", "a store")
    with pytest.raises(AttributeError):
        _ = store.nothing  # type: ignore[attr-defined]
    assert counted(registry) == {}
