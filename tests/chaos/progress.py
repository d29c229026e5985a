"""Watches the log from outside: how far each topic is, and what state each job is in; by aiokafka alone."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Collection, Mapping
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

__all__ = ["Progress"]

_LOOK_SECONDS = 0.4
_REQUEST_MS = 5000
_KEPT = 2000  # samples: about a quarter of an hour

Place = tuple[str, int]


class Progress:
    """Looks twice a second, in a thread; a context manager. A broker that is away is waited for."""

    def __init__(self, brokers: str, prefix: str, partitions: int, topics: tuple[str, ...]) -> None:
        self._brokers, self._prefix = brokers, prefix
        self._places = [TopicPartition(prefix + topic, part) for topic in topics for part in range(partitions)]
        self._jobs = [TopicPartition(f"{prefix}jobs", part) for part in range(partitions)]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.samples: deque[tuple[float, dict[Place, int]]] = deque(maxlen=_KEPT)
        self.states: dict[str, tuple[str, str]] = {}
        """Job → time and state of its newest `JobChanged`."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)

    def total(self, topic: str) -> int:
        """Records of a topic now."""
        return sum(end for (name, _), end in self.samples[-1][1].items() if name == topic) if self.samples else 0

    def moved(self, topic: str, since: float, *, every_partition: bool) -> float | None:
        """Seconds from ``since`` (monotonic) until a topic had grown: anywhere, or in every partition. None: never."""
        start: dict[Place, int] | None = None
        for at, ends in list(self.samples):
            here = {place: end for place, end in ends.items() if place[0] == topic}
            if at <= since:
                continue
            if start is None:  # not the sample before: what grew between it and the fault would count
                start = here
                continue
            grown = [end > start[place] for place, end in here.items()]
            if all(grown) if every_partition else any(grown):
                return at - since
        return None

    def unread(self, inputs: Mapping[str, Collection[str]]) -> int | None:
        """Records that consumer groups have not committed (group → topics, without prefix); None: nobody knows now."""
        counted: list[int] = []

        def work() -> None:
            try:
                counted.append(asyncio.run(self._unread(inputs)))
            except (KafkaError, OSError, TimeoutError, asyncio.CancelledError):
                return  # asked again later

        thread = threading.Thread(target=work)  # a caller may have an event loop of its own
        thread.start()
        thread.join()
        return counted[0] if counted else None

    async def _unread(self, inputs: Mapping[str, Collection[str]]) -> int:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._brokers, request_timeout_ms=_REQUEST_MS)
        consumer = AIOKafkaConsumer(bootstrap_servers=self._brokers, request_timeout_ms=_REQUEST_MS)
        unread = 0
        try:
            await admin.start()
            await consumer.start()
            for group, topics in inputs.items():
                committed = await admin.list_consumer_group_offsets(self._prefix + group)
                places = [tp for tp in self._places if tp.topic.removeprefix(self._prefix) in topics]
                for tp, end in (await consumer.end_offsets(places)).items():
                    offset = committed[tp].offset if tp in committed else 0
                    unread += end - max(0, offset)
        finally:
            await admin.close()
            await consumer.stop()
        return unread

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            try:
                asyncio.run(self._follow())
            except (KafkaError, OSError, TimeoutError, asyncio.CancelledError):
                continue  # the broker is away: aiokafka's own stop may then end in a cancellation that nobody asked for

    async def _follow(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._brokers, auto_offset_reset="earliest", request_timeout_ms=_REQUEST_MS
        )
        try:
            await consumer.start()
            consumer.assign(self._jobs)
            while not self._stop.is_set():
                for batch in (await consumer.getmany(timeout_ms=int(_LOOK_SECONDS * 1000))).values():
                    for message in batch:
                        self._note(json.loads(message.value))
                ends = await consumer.end_offsets(self._places)
                sample = {(tp.topic.removeprefix(self._prefix), tp.partition): end for tp, end in ends.items()}
                self.samples.append((time.monotonic(), sample))
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await consumer.stop()

    def _note(self, event: dict[str, Any]) -> None:
        if "state" in event:
            self.states[event["job"]] = max(self.states.get(event["job"], ("", "")), (event["time"], event["state"]))
