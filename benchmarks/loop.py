"""What the Kafka loop costs: a worker of the stage that does almost nothing, over events that wait for it.

``catalogue`` touches neither store nor database, so its time for an event is decode, dedup, emit, mark, acknowledge.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from aiokafka import AIOKafkaConsumer, TopicPartition

from watson.agents.publish import publish
from watson.agents.topics import create_topics
from watson.embedded.broker import SETTINGS, free_ports, running_broker
from watson.events import ImageSegmented, MaskSummary, Normalised, Original, image_key, segmentation_id
from watson.settings import Settings, load_settings

SHA = "0" * 64
LIMIT_SECONDS = 300


def segmented(number: int) -> ImageSegmented:
    uri = f"s3://bucket/{number}.jpg"
    key = image_key(uri)
    masks = tuple(
        MaskSummary(index=n, category_id=n, category="cat", score=0.9, area=1000, box=(1.0, 2.0, 30.0, 40.0))
        for n in range(3)
    )
    return ImageSegmented(
        job="benchmark",
        image_key=key,
        dataset="benchmark",
        original=Original(uri=uri, sha256=SHA),
        normalised=Normalised(object="x", sha256=SHA, width=1024, height=768, version="1-1024"),
        model="m@1",
        weights_sha256=SHA,
        segmentation_id=segmentation_id(key, SHA, "1-1024", "m@1"),
        masks_object="masks/x.json.gz",
        masks_sha256=SHA,
        masks=masks,
    )


async def _ended(settings: Settings, consumer: AIOKafkaConsumer) -> int:
    places = [TopicPartition(settings.topic("catalogued"), p) for p in range(settings.partitions)]
    return sum((await consumer.end_offsets(places)).values())


async def measure(events: int, brokers: str | None) -> float:
    """Seconds for each event, of one worker, on the Kafka at ``brokers``, or on an embedded broker of its own."""
    with TemporaryDirectory() as folder:
        if brokers is not None:
            own = {"topic_prefix": f"bench{os.getpid()}-", "partitions": "4", "state_dir": folder}
            return await _measure(load_settings(brokers=brokers, **own), events, Path(folder))
        async with running_broker(Path(folder) / "broker.log") as broker:
            fields = {name.removeprefix("WATSON_").lower(): value for name, value in SETTINGS.items()}
            settings = load_settings(brokers=broker.address, partitions=4, state_dir=folder, **fields)
            return await _measure(settings, events, Path(folder))


async def _measure(settings: Settings, events: int, folder: Path) -> float:
    await create_topics(settings)
    for first in range(0, events, 500):
        await publish(settings, [segmented(n) for n in range(first, min(events, first + 500))])
    environment = {
        f"WATSON_{name.upper()}": str(getattr(settings, name))
        for name in (
            "brokers", "partitions", "state_dir", "topic_prefix", "idempotent_producer", "max_batch_size",
        )
    }  # fmt: skip
    environment["WATSON_WEB_PORT"] = str(free_ports(1)[0])
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.brokers)
    await consumer.start()
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "watson", "worker", "catalogue"],
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
        )
    try:
        return await _seconds_an_event(settings, consumer, events)
    finally:
        worker.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(worker.wait, 20)
        except subprocess.TimeoutExpired:
            worker.kill()
        await consumer.stop()


async def _seconds_an_event(settings: Settings, consumer: AIOKafkaConsumer, events: int) -> float:
    begin: tuple[float, int] | None = None
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            done, at = await _ended(settings, consumer), time.perf_counter()
            if done > 0 and begin is None:
                begin = at, done
            if done >= events and begin is not None:
                return (at - begin[0]) / max(1, done - begin[1])
            await asyncio.sleep(0.02)
