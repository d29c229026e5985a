"""Little is fetched at once, and an event that is larger than that comes all the same."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.services import KafkaEndpoint
from watson.agents.transport.options import faust_options
from watson.settings import Settings

RECORDS = 40
LARGE = 900_000  # bytes: about the largest that a broker takes


@pytest.mark.services
async def test_on_kafka_a_record_larger_than_a_fetch_is_delivered(kafka: KafkaEndpoint, tmp_path: Path) -> None:
    await _all_come(kafka.brokers, tmp_path)


async def test_on_the_embedded_broker_a_record_larger_than_a_fetch_is_delivered(tansu: str, tmp_path: Path) -> None:
    await _all_come(tansu, tmp_path)


async def _all_come(brokers: str, folder: Path) -> None:
    size: int = faust_options("project", Settings(brokers=brokers, state_dir=folder))["consumer_max_fetch_size"]
    assert size < LARGE
    topic = f"t{uuid.uuid4().hex[:10]}-large"
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 2, 1)])
        await _fill(brokers, topic)
        assert await _read(brokers, topic, size) == RECORDS
    finally:
        await admin.delete_topics([topic])
        await admin.close()


async def _fill(brokers: str, topic: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=brokers, max_batch_size=1) as producer:
        for number in range(RECORDS):  # large ones among small ones, in both partitions at the same time
            await producer.send_and_wait(topic, b"x" * (LARGE if number % 10 in (3, 4) else 3000), partition=number % 2)


async def _read(brokers: str, topic: str, size: int) -> int:
    places = [TopicPartition(topic, partition) for partition in range(2)]
    reader = AIOKafkaConsumer(
        bootstrap_servers=brokers, max_partition_fetch_bytes=size, auto_offset_reset="earliest", group_id=None
    )
    await reader.start()
    came = 0
    try:
        reader.assign(places)
        async with asyncio.timeout(30):
            while came < RECORDS:
                came += sum(map(len, (await reader.getmany(timeout_ms=500)).values()))
    finally:
        await reader.stop()
    return came
