"""Faust's events as deliveries: raw bytes, the topic's plain name, acknowledged by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from watson.agents.ports import Delivery
from watson.agents.transport import TransportApp
from watson.events import Record

__all__ = ["deliveries", "input_topic"]


@dataclass(slots=True)
class _FaustDelivery:
    record: Record
    event: Any  # faust.Event

    def ack(self) -> None:
        self.event.ack()


def input_topic(app: TransportApp, prefix: str, names: Sequence[str]) -> Any:
    """The Faust topic (one channel) of several topics, with nothing decoded."""
    full = [prefix + name for name in names]
    return app.topic(*full, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


async def deliveries(stream: Any, prefix: str) -> AsyncIterator[Delivery]:
    """What a Faust stream brings; nothing is acknowledged but by `Delivery.ack`."""
    async for event in stream.noack().events():
        message = event.message
        headers = message.headers or ()
        pairs = headers.items() if hasattr(headers, "items") else headers
        record = Record(
            topic=message.topic.removeprefix(prefix),
            partition=message.partition,
            offset=message.offset,
            key=message.key,
            value=message.value,
            headers=tuple((name, bytes(value or b"")) for name, value in pairs),  # Kafka allows a null for a value
            timestamp=message.timestamp or 0.0,
        )
        yield _FaustDelivery(record, event)
