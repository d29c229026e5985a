"""Drives `copier` workers under faults, and counts what came out."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.agents.transport.copier import ROLE, SOURCE, TARGET
from watson.agents.topics import changelog_topic, create_topics
from watson.settings import Settings

PARTITIONS = 4
SESSION_SECONDS = 3.0
ROOT = Path(__file__).parents[3]


def make_settings(brokers: str, prefix: str, state: Path, **more: Any) -> Settings:
    """Short time-outs, so that faults are noticed within the test."""
    quick: dict[str, Any] = {
        "session_timeout": SESSION_SECONDS,
        "heartbeat_interval": 0.5,
        "rebalance_timeout": 5.0,
        "request_timeout": 6.0,
        "drain_timeout": 2.0,
        "web_port": 0,
        "partitions": PARTITIONS,
    }
    return Settings(brokers=brokers, topic_prefix=prefix, state_dir=state, **{**quick, **more})


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """The settings as variables for a worker process."""
    names = ("session_timeout", "heartbeat_interval", "rebalance_timeout", "request_timeout", "drain_timeout")
    names += ("web_port", "partitions", "brokers", "topic_prefix", "state_dir", "table_store", "stall_timeout")
    names += ("group_instance_id", "broker_wait", "idempotent_producer", "max_batch_size")
    set_ones = {name: value for name in names if (value := getattr(settings, name)) is not None}
    values = {f"WATSON_{name.upper()}": str(value) for name, value in set_ones.items()}
    return {**os.environ, **values, **more}


class Copying:
    """A source that is being filled, workers that copy it, and a reader of what they made."""

    def __init__(self, settings: Settings, directory: Path, total: int, rate: float) -> None:
        self.settings = settings
        self.total = total
        self.seen: Counter[bytes] = Counter()
        self._directory = directory
        self._rate = rate
        self._workers: list[subprocess.Popen[bytes]] = []
        self._logs: dict[int, Path] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await create_topics(self.settings)
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self.settings.brokers,
            enable_idempotence=self.settings.idempotent_producer,
            max_batch_size=self.settings.max_batch_size,
            acks="all",
        )
        await self._producer.start()
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.brokers, auto_offset_reset="earliest")
        await self._consumer.start()
        target = self.settings.topic(TARGET)
        self._consumer.assign([TopicPartition(target, part) for part in range(PARTITIONS)])
        self._tasks = [asyncio.create_task(self._fill()), asyncio.create_task(self._count())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for worker in self._workers:
            if worker.poll() is None:
                worker.kill()
                worker.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._producer.stop()
        await self._consumer.stop()

    async def _fill(self) -> None:
        source = self.settings.topic(SOURCE)
        for number in range(self.total):
            name = b"%05d" % number
            await self._producer.send(source, name, key=name, partition=number % PARTITIONS)
            await asyncio.sleep(1 / self._rate)

    async def _count(self) -> None:
        while True:
            for records in (await self._consumer.getmany(timeout_ms=200)).values():
                self.seen.update(record.value for record in records)

    def start(self, name: str = "a", **variables: str) -> subprocess.Popen[bytes]:
        """One worker; the same name means the same state directory."""
        state = self._directory / f"state-{name}"
        log = self._directory / f"worker-{name}.log"
        with log.open("ab") as output:
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.agents.transport.copier"],
                cwd=ROOT,
                env=environment(self.settings, WATSON_STATE_DIR=str(state), **variables),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._workers.append(worker)
        self._logs[worker.pid] = log
        return worker

    async def progressed(self, count: int, seconds: float = 20.0) -> None:
        """Wait until so many distinct messages more have come out (or all)."""
        goal = min(self.total, len(self.seen) + count)
        await self.until(lambda: len(self.seen) >= goal, seconds)

    async def until(self, reached: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not reached():
            if time.monotonic() > deadline:
                raise AssertionError(f"only {len(self.seen)} of {self.total} came out in time\n{self.tail()}")
            await asyncio.sleep(0.05)

    def tail(self) -> str:
        """The ends of the workers' logs."""
        return "\n".join(f"--- {log.name}\n{log.read_text()[-4000:]}" for log in set(self._logs.values()))

    async def finish(self, seconds: float = 30.0) -> None:
        """Wait until everything has come out, is marked and is committed."""
        await self.until(lambda: len(self.seen) >= self.total, seconds)
        deadline = time.monotonic() + 10
        unfinished = True
        while unfinished and time.monotonic() < deadline:
            unfinished = bool(await self._uncommitted() or await self._unmarked())
            await asyncio.sleep(0.3)
        assert await self._uncommitted() == 0, self.tail()
        assert await self._unmarked() == set(), self.tail()

    async def _uncommitted(self) -> int:
        source = [TopicPartition(self.settings.topic(SOURCE), part) for part in range(PARTITIONS)]
        group = self.settings.topic(f"watson-{ROLE}")
        reader = AIOKafkaConsumer(bootstrap_servers=self.settings.brokers, group_id=group, enable_auto_commit=False)
        await reader.start()
        try:
            reader.assign(source)
            ends = await reader.end_offsets(source)
            return sum([ends[place] - (await reader.committed(place) or 0) for place in source])
        finally:
            await reader.stop()

    async def _unmarked(self) -> set[bytes]:
        """Messages without a mark in the changelog."""
        changelog = changelog_topic(ROLE, "marks", self.settings)
        places = [TopicPartition(changelog, part) for part in range(PARTITIONS)]
        reader = AIOKafkaConsumer(bootstrap_servers=self.settings.brokers, auto_offset_reset="earliest")
        await reader.start()
        try:
            reader.assign(places)
            ends = await reader.end_offsets(places)
            marked: set[bytes] = set()
            while any([await reader.position(place) < ends[place] for place in places]):
                for records in (await reader.getmany(timeout_ms=200)).values():
                    marked.update(record.key for record in records)
            return {b"%05d" % number for number in range(self.total)} - marked
        finally:
            await reader.stop()


def stop(worker: subprocess.Popen[bytes], number: int = signal.SIGTERM, seconds: float = 15.0) -> int:
    """Send a signal and wait for the end; returns the exit code."""
    worker.send_signal(number)
    return worker.wait(seconds)
