"""The Faust app of one role, made of the corrected classes, with tables of marks and acknowledged sending."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import faust
import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.structs import RecordMetadata
from faust.exceptions import FaustError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from watson import metrics
from watson.agents.header_names import tolerate_header_names
from watson.agents.transport.consumer import CorrectedConsumer
from watson.agents.transport.options import app_id, faust_options
from watson.agents.transport.producer import CorrectedProducer, FailStop
from watson.agents.transport.recovery import CorrectedTableManager
from watson.agents.transport.state_lock import StateLock
from watson.agents.transport.stream import CorrectedStream
from watson.agents.transport.tables import MarkTable
from watson.agents.transport.watchdog import Watchdog
from watson.errors import EmitFailed, RecordTooLarge, UserError
from watson.settings import Settings

__all__ = ["PartitionsReady", "TransportApp"]

log = structlog.get_logger("watson.agents.transport")  # this module's own name belongs to Faust's chatter

PartitionsReady = Callable[[set[int], set[int]], Awaitable[None]]
"""Told of the partitions that are this worker's now, and of those that were its before and are no more."""

Headers = list[tuple[str, bytes]]


class EndsByItself(Protocol):
    """Whether work is under way that has an end of its own, such as tries with time-outs: that is no stall.

    ``place``: on an event of this topic (without prefix) and partition; None: any work at all.
    """

    def __call__(self, place: tuple[str, int] | None = None) -> bool: ...


def _nothing_is_tried(place: tuple[str, int] | None = None) -> bool:  # noqa: ARG001 - as `EndsByItself` has it
    return False


class CorrectedTransport(driver.Transport):  # type: ignore[misc]  # Faust is untyped
    """Faust's Kafka driver with the corrected classes."""

    Consumer = CorrectedConsumer
    Producer = CorrectedProducer


class TransportApp(faust.App):  # type: ignore[misc]  # Faust is untyped
    """A Faust app that loses nothing.

    Args:
        role: names the app, its consumer group and its state directory.
        settings: Watson's.
        faust_options: more options of `faust.App`; they win over those made from the settings.
    """

    producer_only: bool
    poisoned = False
    """A record was lost or the worker is beyond help: nothing is committed any more, and the worker ends."""

    def __init__(self, role: str, settings: Settings, **faust_options_: Any) -> None:
        self.role = role
        self.settings = settings
        self.ends_by_itself: EndsByItself = _nothing_is_tried
        self._ready_callbacks: list[PartitionsReady] = []
        self._announced: set[int] = set()
        self._ready_since = -1  # rebalancing_count when the worker last became ready
        self._interrupted: float | None = None  # when events ceased to flow
        self._state_lock = StateLock(settings.state_dir / role)
        options = {
            **faust_options(role, settings),
            "TableManager": CorrectedTableManager,
            "Stream": CorrectedStream,
            **faust_options_,
        }
        if options["processing_guarantee"] != "at_least_once":
            raise ValueError("only at_least_once is supported: Faust's exactly_once loses and repeats messages")
        tolerate_header_names()
        super().__init__(app_id(role, settings), **options)
        self.sensors.add(FailStop(self))
        self.watchdog = Watchdog(self)

    def _new_transport(self) -> CorrectedTransport:
        return CorrectedTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> CorrectedTransport:
        return CorrectedTransport(self.conf.broker_producer, self)

    # for the role modules

    def mark_table(self, name: str, *, source: str) -> MarkTable:
        """A changelog-backed table, co-partitioned with a topic that this app consumes.

        Args:
            name: its changelog is the topic ``<prefix>watson-<role>-<name>-changelog``.
            source: name of the topic, with or without the prefix.
        """
        prefix = self.settings.topic_prefix
        table = MarkTable(
            self,
            name=name,
            source=source if source.startswith(prefix) else prefix + source,
            partitions=self.settings.partitions,
            beacon=self.tables.beacon,
        )
        self.tables.add(table)
        return table

    def on_partitions_ready(self, callback: PartitionsReady) -> PartitionsReady:
        """Call ``callback(assigned, revoked)`` after each rebalance: the tables are recovered, no event flows yet.

        When another rebalance comes in between it is cancelled, and called again. What it raises ends the worker.
        Can be used as a decorator. Faust's signal ``on_partitions_revoked`` tells of the beginning of a rebalance.
        """
        self._ready_callbacks.append(callback)
        return callback

    async def emit(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        partition: int | None = None,
    ) -> RecordMetadata:
        """Send one record and wait for the broker's acknowledgement.

        Raises:
            RecordTooLarge: it never will; nothing was sent.
            EmitFailed: the broker refused it, or did not answer in time; whether it has it is unknown.
        """
        sent = await self.send_record(topic, key, value, headers, partition)
        await asyncio.wait({sent}, timeout=self.settings.emit_timeout)
        if not sent.done():
            raise EmitFailed(f"{topic}: not acknowledged within {self.settings.emit_timeout:g} s")
        try:
            return sent.result()
        except MessageSizeTooLargeError as exc:
            raise RecordTooLarge(f"{topic}: the broker does not take {len(value or b'')} bytes: {exc}") from exc
        except KafkaError as exc:
            raise EmitFailed(f"{topic}: {exc!r}") from exc

    async def send_record(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None, partition: int | None
    ) -> asyncio.Future[RecordMetadata]:
        """Hand one record to the producer; the future is done when the broker has acknowledged it.

        Futures of one partition are done in the order of the records' offsets.

        Raises:
            RecordTooLarge: it is beyond what a producer sends.
            EmitFailed: the producer is not running or does not know the topic.
        """
        try:
            async with asyncio.timeout(self.settings.emit_timeout):
                sent: asyncio.Future[RecordMetadata] = await self.producer.send(
                    topic, key, value, partition, None, headers or None
                )
                return sent
        except (FaustError, KafkaError, TimeoutError, AssertionError) as exc:
            cause = exc.__cause__ or exc
            if isinstance(cause, MessageSizeTooLargeError):
                raise RecordTooLarge(f"{topic}: {cause}") from exc
            raise EmitFailed(f"{topic}: {cause!r}") from exc

    # what health checks ask

    def is_ready(self) -> bool:
        """Whether events flow: started, no rebalance or recovery in progress, nothing lost."""
        if self.poisoned or self.should_stop or not self.started:
            return False
        return self.producer_only or self._ready_since == self.rebalancing_count

    def health(self) -> dict[str, Any]:
        """For the health pages; `stalled_for` is in seconds and grows only while there is work and none is done."""
        return {
            "role": self.role,
            "ready": self.is_ready(),
            "rebalancing": bool(self.rebalancing),
            "recovering": bool(getattr(self, "in_recovery", False)),
            "partitions": sorted(self._partitions()),
            "stalled_for": round(self.watchdog.stalled_for, 1),
            "poisoned": self.poisoned,
        }

    def _partitions(self) -> set[int]:
        changelogs = self.tables.changelog_topics
        return {tp.partition for tp in self._assignment or () if tp.topic not in changelogs}

    # what the corrected classes call

    async def announce_partitions(self) -> None:
        """Tell the role of its partitions."""
        assigned = self._partitions()
        for callback in self._ready_callbacks:
            await callback(set(assigned), self._announced - assigned)
        self._announced = assigned

    def on_rebalance_start(self) -> None:
        """The group begins to share out its partitions anew."""
        super().on_rebalance_start()
        metrics.REBALANCES.labels(self.role).inc()
        self._interrupted = self._interrupted or monotonic()

    def on_ready(self, rebalances: int) -> None:
        """Events flow again."""
        self._ready_since = rebalances
        if self._interrupted is not None:
            metrics.RECOVERY_SECONDS.labels(self.role).observe(monotonic() - self._interrupted)
            self._interrupted = None
        log.info("ready", role=self.role, partitions=sorted(self._partitions()))

    # Faust's life cycle

    def on_init_dependencies(self) -> Any:
        """Without agents there is nothing to consume: only the producer and the web server are started."""
        self.producer_only = self.producer_only or not self.agents
        return super().on_init_dependencies()

    def _create_directories(self) -> None:
        if self.tables and self.settings.table_store == "rocksdb":
            self._state_lock.acquire()
        Path(self.conf.datadir).mkdir(parents=True, exist_ok=True)
        super()._create_directories()

    async def on_start(self) -> None:
        """Check the tables' sources, start the watchdog."""
        consumed = {topic for agent in self.agents.values() for topic in agent.get_topic_names()}
        for table in self.tables.values():
            if table.source not in consumed:
                raise UserError(
                    f"table {table.name!r} shares the partitions of {table.source!r}, which role {self.role!r} does "
                    f"not consume; it consumes {', '.join(sorted(consumed)) or 'nothing'}"
                )
        await super().on_start()
        await self.add_runtime_dependency(self.watchdog)

    async def _on_partitions_revoked(self, revoked: set[TP]) -> None:
        await super()._on_partitions_revoked(revoked)  # lets events in progress finish, so they may still mark
        for table in self.tables.values():
            table.surrender()

    async def on_shutdown(self) -> None:
        """Let go of the state directory."""
        await super().on_shutdown()
        self._state_lock.release()
