"""Real Kafka, real processes, real faults: every message comes out, and every one is marked."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from tests.agents.transport.copying import SESSION_SECONDS, Copying, make_settings, stop
from tests.services import Kafka, KafkaEndpoint

pytestmark = [pytest.mark.services, pytest.mark.slow]

RATE = 250  # messages/s


@pytest.mark.parametrize("store", ["rocksdb", "memory"])
async def test_killing_the_only_worker_loses_nothing(
    kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path, store: str
) -> None:
    settings = make_settings(kafka.brokers, topic_prefix, tmp_path, table_store=store)
    async with Copying(settings, tmp_path, total=1500, rate=RATE) as copying:
        for _ in range(3):
            worker = copying.start()
            await copying.progressed(150)
            worker.kill()
            worker.wait()
        copying.start()
        await copying.finish()


async def test_graceful_restarts_under_load_lose_nothing_and_repeat_nothing(
    kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(kafka.brokers, topic_prefix, tmp_path)
    async with Copying(settings, tmp_path, total=1500, rate=RATE) as copying:
        for _ in range(3):
            worker = copying.start()
            await copying.progressed(150)
            began = time.monotonic()
            assert await asyncio.to_thread(stop, worker) == 0
            assert time.monotonic() - began < settings.stop_timeout
        copying.start()
        await copying.finish()
        assert sum(copying.seen.values()) == copying.total


async def test_of_two_workers_one_is_killed_and_comes_back(
    kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(kafka.brokers, topic_prefix, tmp_path)
    async with Copying(settings, tmp_path, total=3000, rate=RATE) as copying:
        copying.start("a")
        worker = copying.start("b")
        for _ in range(2):
            await copying.progressed(400)
            worker.kill()
            worker.wait()
            worker = copying.start("b")
        await copying.finish(40)


async def test_a_worker_that_was_believed_dead_wakes_up_and_does_no_harm(
    kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(kafka.brokers, topic_prefix, tmp_path)
    async with Copying(settings, tmp_path, total=3000, rate=RATE) as copying:
        zombie = copying.start("a")
        await copying.progressed(100)
        copying.start("b")
        await copying.progressed(300)
        zombie.send_signal(signal.SIGSTOP)
        await asyncio.sleep(SESSION_SECONDS + 2)
        zombie.send_signal(signal.SIGCONT)
        await copying.finish(40)


async def test_two_rebalances_in_quick_succession_leave_every_worker_consuming(
    kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(kafka.brokers, topic_prefix, tmp_path)
    async with Copying(settings, tmp_path, total=3000, rate=RATE) as copying:
        copying.start("a")
        await copying.progressed(100)
        for _ in range(3):
            others = [copying.start("b"), copying.start("c")]
            await copying.progressed(150)
            for worker in others:
                await asyncio.to_thread(stop, worker)
        await copying.finish(40)


async def test_a_broker_that_dies_and_comes_back_loses_nothing(own_kafka: Kafka, tmp_path: Path) -> None:
    settings = make_settings(own_kafka.endpoint.brokers, "broker-", tmp_path)
    async with Copying(settings, tmp_path, total=1500, rate=150) as copying:
        worker = copying.start()
        await copying.progressed(150)
        for _ in range(2):
            await asyncio.to_thread(own_kafka.kill)
            await asyncio.to_thread(own_kafka.start)
            await copying.progressed(200, 40)
        await copying.finish(40)
        assert worker.poll() is None, "it lived through it"
