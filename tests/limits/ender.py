"""Ends every image at once, in place of the chain: reads ``image-discovered``, writes ``catalogued``, by aiokafka."""

from __future__ import annotations

import asyncio
from typing import Self
from uuid import uuid4

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from watson.settings import Settings

_SHA = "0" * 64


class Ender:
    """An async context manager. ``ended`` counts the events that it read: at least one an image."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.ended = 0

    async def __aenter__(self) -> Self:
        brokers = self._settings.brokers
        self._consumer = AIOKafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest")
        self._producer = AIOKafkaProducer(bootstrap_servers=brokers, linger_ms=5)
        await self._consumer.start()
        await self._producer.start()
        topic = self._settings.topic("image-discovered")
        self._consumer.assign([TopicPartition(topic, part) for part in range(self._settings.partitions)])
        self._task = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._consumer.stop()
        await self._producer.stop()

    def check(self) -> None:
        """Raise what it died of."""
        if self._task.done():
            self._task.result()

    async def _work(self) -> None:
        topic = self._settings.topic("catalogued")
        headers = [("ce_type", b"watson.image-catalogued.v1")]
        while True:
            for records in (await self._consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    end = _end(orjson.loads(record.value))
                    await self._producer.send(topic, end, record.key, record.partition, headers=headers)
                    self.ended += 1


def _end(found: dict) -> bytes:
    shared = {name: found[name] for name in ("time", "job", "image_key", "dataset", "original", "model")}
    normalised = {"object": "x", "sha256": _SHA, "width": 8, "height": 8, "version": "1-1024"}
    rest = {"segmentation_id": str(uuid4()), "masks_object": "x", "masks_sha256": _SHA, "weights_sha256": _SHA}
    last = {"masks": [], "rejected": 0, "code_version": "0", "segmented_at": found["time"]}
    return orjson.dumps({**shared, "normalised": normalised, **rest, **last})
