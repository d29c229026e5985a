"""What is in Kafka, Cassandra and S3, read by their own clients: none of Watson's code is asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from botocore.exceptions import ClientError
from cassandra.cluster import Cluster

__all__ = ["TABLES", "TOPICS", "Evidence", "LogRecord", "read_catalogue", "read_log", "read_objects"]

TOPICS = (
    "manifests", "jobs", "image-discovered", "preprocessed", "segmented", "catalogued", "dead-letters",
)  # fmt: skip
TABLES = ("jobs", "job_counts", "images", "masks", "dead_letters", "dead_letters_by_reason")

_READ_SECONDS = 120.0
_GETS_AT_ONCE = 8


@dataclass(frozen=True)
class LogRecord:
    """One record of a topic (its name without prefix)."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    def header(self, name: str) -> str | None:
        return next((value.decode() for key, value in reversed(self.headers) if key == name), None)

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.value or b"{}")
        return found


@dataclass
class Evidence:
    """All that an oracle looks at."""

    log: list[LogRecord]
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    objects: dict[str, bytes | None] = field(default_factory=dict)
    """Key in the store → bytes, None where there is none; of all that a catalogued image refers to."""

    def of(self, topic: str) -> list[LogRecord]:
        return [record for record in self.log if record.topic == topic]


def read_log(brokers: str, prefix: str, partitions: int) -> list[LogRecord]:
    """All records of all topics, as far as they reach now."""

    async def read() -> list[LogRecord]:
        consumer = AIOKafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest")
        await consumer.start()
        try:
            places = [TopicPartition(prefix + topic, part) for topic in TOPICS for part in range(partitions)]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            found: list[LogRecord] = []
            async with asyncio.timeout(_READ_SECONDS):
                while any([await consumer.position(place) < ends[place] for place in places]):
                    for batch in (await consumer.getmany(timeout_ms=500)).values():
                        found += [_record(message, prefix) for message in batch]
            return found
        finally:
            await consumer.stop()

    with ThreadPoolExecutor(1) as pool:  # a caller may have an event loop of its own
        return pool.submit(lambda: asyncio.run(read())).result()


def _record(message: Any, prefix: str) -> LogRecord:
    topic = message.topic.removeprefix(prefix)
    return LogRecord(topic, message.partition, message.offset, message.key, message.value, tuple(message.headers))


def read_catalogue(host: str, port: int, keyspace: str) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables, by full scans."""
    with Cluster([host], port=port) as cluster, cluster.connect(keyspace) as session:
        return {
            table: [row._asdict() for row in session.execute(f"SELECT * FROM {table}", timeout=_READ_SECONDS)]
            for table in TABLES
        }


def read_objects(s3: Any, bucket: str, prefix: str, log: Iterable[LogRecord]) -> dict[str, bytes | None]:
    """The objects that catalogued events refer to."""
    wanted: set[str] = set()
    for record in log:
        if record.topic == "catalogued":
            event = record.event
            wanted |= {event["masks_object"], event["normalised"]["object"]}

    def get(key: str) -> bytes | None:
        try:
            return bytes(s3.get_object(Bucket=bucket, Key=f"{prefix}{key}")["Body"].read())
        except ClientError as exc:
            if exc.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise

    with ThreadPoolExecutor(_GETS_AT_ONCE) as pool:
        found: Mapping[str, bytes | None] = dict(zip(sorted(wanted), pool.map(get, sorted(wanted)), strict=True))
    return dict(found)
