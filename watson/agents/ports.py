"""What the agents' logic needs of Kafka, as small protocols: the transport fulfils them, tests have fakes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from watson import tracing
from watson.events import Event, Record, encode

__all__ = ["Delivery", "Emitter", "Marks", "Outbox"]


class Emitter(Protocol):
    """Sends one record; returns when the broker has it."""

    async def emit(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
        partition: int | None = None,
    ) -> object:
        """Send to the full topic name and wait for the broker's acknowledgement."""
        ...


class Marks(Protocol):
    """A changelog-backed table of bytes, one part a partition."""

    def get(self, partition: int, key: bytes) -> bytes | None:
        """The value, or None."""
        ...

    async def put(self, partition: int, key: bytes, value: bytes | None) -> None:
        """Write (None deletes); returns when the changelog has it."""
        ...

    def items(self, partition: int, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All that this worker holds of a partition whose key begins with ``prefix``."""
        ...


class Delivery(Protocol):
    """A record that was delivered, until it is acknowledged."""

    record: Record

    def ack(self) -> None:
        """Done with: it need not be delivered again."""
        ...


@dataclass(frozen=True, slots=True)
class Outbox:
    """Sends events as a role: encodes, names the topic in full, chooses the partition.

    The partition of a key is Kafka's own (murmur2, as the Java client chooses it), computed here rather than left to
    whichever producer, so that all topics agree on where an image or a job is at home.
    """

    emitter: Emitter
    role: str
    prefix: str
    partitions: int

    async def send(self, event: Event, *, partition: int | None = None, extra: Mapping[str, str] | None = None) -> None:
        """Emit one event and wait until the broker has it.

        Raises:
            EmitFailed: the broker did not take it in time.
        """
        key, value, headers = encode(event, f"/watson/{self.role}", {**(extra or {}), **tracing.headers()})
        home = self.home(key) if partition is None else partition
        await self.emitter.emit(self.prefix + event.topic, key, value, headers, home)

    def home(self, key: bytes) -> int:
        """The partition where a key belongs."""
        return partition_of(key, self.partitions)


def partition_of(key: bytes, partitions: int) -> int:
    """Kafka's default partition of a key.

    Source: org.apache.kafka.clients.producer.internals.BuiltInPartitioner.partitionForKey (murmur2, sign bit off).
    """
    from aiokafka.partitioner import murmur2  # noqa: PLC0415 - keeps this module free of Kafka for the fakes' users

    return int((murmur2(key) & 0x7FFFFFFF) % partitions)
