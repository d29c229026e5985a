"""``python -m benchmarks.recovery``: seconds until work goes on after a worker or the broker went away.

Real Kafka (a server of its own, which is killed too), two ``segment`` workers with the settings' defaults, and a
steady stream of events into every partition. A partition's time to recover is from the signal until the first record
that appears in ``segmented`` of that partition and was written after what got the signal had ended; given are the first
and the last of the partitions concerned. Needs what ``make test`` needs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.end_to_end.line import Worker
from tests.limits.backlog import Backlog
from tests.limits.memory import worker_pid
from tests.services import Kafka
from watson.agents.topics import create_topics
from watson.events import encode
from watson.settings import Settings

PARTITIONS = 4
RATE = 20  # events/s
LIMIT_SECONDS = 120.0
SETTLE_SECONDS = 3.0


class Stream:
    """Feeds ``preprocessed`` and notes when records of ``segmented`` were seen, by partition."""

    def __init__(self, settings: Settings, backlog: Backlog) -> None:
        self._settings, self._backlog = settings, backlog
        self.seen: dict[int, list[tuple[float, float]]] = defaultdict(list)  # when written, when seen

    async def __aenter__(self) -> Self:
        brokers = self._settings.brokers
        self._producer = AIOKafkaProducer(bootstrap_servers=brokers)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=brokers, auto_offset_reset="latest", metadata_max_age_ms=5000
        )
        await self._producer.start()
        await self._consumer.start()
        topic = self._settings.topic("segmented")
        self._consumer.assign([TopicPartition(topic, part) for part in range(PARTITIONS)])
        self._tasks = [asyncio.create_task(self._feed()), asyncio.create_task(self._watch())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._producer.stop()
        await self._consumer.stop()

    async def _feed(self) -> None:
        number = 0
        while True:
            key, value, headers = encode(self._backlog.preprocessed(number), "/benchmark")
            # not awaited to the end: a broker that is away must not stop the feeding of its come-back
            await self._producer.send(
                self._settings.topic("preprocessed"), value, key, number % PARTITIONS, headers=headers
            )
            number += 1
            await asyncio.sleep(1 / RATE)

    async def _watch(self) -> None:
        while True:
            for place, records in (await self._consumer.getmany(timeout_ms=50)).items():
                now = time.time()
                self.seen[place.partition] += [(record.timestamp / 1000, now) for record in records]

    def check(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()

    async def until_after(self, moment: float, ended: float, partitions: set[int]) -> dict[int, float]:
        """Seconds from ``moment`` until each partition's first record that was written after ``ended`` was seen."""
        found: dict[int, float] = {}
        async with asyncio.timeout(LIMIT_SECONDS):
            while len(found) < len(partitions):
                await asyncio.sleep(0.02)
                self.check()
                for part in partitions - found.keys():
                    later = [at for written, at in self.seen[part] if written > ended]
                    if later:
                        found[part] = later[0] - moment
        return found


class Pair:
    """Two workers of ``segment``."""

    def __init__(self, settings: Settings, folder: Path, *, static: bool) -> None:
        self._folder, self._static = folder, static
        self._environment = {
            "WATSON_BROKERS": settings.brokers,
            "WATSON_TOPIC_PREFIX": settings.topic_prefix,
            "WATSON_PARTITIONS": str(PARTITIONS),
            "WATSON_OBJECTS": settings.objects,
            "WATSON_TORCH_THREADS": "1",
        }
        self.first, self.second = self.worker("first"), self.worker("second")

    def worker(self, name: str) -> Worker:
        """A worker process. `Worker` gives each an instance id; the other program takes it away again."""
        program = "watson" if self._static else "benchmarks.without_instance_id"
        return Worker("segment", name, self._environment, self._folder, program)

    async def settled(self) -> None:
        """Both have partitions and are ready, for a while."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while not (self.parts(self.first) and self.parts(self.second)):  # noqa: ASYNC110 - other processes
                await asyncio.sleep(0.2)
        await asyncio.sleep(SETTLE_SECONDS)

    @staticmethod
    def parts(worker: Worker) -> set[int]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{worker.port}/health/ready", timeout=2) as answer:
                return set(json.loads(answer.read())["partitions"])
        except OSError:
            return set()

    def end(self) -> None:
        for worker in (self.first, self.second):
            if worker.process.poll() is None:
                worker.kill()


Fault = Callable[[Pair, Kafka], float]
"""Does it; returns since when nothing is written any more by what went away."""


def _end(pair: Pair, number: signal.Signals) -> float:
    os.kill(worker_pid(pair.second.process), number)
    pair.second.process.wait()
    return time.time()


def _kill(pair: Pair, _: Kafka) -> float:
    return _end(pair, signal.SIGKILL)


def _kill_and_start(pair: Pair, _: Kafka) -> float:
    ended = _end(pair, signal.SIGKILL)
    pair.second.restart()
    return ended


def _stop(pair: Pair, _: Kafka) -> float:
    return _end(pair, signal.SIGTERM)


def _stop_and_start(pair: Pair, _: Kafka) -> float:
    ended = _end(pair, signal.SIGTERM)
    pair.second.restart()
    return ended


def _broker(_: Pair, broker: Kafka) -> float:
    broker.kill()
    ended = time.time()
    broker.start()
    return ended


FAULTS: dict[str, tuple[Fault, bool]] = {
    "kill -9 of one of two": (_kill, False),
    "kill -9 of one, started again at once": (_kill_and_start, False),
    "SIGTERM of one of two": (_stop, False),
    "SIGTERM of one, started again": (_stop_and_start, False),
    "kill -9 of the broker, started again": (_broker, True),
}
"""And whether the partitions of both workers are concerned."""


async def measure(fault: Fault, broker: Kafka, settings: Settings, folder: Path, *, static: bool, all_: bool) -> str:
    await create_topics(settings)
    pair = Pair(settings, folder, static=static)
    try:
        async with Stream(settings, await asyncio.to_thread(Backlog, settings, folder)) as stream:
            await pair.settled()
            concerned = set(range(PARTITIONS)) if all_ else pair.parts(pair.second)
            undisturbed = set(range(PARTITIONS)) - concerned
            moment = time.time()
            ended = await asyncio.to_thread(fault, pair, broker)
            took = await stream.until_after(moment, ended, concerned)
            pause = max((_pause(stream.seen[part], moment) for part in undisturbed), default=0.0)
    finally:
        pair.end()
    others = f", the others' partitions rested {pause:.1f} s at most" if undisturbed else ""
    return f"{min(took.values()):5.1f} to {max(took.values()):5.1f} s{others}"


def _pause(seen: list[tuple[float, float]], moment: float) -> float:
    """The longest time without a record, from the fault on."""
    later = sorted(at for _, at in seen if at > moment - 1)
    return max((b - a for a, b in pairwise(later)), default=0.0)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--only", default="", help="part of a fault's name")
    chosen = options.parse_args()
    logging.disable(logging.CRITICAL)  # that the broker is away is known
    with TemporaryDirectory(prefix="watson-recovery-", ignore_cleanup_errors=True) as name:
        broker = Kafka(Path(name) / "kafka")
        broker.start()
        try:
            for number in range(chosen.rounds):
                for what, (fault, all_) in FAULTS.items():
                    for static in (False, True):
                        if chosen.only in what:
                            _print_one(Path(name), broker, what, fault, static=static, all_=all_, number=number)
        finally:
            broker.kill()


def _print_one(root: Path, broker: Kafka, what: str, fault: Fault, *, static: bool, all_: bool, number: int) -> None:
    folder = root / f"{number}-{static}-{what.replace(' ', '-')}"
    folder.mkdir()
    settings = Settings(
        brokers=broker.endpoint.brokers,
        topic_prefix=f"r{time.time_ns()}-",
        partitions=PARTITIONS,
        objects=f"file:{folder / 'objects'}",
    )
    kind = "static id " if static else "no static id"
    try:
        took = asyncio.run(measure(fault, broker, settings, folder, static=static, all_=all_))
    except TimeoutError:
        took = f"not within {LIMIT_SECONDS:g} s"
    print(f"{what:40} {kind:13} {took}   (load {os.getloadavg()[0]:.0f})", flush=True)


if __name__ == "__main__":
    sys.exit(main())
