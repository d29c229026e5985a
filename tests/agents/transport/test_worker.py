"""The process: exit codes, signals, no broker, two workers in one directory, and a table that comes back."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from tests.agents.transport.copier import SOURCE
from tests.agents.transport.copying import ROOT, Copying, environment, make_settings, stop
from tests.agents.transport.kit import eventually
from tests.services import KafkaEndpoint
from watson.agents.topics import create_topics
from watson.agents.transport import TransportApp
from watson.errors import RecordTooLarge
from watson.settings import Settings

pytestmark = pytest.mark.services


def _run(settings: Settings, *, module: str = "tests.agents.transport.copier", **more: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env=environment(settings, **more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


async def test_without_a_broker_it_ends_with_69_and_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = make_settings(f"127.0.0.1:{port}", "", tmp_path, broker_wait=1)
    code, output = await asyncio.to_thread(_run, settings)
    assert code == 69
    assert f"no Kafka broker answers at 127.0.0.1:{port}" in output
    assert "Traceback" not in output


async def test_without_topics_it_does_not_start(kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path) -> None:
    settings = make_settings(kafka.brokers, topic_prefix, tmp_path)
    code, output = await asyncio.to_thread(_run, settings)
    assert code != 0
    assert "Run `watson topics create`" in output


def _says_that_all_is_there(log: Path) -> bool:
    return "marks {0: 50, 1: 50, 2: 50, 3: 50}" in log.read_text()


@pytest.mark.slow
async def test_a_stalled_worker_ends_with_75(kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path) -> None:
    settings = make_settings(kafka.brokers, topic_prefix, tmp_path, stall_timeout=3)
    async with Copying(settings, tmp_path, total=100, rate=500) as copying:
        worker = copying.start(WORK_MS="600000")
        await asyncio.to_thread(worker.wait, 40)
        assert worker.returncode == 75
        assert "stalled" in copying.tail()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_within_the_limit_though_events_hang(
    kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path, number: signal.Signals
) -> None:
    settings = make_settings(kafka.brokers, topic_prefix, tmp_path)
    async with Copying(settings, tmp_path, total=100, rate=500) as copying:
        worker = copying.start(WORK_MS="600000")
        await eventually(lambda: "ready [0, 1, 2, 3]" in copying.tail(), 30)
        await asyncio.sleep(0.5)
        began = time.monotonic()
        assert await asyncio.to_thread(stop, worker, number) == 0
        assert time.monotonic() - began < settings.stop_timeout + 1


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [2.0, 3.0, 4.0])
async def test_a_signal_during_the_start_stops_it_too(
    kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path, seconds: float
) -> None:
    settings = make_settings(kafka.brokers, topic_prefix, tmp_path)
    async with Copying(settings, tmp_path, total=10, rate=500) as copying:
        worker = copying.start()
        await eventually(lambda: "starting" in copying.tail(), 30)
        await asyncio.sleep(seconds - 2)
        assert await asyncio.to_thread(stop, worker) == 0, copying.tail()


@pytest.mark.slow
@pytest.mark.parametrize("store", ["rocksdb", "memory"])
async def test_a_table_comes_back_after_a_restart_also_without_its_disk(
    kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path, store: str
) -> None:
    settings = make_settings(kafka.brokers, topic_prefix, tmp_path, table_store=store)
    async with Copying(settings, tmp_path, total=200, rate=2000) as copying:
        worker = copying.start("a")
        await copying.finish()
        await asyncio.to_thread(stop, worker)
        for name in ("a", "fresh"):
            worker = copying.start(name)
            log = tmp_path / f"worker-{name}.log"
            await eventually(partial(_says_that_all_is_there, log), 30)
            await asyncio.to_thread(stop, worker)


@pytest.mark.slow
async def test_a_corrupt_state_directory_is_recovered_from_the_changelog(
    kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(kafka.brokers, topic_prefix, tmp_path)
    async with Copying(settings, tmp_path, total=200, rate=2000) as copying:
        worker = copying.start("a")
        await copying.finish()
        await asyncio.to_thread(stop, worker)
        databases = list((tmp_path / "state-a").rglob("*.db"))
        assert len(databases) == 4
        for database in databases:
            (database / "CURRENT").write_text("nonsense")
        log = tmp_path / "worker-a.log"
        log.write_text("")
        worker = copying.start("a")
        await eventually(partial(_says_that_all_is_there, log), 30)
        assert log.read_text().count("moved aside") == 4
        await asyncio.to_thread(stop, worker)


@pytest.mark.slow
async def test_transaction_markers_at_the_end_are_no_work_that_is_left(
    kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path
) -> None:
    settings = make_settings(kafka.brokers, topic_prefix, tmp_path, stall_timeout=2)
    async with Copying(settings, tmp_path, total=40, rate=500) as copying:
        worker = copying.start()
        await copying.finish()
        producer = AIOKafkaProducer(bootstrap_servers=kafka.brokers, transactional_id=topic_prefix)
        await producer.start()
        for number in range(3):
            async with producer.transaction():
                await producer.send_and_wait(settings.topic(SOURCE), b"in a transaction %d" % number, partition=1)
        await producer.stop()
        await copying.until(lambda: len(copying.seen) == 43, 20)
        await asyncio.sleep(6)
        assert worker.poll() is None, copying.tail()


@pytest.mark.slow
async def test_it_works_on_the_embedded_broker(tansu: str, tmp_path: Path) -> None:
    settings = make_settings(tansu, "embedded-", tmp_path, idempotent_producer=False, max_batch_size=1)
    async with Copying(settings, tmp_path, total=300, rate=200) as copying:
        worker = copying.start()
        await copying.progressed(60, 40)
        worker.kill()
        worker.wait()
        worker = copying.start()
        await copying.finish(60)
        assert await asyncio.to_thread(stop, worker) == 0


async def test_an_app_without_inputs_starts_and_emits(kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path) -> None:
    settings = make_settings(kafka.brokers, topic_prefix, tmp_path)
    await create_topics(settings)
    app = TransportApp("web", settings)
    app.finalize()
    await app.start()
    try:
        assert app.is_ready()
        sent: Any = await app.emit(settings.topic(SOURCE), b"k", b"v", [("ce_id", b"1")], 2)
        assert (sent.partition, sent.offset) == (2, 0)
        with pytest.raises(RecordTooLarge, match=re.escape(settings.topic(SOURCE))):
            await app.emit(settings.topic(SOURCE), b"k", b"v" * 2_000_000, [])
    finally:
        await app.stop()
    assert not app.is_ready()


@pytest.mark.slow
async def test_a_worker_that_joined_before_the_broker_knew_its_topic_consumes_soon_after(
    kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path
) -> None:
    """Stock waits until aiokafka asks for metadata again by itself: five minutes."""
    settings = make_settings(kafka.brokers, topic_prefix, tmp_path)
    app, seen = TransportApp("segment", settings), asyncio.Event()

    @app.agent(app.topic(settings.topic(SOURCE), key_type=bytes, value_type=bytes, value_serializer="raw"))
    async def consume(stream: Any) -> None:
        async for _ in stream.noack().events():
            seen.set()

    app.finalize()
    await app.start()
    try:
        await eventually(app.is_ready, 30)
        assert app.health()["partitions"] == []
        await create_topics(settings)
        await app.emit(settings.topic(SOURCE), b"k", b"v", [], 0)
        async with asyncio.timeout(30):
            await seen.wait()
    finally:
        await app.stop()
