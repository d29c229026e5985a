"""Work and no progress: the worker counts the seconds, and ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from tests.agents.transport.kit import OURS, SOURCE, make_consumer, message, transport_app
from watson.agents.attempts import Attempts


async def watched(directory: Path, end: int) -> tuple[Any, Any]:
    app = transport_app(directory)
    consumer = make_consumer(OURS, app)
    await consumer.perform_seek()
    app._started.set()
    app.on_ready(app.rebalancing_count)

    async def highwaters(*_: Any) -> Any:
        return {SOURCE: end}

    async def position(_tp: Any) -> int:
        return 0

    consumer.highwaters, consumer.position = highwaters, position
    app.watchdog._since -= 30
    return app, consumer


async def test_without_lag_nothing_is_stalled(tmp_path: Path) -> None:
    app, _ = await watched(tmp_path, end=0)
    await app.watchdog.look()
    assert app.health()["stalled_for"] < 1


async def test_lag_without_progress_counts(tmp_path: Path) -> None:
    app, _ = await watched(tmp_path, end=5)
    await app.watchdog.look()
    app.watchdog._since -= 30
    await app.watchdog.look()
    assert app.health()["stalled_for"] >= 30


async def test_progress_starts_the_count_anew(tmp_path: Path) -> None:
    app, consumer = await watched(tmp_path, end=5)
    await app.watchdog.look()
    app.watchdog._since -= 30
    consumer.ack(message(0))
    await app.watchdog.look()
    assert app.health()["stalled_for"] < 1


async def test_what_is_being_tried_again_is_no_stall(tmp_path: Path) -> None:
    app, _ = await watched(tmp_path, end=5)
    attempts = Attempts("test", most=2, backoff=0.01, backoff_max=0.01, timeout=60)
    app.ends_by_itself = attempts.busy
    trying, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        trying.set()
        await ended.wait()

    run = asyncio.ensure_future(attempts.run(work))
    await trying.wait()
    await app.watchdog.look()
    app.watchdog._since -= 30
    await app.watchdog.look()
    assert app.health()["stalled_for"] < 1
    ended.set()
    await run
    app.watchdog._since -= 30
    await app.watchdog.look()
    assert app.health()["stalled_for"] >= 30


async def test_offsets_that_hold_no_record_are_no_lag(tmp_path: Path) -> None:
    app, consumer = await watched(tmp_path, end=2)

    async def position(_tp: Any) -> int:
        return 2  # aiokafka has passed the transaction's markers

    consumer.position = position
    await app.watchdog.look()
    assert app.health()["stalled_for"] < 1


async def test_a_rebalance_that_does_not_end_counts_even_without_lag(tmp_path: Path) -> None:
    app, _ = await watched(tmp_path, end=0)
    app.on_rebalance_start()
    await app.watchdog.look()
    app.watchdog._since -= 30
    await app.watchdog.look()
    assert app.health()["stalled_for"] >= 30
    assert not app.is_ready()


async def test_a_broker_that_is_away_is_told_from_a_stall(tmp_path: Path) -> None:
    app, consumer = await watched(tmp_path, end=5)

    async def away(*_: Any) -> Any:
        raise KafkaConnectionError("nobody there")

    consumer.highwaters = away
    assert await app.watchdog.look() is False


async def test_at_the_limit_the_process_ends_with_75(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr("os._exit", codes.append)
    app, _ = await watched(tmp_path, end=5)
    object.__setattr__(app, "settings", app.settings.model_copy(update={"stall_timeout": 0.2}))
    await app.watchdog.start()
    await asyncio.sleep(0.6)
    await app.watchdog.stop()
    assert codes
    assert set(codes) == {75}
    assert app.poisoned
