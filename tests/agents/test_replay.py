"""What audits and rebuilds read of the log."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer

from watson.agents.replay import replay
from watson.agents.topics import create_topics
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
