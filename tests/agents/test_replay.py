"""What audits and rebuilds read of the log."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from watson.agents.replay import open_log, replay
from watson.agents.topics import create_topics
from watson.errors import BrokerUnavailable
from watson.settings import Settings


@pytest.mark.services
@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_records_are_read_whatever_codec_their_producer_chose(kafka, topic_prefix, codec):
    settings = Settings(brokers=kafka.brokers, topic_prefix=topic_prefix, partitions=1)
    await create_topics(settings)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.brokers, compression_type=codec)
    await producer.start()
    try:
        await producer.send_and_wait(f"{topic_prefix}manifests", b"a manifest " * 100)
    finally:
        await producer.stop()
    async with asyncio.timeout(60):
        values = [record.value async for record in replay(settings, ["manifests"])]
    assert values == [b"a manifest " * 100]


@pytest.mark.services
async def test_a_single_record_is_read_at_its_place_and_nothing_where_none_stands(kafka, topic_prefix):
    settings = Settings(brokers=kafka.brokers, topic_prefix=topic_prefix, partitions=2)
    await create_topics(settings)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.brokers)
    await producer.start()
    try:
        for number in range(5):
            await producer.send_and_wait(f"{topic_prefix}segmented", b"%d" % number, key=b"k", partition=1)
    finally:
        await producer.stop()
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.brokers)
    await admin.start()
    await admin.delete_records({TopicPartition(f"{topic_prefix}segmented", 1): RecordsToDelete(before_offset=2)})
    await admin.close()
    async with asyncio.timeout(60), open_log(settings) as log:
        found = [await log.record_at("segmented", 1, offset) for offset in (3, 2, 4, 1, 5, 0)]
        assert await log.record_at("segmented", 0, 0) is None
    assert [record and (record.topic, record.partition, record.offset, record.value) for record in found] == [
        ("segmented", 1, 3, b"3"),
        ("segmented", 1, 2, b"2"),
        ("segmented", 1, 4, b"4"),
        None,
        None,
        None,
    ]


async def test_a_log_whose_broker_is_away_says_where_it_was_looked_for():
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1"):
        async with open_log(Settings(brokers="127.0.0.1:1")):
            pass
