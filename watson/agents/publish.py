"""Sends a few events from outside a worker: what the CLI and scripts do. Plain aiokafka, no Faust."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from watson.agents.ports import partition_of
from watson.errors import BrokerUnavailable, UserError
from watson.events import FIRST_OFFSET, Event, FailedRecord, Record, encode
from watson.settings import Settings

__all__ = ["publish", "resend"]

_SEND_SECONDS = 30.0
_AT_ONCE = 500
"""Records resent within one such time."""

_Outgoing = tuple[str, int, bytes | None, bytes | None, list[tuple[str, bytes]]]
"""Full topic, partition, key, value, headers."""


async def publish(settings: Settings, events: Iterable[Event], extra: Mapping[str, str] | None = None) -> None:
    """Send events and wait for the broker's acknowledgement of each.

    Raises:
        BrokerUnavailable: the broker cannot be reached, or does not take them in time.
        UserError: it refuses them.
    """
    records: list[_Outgoing] = []
    for event in events:
        key, value, headers = encode(event, "/watson/cli", extra)
        partition = partition_of(key, settings.partitions)
        records.append((settings.topic(event.topic), partition, key, value, headers))
    await _send(settings, records)


async def resend(settings: Settings, records: Sequence[FailedRecord | Record], extra: Mapping[str, str]) -> None:
    """Send records again, byte for byte, to the topic and partition where they were, some hundreds at a time.

    A failed record says where it stood at first, so that one that fails again has one dead letter, not two.

    Raises:
        BrokerUnavailable: the broker cannot be reached, or does not take them in time.
        UserError: it refuses them.
        ValueError: one is cut; `watson.agents.whole_records` gets the whole. Nothing was sent.
    """
    if any(isinstance(record, FailedRecord) and record.cut for record in records):
        raise ValueError("a record that was cut for its dead letter would be sent as another one")
    for start in range(0, len(records), _AT_ONCE):
        await _send(settings, [_again(settings, record, extra) for record in records[start : start + _AT_ONCE]])


def _again(settings: Settings, record: FailedRecord | Record, extra: Mapping[str, str]) -> _Outgoing:
    added = dict(extra)
    if isinstance(record, FailedRecord) and record.offset is not None:
        added[FIRST_OFFSET] = str(record.offset)
    headers = [header for header in record.headers if header[0] not in added]
    headers += [(name, value.encode()) for name, value in added.items()]
    return settings.topic(record.topic), record.partition, record.key, record.value, headers


async def _send(settings: Settings, records: list[_Outgoing]) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.brokers,
        enable_idempotence=settings.idempotent_producer,
        acks="all",
        max_batch_size=settings.max_batch_size,
        request_timeout_ms=int(settings.request_timeout * 1000),
    )
    try:
        async with asyncio.timeout(_SEND_SECONDS):
            await producer.start()
            pending = [
                await producer.send(topic, value, key=key, partition=partition, headers=headers)
                for topic, partition, key, value, headers in records
            ]
            await asyncio.gather(*pending)
    except (KafkaConnectionError, TimeoutError) as exc:
        raise BrokerUnavailable(
            f"the broker at {settings.brokers} did not take the events ({type(exc).__name__}): is it running, and is "
            "WATSON_BROKERS right?"
        ) from exc
    except (KafkaError, AssertionError) as exc:  # aiokafka asserts that a topic has the partition
        raise UserError(
            f"the broker at {settings.brokers} did not take the events: {type(exc).__name__}: {exc}. "
            "Do the topics exist (watson topics create)?"
        ) from exc
    finally:
        await producer.stop()
