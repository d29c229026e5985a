"""Reads the log outside any consumer group: from its beginning to its present end, or what stands at some places."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from watson.agents.header_names import tolerate_header_names
from watson.errors import BrokerUnavailable, Refused, UserError
from watson.events import Event, Record, decode
from watson.settings import Settings

__all__ = ["LogReader", "Place", "open_log", "replay", "replay_events"]

Place = tuple[str, int]
"""A topic, without prefix, and a partition."""

_POLL_MS = 1000
_SHORT_POLL_MS = 250
_FETCH_BYTES = 1 << 20
_FETCH_WAIT_MS = 100  # what is read stands there already; and a broker answers a connection's questions one by one
_PATIENCE_SECONDS = 60.0
"""A broker that delivers nothing for so long, though the end is not reached, is given up on."""


async def replay_events(settings: Settings, topics: Sequence[str]) -> AsyncIterator[Event]:
    """The events of some topics, as `replay` gives their records.

    What cannot be decoded is passed over: whoever reads it first sends it to the dead letters.

    Raises:
        BrokerUnavailable, UserError: as `replay`.
    """
    async for record in replay(settings, topics):
        try:
            event = decode(record)
        except Refused:
            continue
        yield event


async def replay(settings: Settings, topics: Sequence[str], partition: int | None = None) -> AsyncIterator[Record]:
    """All records of some topics (names without prefix), as far as they reached when this was called.

    Args:
        settings: where the broker is.
        topics: names without prefix.
        partition: only this one; None for all.

    Raises:
        BrokerUnavailable: no broker answers.
        UserError: a topic is missing, or the log cannot be read to its end.
    """
    async with _consumer(settings) as consumer:
        chosen = range(settings.partitions) if partition is None else [partition]
        places = [TopicPartition(settings.topic(name), part) for name in topics for part in chosen]
        async for record in _to_the_end(consumer, places, settings.topic_prefix):
            yield record


class LogReader:
    """Reads single records and stretches of the log."""

    def __init__(self, consumer: AIOKafkaConsumer, prefix: str) -> None:
        self._consumer = consumer
        self._prefix = prefix

    async def record_at(self, topic: str, partition: int, offset: int) -> Record | None:
        """What stands at a place (topic without prefix); None where nothing does, or no longer.

        Raises:
            UserError: the broker does not deliver it.
        """
        place = TopicPartition(self._prefix + topic, partition)
        begins, ends = await self._consumer.beginning_offsets([place]), await self._consumer.end_offsets([place])
        if not begins[place] <= offset < ends[place]:
            return None
        self._consumer.assign([place])
        self._consumer.seek(place, offset)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while not (batch := (await self._consumer.getmany(place, timeout_ms=_POLL_MS, max_records=1))):
                    if await self._consumer.position(place) > offset:  # only markers, or holes that compaction left
                        return None
        except TimeoutError as exc:
            raise UserError(f"the broker does not deliver {place.topic}[{partition}]@{offset}") from exc
        (message,) = batch[place]
        return _record(message, self._prefix) if message.offset == offset else None

    async def reach(self, places: Iterable[Place]) -> dict[Place, range]:
        """The offsets that each place has now."""
        full = {self._full(place): place for place in places}
        begins, ends = await self._consumer.beginning_offsets(list(full)), await self._consumer.end_offsets(list(full))
        return {place: range(begins[there], ends[there]) for there, place in full.items()}

    async def since(self, reach: Mapping[Place, range], time: datetime) -> dict[Place, int]:
        """The offset of each place's first record with a timestamp of ``time`` or later; its end where there is none.

        Not every broker is exact: it may be that of a record shortly before.
        """
        full = {self._full(place): place for place in reach}
        wanted = max(0, int(time.timestamp() * 1000))
        found = await self._consumer.offsets_for_times(dict.fromkeys(full, wanted))
        offsets: dict[Place, int] = {}
        for there, place in full.items():
            at = found.get(there)
            # Kafka says None where there is none, Tansu an offset without a timestamp
            known = at is not None and at.offset >= 0 and (at.timestamp is None or at.timestamp >= 0)
            offsets[place] = at.offset if known else reach[place].stop
        return offsets

    async def stretches(self, spans: Mapping[Place, range], deadline: float) -> AsyncIterator[Record]:
        """The records of some spans of offsets, in the order of each place; ends early at ``deadline`` (loop time)."""
        stops = {self._full(place): span.stop for place, span in spans.items() if span}
        if not stops:
            return
        self._consumer.assign(list(stops))
        for place, span in spans.items():
            if span:
                self._consumer.seek(self._full(place), span.start)
        left = set(stops)
        while left and asyncio.get_running_loop().time() < deadline:
            for place, batch in (await self._consumer.getmany(*left, timeout_ms=_SHORT_POLL_MS)).items():
                for message in batch:
                    if message.offset < stops[place]:
                        yield _record(message, self._prefix)
            reached = {place for place in left if await self._consumer.position(place) >= stops[place]}
            left -= reached
            if reached and left:
                self._consumer.pause(*reached)
        self._consumer.unsubscribe()  # fetches no more: a broker answers other questions only after a fetch that waits

    def _full(self, place: Place) -> TopicPartition:
        return TopicPartition(self._prefix + place[0], place[1])


@asynccontextmanager
async def open_log(settings: Settings, fetch_bytes: int = _FETCH_BYTES) -> AsyncIterator[LogReader]:
    """A reader of single records and stretches.

    Args:
        settings: where the broker is.
        fetch_bytes: of one partition at once; a larger record still comes, alone.

    Raises:
        BrokerUnavailable: no broker answers.
        UserError: the log cannot be read.
    """
    async with _consumer(settings, fetch_bytes) as consumer:
        yield LogReader(consumer, settings.topic_prefix)


@asynccontextmanager
async def _consumer(settings: Settings, fetch_bytes: int = _FETCH_BYTES) -> AsyncIterator[AIOKafkaConsumer]:
    tolerate_header_names()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.brokers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        request_timeout_ms=int(settings.request_timeout * 1000),
        max_partition_fetch_bytes=fetch_bytes,
        fetch_max_wait_ms=_FETCH_WAIT_MS,
    )
    try:
        await consumer.start()
        yield consumer
    except KafkaConnectionError as exc:
        raise BrokerUnavailable(
            f"no Kafka broker answers at {settings.brokers}: is it running, and is WATSON_BROKERS right?"
        ) from exc
    except KafkaError as exc:
        raise UserError(f"the log at {settings.brokers} cannot be read: {type(exc).__name__}: {exc}") from exc
    finally:
        await consumer.stop()


async def _to_the_end(consumer: AIOKafkaConsumer, places: list[TopicPartition], prefix: str) -> AsyncIterator[Record]:
    begins = await consumer.beginning_offsets(places)
    ends = await consumer.end_offsets(places)
    left = {place for place in places if begins[place] < ends[place]}
    if not left:
        return
    consumer.assign(list(left))
    await consumer.seek_to_beginning(*left)
    quiet = 0.0
    while left:
        began = asyncio.get_running_loop().time()
        batches = await consumer.getmany(*left, timeout_ms=_POLL_MS, max_records=1000)
        for place, batch in batches.items():
            for message in batch:
                if message.offset < ends[place]:
                    yield _record(message, prefix)
        # a position may pass the last record's offset + 1 where markers or compaction left holes
        reached = {place for place in left if await consumer.position(place) >= ends[place]}
        if reached:
            left -= reached
            consumer.pause(*reached)
        quiet = 0.0 if batches or reached else quiet + asyncio.get_running_loop().time() - began
        if quiet > _PATIENCE_SECONDS:
            raise UserError(f"the broker delivers nothing more of {', '.join(sorted({p.topic for p in left}))}")


def _record(message: Any, prefix: str) -> Record:
    return Record(
        topic=message.topic.removeprefix(prefix),
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        headers=tuple((name, value or b"") for name, value in message.headers),  # Kafka allows a null for a value
        timestamp=(message.timestamp or 0) / 1000,
    )
