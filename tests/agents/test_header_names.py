"""A header whose name is not UTF-8 would stop its partition for ever."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.consumer import fetcher

from tests.agents.records import MARKED, send_header_names_that_are_not_text
from tests.services import KafkaEndpoint
from watson.agents import header_names
from watson.agents.header_names import tolerate_header_names
from watson.agents.topics import create_topics
from watson.settings import Settings

pytestmark = pytest.mark.services

SENT = [(b"before", []), (b"odd", [(MARKED, b"1"), ("ce_id", b"2"), ("null", None)]), (b"behind", [("ce_id", b"3")])]


@pytest.fixture
async def topic(kafka: KafkaEndpoint, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, TopicPartition]:
    """Where a record of the kind stands between two others."""
    settings = Settings(brokers=kafka.brokers, topic_prefix=topic_prefix, partitions=1)
    await create_topics(settings)
    send_header_names_that_are_not_text(monkeypatch)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.brokers)
    await producer.start()
    for value, headers in SENT:
        await producer.send_and_wait(settings.topic("segmented"), value, partition=0, headers=headers)
    await producer.stop()
    return kafka.brokers, TopicPartition(settings.topic("segmented"), 0)


async def _read(brokers: str, place: TopicPartition, wanted: int) -> list:
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        found: list = []
        async with asyncio.timeout(20):
            while len(found) < wanted:
                found += (await consumer.getmany(timeout_ms=500)).get(place, [])
        return found
    finally:
        await consumer.stop()


async def test_it_is_read_with_its_bytes_in_sight_and_so_is_what_stands_behind_it(topic) -> None:
    tolerate_header_names()
    found = await _read(*topic, wanted=3)
    assert [record.value for record in found] == [b"before", b"odd", b"behind"]
    assert [record.offset for record in found] == [0, 1, 2]
    assert found[1].headers == ((r"\xff\xfeT-TEXT", b"1"), ("ce_id", b"2"), ("null", None))
    assert found[2].headers == (("ce_id", b"3"),)


async def test_aiokafka_itself_never_gets_past_it(topic, monkeypatch: pytest.MonkeyPatch) -> None:
    """The day that this fails, aiokafka is cured and `watson.agents.header_names` can go."""
    monkeypatch.setattr(fetcher, "MemoryRecords", header_names._StockRecords)
    monkeypatch.setattr(fetcher, "PartitionRecords", header_names._StockPartition)
    for _ in range(2):
        with pytest.raises(UnicodeDecodeError):
            await _read(*topic, wanted=3)
