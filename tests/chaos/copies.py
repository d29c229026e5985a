"""Duplicate and late delivery: every new record is produced once more, byte for byte, by aiokafka alone."""

from __future__ import annotations

import asyncio
import threading
from random import Random
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

__all__ = ["copy_records"]

_REQUEST_MS = 5000
_PATIENCE_SECONDS = 60.0


def copy_records(brokers: str, topics: list[str], partitions: int, *, seconds: float, delay: float, seed: int) -> int:
    """Copy what is produced during ``seconds`` into its own topic and partition; returns how many records.

    Args:
        brokers: where.
        topics: full names.
        partitions: of each.
        seconds: how long records are copied.
        delay: 0 copies each at once. Else copies are held back for so long, and then produced in any order.
        seed: of that order.
    """
    places = [TopicPartition(topic, part) for topic in topics for part in range(partitions)]
    own: set[tuple[str, int, int]] = set()

    def work() -> None:
        try:
            asyncio.run(_copy(brokers, places, seconds, delay, seed, own))
        except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as exc:
            # the broker went away (aiokafka's own stop may then end in a cancellation that nobody asked for)
            print(f"          copying ended early: {exc!r}", flush=True)  # noqa: T201 - part of the run's report

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return len(own)


async def _copy(
    brokers: str, places: list[TopicPartition], seconds: float, delay: float, seed: int, own: set[tuple[str, int, int]]
) -> None:
    held: list[Any] = []
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, request_timeout_ms=_REQUEST_MS)
    producer = AIOKafkaProducer(bootstrap_servers=brokers, request_timeout_ms=_REQUEST_MS)
    try:
        await _started(producer)
        await _started(consumer)
        consumer.assign(places)
        await consumer.seek_to_end(*places)
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            for batch in (await consumer.getmany(timeout_ms=300)).values():
                new = [m for m in batch if (m.topic, m.partition, m.offset) not in own]
                if delay:
                    held += new
                else:
                    await _produce(producer, new, own)
        if held:
            await asyncio.sleep(delay)
            Random(seed).shuffle(held)
            await _produce(producer, held, own)
    finally:
        await consumer.stop()
        await producer.stop()


async def _started(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """A broker that another fault has killed comes back."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            try:
                await client.start()
            except KafkaConnectionError:
                await asyncio.sleep(1.0)
            else:
                return


async def _produce(producer: AIOKafkaProducer, messages: list[Any], own: set[tuple[str, int, int]]) -> None:
    """Produce, and note where the copies stand, so that they are not copied in their turn."""
    sent = [
        await producer.send(m.topic, m.value, key=m.key, partition=m.partition, headers=list(m.headers))
        for m in messages
    ]
    for future in sent:
        place = await future
        own.add((place.topic, place.partition, place.offset))
