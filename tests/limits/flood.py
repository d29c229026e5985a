"""Produces many events as fast as the broker takes them: plain aiokafka, pipelined, nothing of Watson's transport."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from watson.agents.ports import partition_of
from watson.events import Event, encode
from watson.settings import Settings

_ROUND = 2000  # sends between two looks at the acknowledgements


async def flood(settings: Settings, events: Iterable[Event]) -> int:
    """Send all; returns how many, when the broker has them."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.brokers, linger_ms=20, max_batch_size=1 << 18)
    await producer.start()
    sent = 0
    try:
        pending = []
        for event in events:
            key, value, headers = encode(event, "/flood")
            home = partition_of(key, settings.partitions)
            pending.append(await producer.send(settings.topic(event.topic), value, key, home, headers=headers))
            sent += 1
            if len(pending) == _ROUND:
                await asyncio.gather(*pending)
                pending.clear()
        await asyncio.gather(*pending)
    finally:
        await producer.stop()
    return sent


async def lag(settings: Settings, role: str, topics: Iterable[str]) -> int:
    """Records of the topics that the role's group has not committed."""
    done, end = await progress(settings, role, topics)
    return end - done


async def progress(settings: Settings, role: str, topics: Iterable[str]) -> tuple[int, int]:
    """Records of the topics that the role's group has committed, and all that there are."""
    places = [TopicPartition(settings.topic(name), part) for name in topics for part in range(settings.partitions)]
    group = settings.topic(f"watson-{role}")
    reader = AIOKafkaConsumer(bootstrap_servers=settings.brokers, group_id=group, enable_auto_commit=False)
    await reader.start()
    try:
        reader.assign(places)
        ends = await reader.end_offsets(places)
        return sum([await reader.committed(place) or 0 for place in places]), sum(ends.values())
    finally:
        await reader.stop()
