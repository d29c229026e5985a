"""Corrections i, p, q, r, x, z: what talks to aiokafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, KafkaTimeoutError
from faust.types import TP

from tests.agents.transport.kit import OURS, Kind, both, eventually, make_consumer, nothing

FIRST, SECOND = TopicPartition("source", 0), TopicPartition("source", 1)


class FakeKafkaConsumer:
    """aiokafka's consumer where it stands after a rebalance; ``seek_to_committed`` is aiokafka's own code."""

    seek_to_committed = AIOKafkaConsumer.seek_to_committed

    def __init__(self, committed: dict[TopicPartition, int | None]) -> None:
        self.positions = dict.fromkeys(committed, 100)  # past records that the rebalance dropped
        self._committed = committed
        self._subscription = SimpleNamespace(assigned_partitions=lambda: set(committed))
        self._fetcher = SimpleNamespace(
            seek_to=self.seek,
            _closed=False,
            _subscriptions=SimpleNamespace(fetch_context=nullcontext),
            fetched_records=self._fetched_records,
        )
        self._closed = False
        self._coordinator = SimpleNamespace(check_errors=self._check_errors)
        self.problem: Exception | None = None
        self.commit_problem: Exception | None = None
        self.commits: list[Any] = []

    def assignment(self) -> set[TopicPartition]:
        return set(self._committed)

    async def committed(self, tp: TopicPartition) -> int | None:
        return self._committed[tp]

    async def beginning_offsets(self, tps: Any) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, 0)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.positions[tp] = offset

    def _check_errors(self) -> None:
        if self.problem is not None:
            raise self.problem

    async def _fetched_records(self, *_: Any, **__: Any) -> dict[Any, Any]:
        return {}

    async def commit(self, offsets: Any) -> None:
        if not offsets:
            raise ValueError(offsets)  # as aiokafka does
        if self.commit_problem is not None:
            raise self.commit_problem
        self.commits.append(offsets)


def make_thread(kind: Kind, app: Any, kafka: FakeKafkaConsumer) -> Any:
    """The kind's consumer thread, called without a thread of its own."""

    class Direct(kind.thread):  # type: ignore[name-defined, misc]
        crashes: list[BaseException]

        async def call_thread(self, fun: Any, *args: Any, **kwargs: Any) -> Any:
            return await fun(*args, **kwargs)

        async def crash(self, exc: BaseException) -> None:
            self.crashes.append(exc)

    consumer = SimpleNamespace(
        transport=app.transport, app=app, RebalanceListener=lambda _: None, flow_active=True, in_transaction=False
    )
    thread = Direct(consumer, thread_loop=asyncio.get_running_loop())
    thread._consumer, thread.crashes = kafka, []
    return thread


@both
async def test_i_partitions_without_a_commit_are_sought_too(kind: Kind, tmp_path: Path) -> None:
    kafka = FakeKafkaConsumer({FIRST: None, SECOND: 0})
    await make_thread(kind, kind.app(tmp_path), kafka).seek_to_committed()
    assert kafka.positions == {FIRST: 0, SECOND: 0}


async def test_offsets_that_were_fetched_through_a_rebalance_are_not_sought(tmp_path: Path) -> None:
    app = OURS.app(tmp_path)
    kafka = FakeKafkaConsumer({FIRST: 3})

    async def committed(_tp: TopicPartition) -> int:
        app.consumer_generation_id += 1
        return 3

    kafka.committed = committed  # type: ignore[method-assign]
    with pytest.raises(IllegalStateError):
        await make_thread(OURS, app, kafka).seek_to_committed()
    assert kafka.positions == {FIRST: 100}


@both
async def test_p_an_error_of_the_group_coordination_is_heard(kind: Kind, tmp_path: Path) -> None:
    kafka = FakeKafkaConsumer({FIRST: 0})
    thread = make_thread(kind, kind.app(tmp_path), kafka)
    kafka.problem = KafkaError("FencedInstanceId")  # aiokafka has left the group, and waits for this to be asked for
    problem = None
    try:
        await thread._fetch_records(kafka, frozenset({TP("source", 0)}), timeout=0.01)
    except KafkaError as exc:
        problem = exc
    assert problem is kafka.problem


async def _dies() -> None:
    raise KafkaError("Unexpected error during coordination AssertionError('Did we not perform bootstrap?')")


@both
async def test_x_coordination_that_died_before_anything_was_assigned_ends_the_worker(
    kind: Kind, tmp_path: Path
) -> None:
    app = kind.app(tmp_path)
    consumer = make_consumer(kind, app)
    consumer.assigned = set()  # so nothing is fetched, and nobody hears of it there
    kafka = FakeKafkaConsumer({})
    coordination = asyncio.create_task(_dies())
    kafka._coordinator = SimpleNamespace(check_errors=nothing, _coordination_task=coordination)
    consumer._thread = make_thread(kind, app, kafka)
    consumer._start_thread = consumer._thread.start = consumer._thread.stop = nothing
    await consumer.start()
    try:
        await eventually(lambda: consumer.crashed, seconds=3)
    finally:
        await consumer.stop()
        await asyncio.gather(coordination, return_exceptions=True)
    assert "bootstrap" in str(consumer.crash_reason)


class FakeClient:
    """aiokafka's client of a broker that has just come back: it knows no topic until it is asked for the third time."""

    def __init__(self) -> None:
        self.asked = 0
        self.cluster = SimpleNamespace(partitions_for_topic=lambda _topic: {0, 1} if self.asked >= 3 else None)

    def force_metadata_update(self) -> None:
        self.asked += 1


@both
async def test_z_topics_that_the_broker_did_not_know_are_asked_for_until_it_does(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watson.agents.transport.consumer._COORDINATION_SECONDS", 0.01)
    app, kafka, client = kind.app(tmp_path), FakeKafkaConsumer({}), FakeClient()
    kafka._client = client
    kafka._coordinator._group_subscription = {"source"}
    consumer = make_consumer(kind, app)
    consumer.assigned = set()  # the assignment left out what was not known
    consumer._thread = make_thread(kind, app, kafka)
    consumer._thread.thread_loop = asyncio.get_running_loop()
    consumer._start_thread = consumer._thread.start = consumer._thread.stop = nothing
    await consumer.start()
    try:
        await eventually(lambda: client.asked >= 3)
        await asyncio.sleep(0.1)
        assert client.asked == 3, "once they are known it is left alone"
    finally:
        await consumer.stop()


@both
@pytest.mark.parametrize("problem", [KafkaTimeoutError(), IllegalStateError("not assigned"), KafkaError("what?")])
async def test_q_a_commit_that_fails_does_not_end_the_worker(kind: Kind, tmp_path: Path, problem: Exception) -> None:
    kafka = FakeKafkaConsumer({FIRST: 0})
    thread = make_thread(kind, kind.app(tmp_path), kafka)
    kafka.commit_problem = problem
    assert await thread.commit({TP("source", 0): 5}) is False
    assert thread.crashes == []


@both
async def test_q_a_commit_of_partitions_that_were_all_revoked_does_not_end_the_worker(
    kind: Kind, tmp_path: Path
) -> None:
    kafka = FakeKafkaConsumer({SECOND: 0})
    thread = make_thread(kind, kind.app(tmp_path), kafka)
    assert await thread.commit({TP("source", 0): 5}) is False
    assert thread.crashes == []


async def test_a_commit_after_a_rebalance_is_refused_quietly(tmp_path: Path) -> None:
    kafka = FakeKafkaConsumer({FIRST: 0})
    thread = make_thread(OURS, OURS.app(tmp_path), kafka)
    kafka.commit_problem = CommitFailedError("the group has already rebalanced")
    assert await thread.commit({TP("source", 0): 5}) is False
    assert thread.crashes == []


@asynccontextmanager
async def _queue_of(thread: Any) -> AsyncIterator[Any]:
    await thread.method_queue.start()
    try:
        yield thread.method_queue
    finally:
        await thread.method_queue.stop()


@both
async def test_r_a_commit_gets_through_while_other_calls_wait_for_the_group(kind: Kind, tmp_path: Path) -> None:
    thread = make_thread(kind, kind.app(tmp_path), FakeKafkaConsumer({FIRST: 0}))
    joined = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with _queue_of(thread) as queue:
        for _ in range(3):  # a fetch, the ends of the partitions, a position
            await queue.call(loop.create_future(), joined.wait)
        commit = await queue.call(loop.create_future(), nothing)
        done, _ = await asyncio.wait({commit}, timeout=0.5)
        joined.set()
        assert done
