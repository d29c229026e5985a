"""Looks at Kafka, Cassandra and S3 by their own clients, not through Watson's code."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from cassandra.cluster import Cluster


def produce(brokers: str, topic: str, key: str, value: dict) -> None:
    """One JSON record, by aiokafka alone."""

    async def send() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=brokers)
        await producer.start()
        try:
            await producer.send_and_wait(topic, json.dumps(value).encode(), key=key.encode())
        finally:
            await producer.stop()

    asyncio.run(send())


def consume(brokers: str, topic: str, partitions: int) -> list[dict]:
    """All JSON values of a topic."""

    async def read() -> list[dict]:
        consumer = AIOKafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest")
        await consumer.start()
        try:
            places = [TopicPartition(topic, partition) for partition in range(partitions)]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            values: list[dict] = []
            while any([await consumer.position(place) < ends[place] for place in places]):
                for batch in (await consumer.getmany(timeout_ms=1000)).values():
                    values += [json.loads(message.value) for message in batch]
            return values
        finally:
            await consumer.stop()

    return asyncio.run(asyncio.wait_for(read(), 60))


class Watch:
    """Counts a topic's records while they come; a context manager. Cheap enough to be asked many times a second."""

    def __init__(self, brokers: str, topic: str, partitions: int) -> None:
        self._brokers = brokers
        self._places = [TopicPartition(topic, partition) for partition in range(partitions)]
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Self:
        self._consumer = self._loop.run_until_complete(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._consumer.stop())
        self._loop.close()

    async def _start(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._brokers)
        await consumer.start()
        return consumer

    def records(self) -> int:
        """How many were ever written."""
        ends = self._loop.run_until_complete(asyncio.wait_for(self._consumer.end_offsets(self._places), 10))
        return sum(ends.values())


def rows(node, keyspace: str, table: str, job: str) -> list[dict]:
    """All rows of a job in a Cassandra table, by a full scan."""
    with Cluster([node.host], port=node.port) as cluster, cluster.connect(keyspace) as session:
        found = session.execute(f"SELECT * FROM {table}", timeout=60)
        return [row._asdict() for row in found if row.job == job]


def assert_each_once(uris: list[str], expected: set[str]) -> None:
    twice = {uri: n for uri, n in Counter(uris).items() if n > 1}
    assert twice == {}
    assert set(uris) == expected


def assert_objects_are_right(s3_client, bucket: str, events: list[dict]) -> int:
    """Every object that the events refer to is in S3, with the hash that the event states."""
    wanted = {}
    for event in events:
        wanted[event["masks_object"]] = event["masks_sha256"]
        wanted[event["normalised"]["object"]] = event["normalised"]["sha256"]
    for key, sha256 in wanted.items():
        body = s3_client.get_object(Bucket=bucket, Key=f"watson/{key}")["Body"].read()
        assert hashlib.sha256(body).hexdigest() == sha256, key
    return len(wanted)
