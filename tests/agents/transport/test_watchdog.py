"""Work and no progress: the worker counts the seconds, and ends."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from tests.agents.fakes import FakeDelivery, delivered, discovered, record_of
from tests.agents.transport.kit import OURS, SOURCE, Draining, eventually, make_consumer, message, transport_app
from watson.agents.attempts import WORKING_ON, Attempts
from watson.agents.loop import Loop

OTHER = TP("source", 1)


class Watched:
    """An app that is never started, with so many records in each partition, and a clock that is put forward."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.monotonic()
        monkeypatch.setattr("watson.agents.transport.watchdog.monotonic", lambda: self.now)
        self.app = transport_app(directory)
        self.consumer = make_consumer(OURS, self.app)
        self.ends = {SOURCE: 0}
        self.positions: dict[TP, int] = {}
        self.consumer.highwaters, self.consumer.position = self._highwaters, self._position

    async def ready(self, ends: dict[TP, int]) -> None:
        """Partitions are assigned, sought, and looked at once."""
        self.ends, self.consumer.assigned = ends, set(ends)
        self.consumer.kafka = dict.fromkeys(ends, 0)
        await self.consumer.perform_seek()
        self.app._started.set()
        self.app.on_ready(self.app.rebalancing_count)
        await self.app.watchdog.look()

    async def stalled_after(self, seconds: float) -> float:
        self.now += seconds
        await self.app.watchdog.look()
        stalled: float = self.app.health()["stalled_for"]
        return stalled

    async def _highwaters(self, *_: Any) -> Any:
        return self.ends

    async def _position(self, tp: TP) -> int:
        return self.positions.get(tp, 0)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(tmp_path, monkeypatch)


async def test_without_lag_nothing_is_stalled(watched: Watched) -> None:
    await watched.ready({SOURCE: 0})
    assert await watched.stalled_after(30) == 0


async def test_lag_without_progress_counts(watched: Watched) -> None:
    await watched.ready({SOURCE: 5})
    assert await watched.stalled_after(30) == 30


async def test_progress_starts_the_count_anew(watched: Watched) -> None:
    await watched.ready({SOURCE: 5})
    watched.consumer.ack(message(0))
    assert await watched.stalled_after(30) == 0


async def test_the_progress_of_one_partition_is_none_of_another(watched: Watched) -> None:
    await watched.ready({SOURCE: 10_000, OTHER: 5_000})
    for number in range(20):
        watched.consumer.ack(message(number))
        stalled = await watched.stalled_after(30)
    assert stalled == 600


async def test_rebalances_now_and_then_hide_no_worker_that_never_consumes(watched: Watched) -> None:
    await watched.ready({SOURCE: 5})
    worst = 0.0
    for _ in range(20):
        watched.app.rebalancing_count += 1
        await watched.consumer.perform_seek()
        watched.app.on_ready(watched.app.rebalancing_count)
        worst = max(worst, await watched.stalled_after(50))
    assert worst >= 60


class Trying:
    """An event of a partition that is being tried until the end of the block."""

    def __init__(self, attempts: Attempts, topic: str, partition: int) -> None:
        self._attempts = attempts
        self._place = (topic, partition)
        self._began, self._ended = asyncio.Event(), asyncio.Event()

    async def __aenter__(self) -> None:
        self._task = asyncio.ensure_future(self._try())
        await self._began.wait()

    async def __aexit__(self, *_: object) -> None:
        self._ended.set()
        await self._task

    async def _try(self) -> None:
        WORKING_ON.set(self._place)
        await self._attempts.run(self._work)

    async def _work(self) -> None:
        self._began.set()
        await self._ended.wait()


@pytest.fixture
def attempts(watched: Watched) -> Attempts:
    made = Attempts("test", most=2, backoff=0.01, backoff_max=0.01, timeout=60)
    watched.app.ends_by_itself = made.busy
    return made


async def test_what_is_being_tried_again_is_no_stall(watched: Watched, attempts: Attempts) -> None:
    await watched.ready({SOURCE: 5})
    async with Trying(attempts, *SOURCE):
        assert await watched.stalled_after(30) == 0
    assert await watched.stalled_after(30) == 30


async def test_what_is_being_tried_excuses_its_own_partition_only(watched: Watched, attempts: Attempts) -> None:
    await watched.ready({SOURCE: 5, OTHER: 5})
    async with Trying(attempts, *SOURCE):
        assert await watched.stalled_after(30) == 30


async def test_topics_are_compared_without_their_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(tmp_path, monkeypatch)
    settings = watched.app.settings.model_copy(update={"topic_prefix": "photographs-"})
    object.__setattr__(watched.app, "settings", settings)
    watched.app.ends_by_itself = lambda place=None: place in (None, ("source", 0))
    await watched.ready({TP("photographs-source", 0): 5})
    assert await watched.stalled_after(30) == 0


async def test_events_that_wait_in_the_worker_for_their_turn_are_no_stall(watched: Watched, attempts: Attempts) -> None:
    queue = watched.app.channel().queue  # as that of a stream
    await watched.ready({SOURCE: 5, OTHER: 5})
    watched.app.flow_control.resume()
    async with Trying(attempts, *SOURCE):
        await queue.put("an event of the other partition")
        assert await watched.stalled_after(30) == 0
        queue.get_nowait()
        assert await watched.stalled_after(30) == 30


async def test_what_the_loop_has_no_slot_for_waits_in_the_queue(watched: Watched) -> None:
    """Else it would be nowhere: not being tried, and not waiting."""
    taken, released = [], asyncio.Event()

    async def handle(record: Any, event: Any) -> str:
        await released.wait()
        return "emitted"

    async def some() -> Any:
        for number in range(5):
            taken.append(number)
            yield FakeDelivery(record_of(discovered(number), offset=number))

    consuming = asyncio.ensure_future(Loop("test", handle, handle, window=2).consume(some()))
    await eventually(lambda: len(taken) == 2)
    for _ in range(10):
        await asyncio.sleep(0)
    assert taken == [0, 1]
    released.set()
    await consuming


async def test_the_loop_says_which_partition_a_try_is_of() -> None:
    attempts, seen = Attempts("test", most=1, backoff=0.01, backoff_max=0.01, timeout=60), []

    async def handle(record: Any, event: Any) -> str:
        async def work() -> str:
            seen.append((attempts.busy((record.topic, record.partition)), attempts.busy((record.topic, 99))))
            return "emitted"

        return await attempts.run(work)

    await Loop("test", handle, handle, window=2).consume(delivered([FakeDelivery(record_of(discovered(1)))]))
    assert seen == [(True, False)]
    assert not attempts.busy()


async def test_fetches_are_counted(watched: Watched) -> None:
    watched.consumer.resume_partitions({SOURCE})
    async with Draining(watched.consumer):
        await eventually(lambda: watched.consumer.fetches > 3)


async def test_offsets_that_hold_no_record_are_no_lag(watched: Watched) -> None:
    watched.positions[SOURCE] = 2  # aiokafka has passed the transaction's markers
    await watched.ready({SOURCE: 2})
    assert await watched.stalled_after(30) == 0


async def test_a_rebalance_that_does_not_end_counts_even_without_lag(watched: Watched) -> None:
    await watched.ready({SOURCE: 0})
    watched.app.on_rebalance_start()
    await watched.app.watchdog.look()
    assert await watched.stalled_after(30) == 30
    assert not watched.app.is_ready()


async def test_a_broker_that_is_away_is_told_from_a_stall(watched: Watched) -> None:
    async def away(*_: Any) -> Any:
        raise KafkaConnectionError("nobody there")

    await watched.ready({SOURCE: 5})
    answering, watched.consumer.highwaters = watched.consumer.highwaters, away
    watched.now += 200
    assert await watched.app.watchdog.look() is False
    assert watched.app.watchdog.stalled_for == 200
    watched.consumer.highwaters = answering
    assert await watched.stalled_after(5) == 0, "it is back, and what waits has had no time"


@pytest.fixture
def codes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found: list[int] = []
    monkeypatch.setattr("os._exit", found.append)
    return found


def impatient(app: Any) -> Any:
    object.__setattr__(app, "settings", app.settings.model_copy(update={"stall_timeout": 0.2}))
    return app


async def test_at_the_limit_the_process_ends_with_75(watched: Watched, codes: list[int]) -> None:
    await watched.ready({SOURCE: 5})
    app = impatient(watched.app)
    await app.watchdog.start()
    await app.watchdog.look()
    watched.now += 30
    await eventually(lambda: codes)
    await app.watchdog.stop()
    assert set(codes) == {75}
    assert app.poisoned


async def test_a_blocked_event_loop_ends_the_process_with_75_and_says_where(
    watched: Watched, codes: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    app = impatient(watched.app)
    await app.watchdog.start()
    deadline = time.monotonic() + 30
    while not codes and time.monotonic() < deadline:
        time.sleep(0.05)  # noqa: ASYNC251 - the point
    assert codes == [75]
    assert app.poisoned
    await app.watchdog.stop()
    said = capfd.readouterr()
    assert "the event loop is blocked" in said.out + said.err
    assert f"in {test_a_blocked_event_loop_ends_the_process_with_75_and_says_where.__name__}" in said.err


async def test_a_loop_that_runs_is_left_alone_and_the_thread_ends_with_the_watchdog(
    watched: Watched, codes: list[int]
) -> None:
    app = impatient(watched.app)
    await app.watchdog.start()
    guard = app.watchdog._guard
    for _ in range(20):
        await asyncio.sleep(0.02)
    await app.watchdog.stop()
    assert guard._stopped.is_set()
    assert codes == []
