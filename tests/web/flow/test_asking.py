"""What Kafka says of groups: asked of a real one, and of the embedded one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from watson.agents.topics import INPUTS, create_topics
from watson.agents.transport.options import app_id
from watson.embedded.broker import SETTINGS as BROKER_SETTINGS
from watson.embedded.broker import running_broker
from watson.settings import Settings
from watson.web.flow.asking import LogUnreadable, LogWatch
from watson.web.flow.reading import GroupReading


async def with_topics(brokers: str, prefix: str) -> Settings:
    settings = Settings(brokers=brokers, topic_prefix=prefix, partitions=3)
    await create_topics(settings)
    return settings


async def fill(settings: Settings, topic: str, *partitions: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.brokers)
    await producer.start()
    try:
        for partition in partitions:
            await producer.send_and_wait(settings.topic(topic), b"{}", partition=partition)
    finally:
        await producer.stop()


@asynccontextmanager
async def member(settings: Settings, role: str, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A member of a role's group, which has partitions."""
    consumer = AIOKafkaConsumer(
        *(settings.topic(name) for name in INPUTS[role]),
        bootstrap_servers=settings.brokers,
        group_id=app_id(role, settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **options,
    )
    await consumer.start()
    try:
        while not consumer.assignment():
            await consumer.getmany(timeout_ms=100)
        yield consumer
    finally:
        await consumer.stop()


async def read(watch: LogWatch) -> dict[str, GroupReading]:
    """The groups by role; a broker that just started makes the topic of the groups' offsets first."""
    async with asyncio.timeout(60):
        while True:
            try:
                return {group.role: group for group in await watch.read()}
            except LogUnreadable:
                await asyncio.sleep(0.5)


async def read_until(watch: LogWatch, role: str, wanted: Callable[[GroupReading], bool]) -> GroupReading:
    async with asyncio.timeout(60):
        while not wanted(found := (await read(watch))[role]):  # noqa: ASYNC110 - a broker has no event for it
            await asyncio.sleep(0.2)
        return found


@asynccontextmanager
async def watching(settings: Settings) -> AsyncIterator[LogWatch]:
    watch = LogWatch(settings)
    try:
        yield watch
    finally:
        await watch.close()


@pytest.mark.services
async def test_a_line_that_nobody_works_on_has_all_of_its_log_before_it(kafka: Any, topic_prefix: str) -> None:
    settings = await with_topics(kafka.brokers, topic_prefix)
    await fill(settings, "preprocessed", 0, 1, 1)
    async with watching(settings) as watch:
        groups = await read(watch)
    assert list(groups) == list(INPUTS)
    assert not any(group.workers for group in groups.values())
    assert {role: group.lag for role, group in groups.items()} == {
        "discover": 3, "preprocess": 0, "segment": 3, "catalogue": 0, "project": 3, "train": 0
    }  # fmt: skip
    (topic,) = groups["segment"].topics
    assert (topic.topic, topic.lags, topic.done) == ("preprocessed", (1, 2, 0), 0)


@pytest.mark.services
async def test_workers_have_names_partitions_and_what_they_committed(kafka: Any, topic_prefix: str) -> None:
    settings = await with_topics(kafka.brokers, topic_prefix)
    await fill(settings, "preprocessed", 0, 1, 1, 2)
    async with watching(settings) as watch, member(settings, "segment", group_instance_id="gpu-7") as consumer:
        place = TopicPartition(settings.topic("preprocessed"), 1)
        await consumer.commit({place: 1})
        found = await read_until(watch, "segment", lambda group: group.lag == 3 and bool(group.workers))
        (worker,) = found.workers
        assert (worker.name, worker.host, worker.partitions) == ("gpu-7", "127.0.0.1", (0, 1, 2))
        assert (found.state, found.topics[0].lags, found.done) == ("Stable", (1, 1, 1), 1)
        await fill(settings, "preprocessed", 1)
        assert (await read_until(watch, "segment", lambda group: group.lag == 4)).done == 1


@pytest.mark.services
async def test_several_workers_share_the_partitions(kafka: Any, topic_prefix: str) -> None:
    settings = await with_topics(kafka.brokers, topic_prefix)
    async with watching(settings) as watch, member(settings, "discover") as one, member(settings, "discover") as other:

        def shared(group: GroupReading) -> bool:
            return len(group.workers) == 2 and all(worker.partitions for worker in group.workers)

        async def keep(consumer: AIOKafkaConsumer) -> None:  # a member that is not read from joins no rebalance
            while True:
                await consumer.getmany(timeout_ms=100)

        keeping = [asyncio.create_task(keep(consumer)) for consumer in (one, other)]
        try:
            found = await read_until(watch, "discover", shared)
        finally:
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)
    assert sorted({partition for worker in found.workers for partition in worker.partitions or ()}) == [0, 1, 2]
    assert len({worker.name for worker in found.workers}) == 2


@pytest.mark.services
async def test_what_was_deleted_from_the_log_does_not_wait(kafka: Any, topic_prefix: str) -> None:
    settings = await with_topics(kafka.brokers, topic_prefix)
    await fill(settings, "segmented", 0, 0, 0)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.brokers)
    await admin.start()
    await admin.delete_records({TopicPartition(settings.topic("segmented"), 0): RecordsToDelete(before_offset=2)})
    await admin.close()
    async with watching(settings) as watch:
        found = await read_until(watch, "catalogue", lambda group: group.lag < 3)
    assert found.lag == 1


@pytest.mark.services
async def test_a_broker_that_comes_back_is_read_again(own_kafka: Any) -> None:
    settings = await with_topics(own_kafka.endpoint.brokers, "")
    async with watching(settings) as watch:
        await read(watch)
        await asyncio.to_thread(own_kafka.kill)
        before = time.monotonic()
        with pytest.raises(LogUnreadable, match=settings.brokers):
            await watch.read()
        assert time.monotonic() - before < 20
        await asyncio.to_thread(own_kafka.start)
        assert len(await read(watch)) == len(INPUTS)


@pytest.mark.services
async def test_a_broker_that_answers_nothing_is_given_up_on(own_kafka: Any) -> None:
    settings = await with_topics(own_kafka.endpoint.brokers, "")
    async with watching(settings) as watch:
        await read(watch)
        await asyncio.to_thread(own_kafka.pause)
        try:
            async with asyncio.timeout(20):
                with pytest.raises(LogUnreadable, match=settings.brokers):
                    await watch.read()
        finally:
            await asyncio.to_thread(own_kafka.resume)


async def test_the_embedded_broker_tells_workers_and_lag_though_not_whose_the_partitions_are(tmp_path: Path) -> None:
    async with running_broker(tmp_path / "broker.log") as broker:
        mine = {name.removeprefix("WATSON_").lower(): text for name, text in BROKER_SETTINGS.items()}
        settings = Settings(brokers=broker.address, partitions=2, **mine)
        await create_topics(settings)
        await fill(settings, "preprocessed", 0, 0, 1)
        async with watching(settings) as watch, member(settings, "segment") as consumer:
            await consumer.commit({TopicPartition("preprocessed", 0): 1})
            found = await read_until(watch, "segment", lambda group: group.lag == 2 and bool(group.workers))
            assert (await read(watch))["catalogue"].workers == ()
    (worker,) = found.workers
    assert worker.name
    assert worker.partitions is None
    assert found.topics[0].lags == (1, 1)
