"""Watson with a guarantee taken out, for tests of the tests: each replaces one piece of Watson in its own process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ["MUTANTS", "hold_emissions"]


def stock_classes() -> None:
    """Faust's own consumer, producer, stream and recovery in place of the corrected ones.

    Watson's mark tables and its watchdog stay: they are Watson's, not corrections of offsets.
    """
    from faust.sensors.base import Sensor
    from faust.streams import Stream
    from faust.tables.manager import TableManager
    from faust.tables.recovery import Recovery
    from faust.transport.drivers import aiokafka as driver

    from watson.agents.transport import app as transport

    class StockRecovery(Recovery):
        """Stock, which then tells the role of its partitions."""

        async def on_recovery_completed(self, generation_id: int = 0) -> None:
            await super().on_recovery_completed(generation_id)
            if self.app.consumer_generation_id == generation_id:
                await self.app.announce_partitions()
                self.app.on_ready(self.app.rebalancing_count)

    class StockTableManager(TableManager):
        """Stock, but for the above."""

        @property
        def recovery(self) -> Recovery:
            if self._recovery is None:
                self._recovery = StockRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
            return self._recovery

    class StockConsumer(driver.Consumer):
        """Stock, with the number that the watchdog looks at."""

        fetches = 0

    class StockSensor(Sensor):
        """Nothing ends the worker when a record could not be sent."""

        def __init__(self, _app: Any) -> None:
            super().__init__()

    transport.CorrectedTransport.Consumer = StockConsumer
    transport.CorrectedTransport.Producer = driver.Producer
    transport.CorrectedStream = Stream
    transport.CorrectedTableManager = StockTableManager
    transport.FailStop = StockSensor


def mark_before_emit() -> None:
    """A stage marks an event as done, and then emits its outcome."""
    from watson.agents.chain import ChainLink
    from watson.events import decode

    emit = ChainLink._emit

    async def marked_emit(self: Any, record: Any, outcome: Any, redrive: str | None) -> None:
        await self._marks.put(record.partition, decode(record).id.bytes, outcome.to_bytes())
        await emit(self, record, outcome, redrive)

    ChainLink._emit = marked_emit


def acknowledge_before_emit() -> None:
    """The loop acknowledges an event when it arrives: its offset is committed before its outcome is on the broker."""
    from watson.agents.loop import Loop

    finished = Loop._one

    async def one(self: Any, delivery: Any) -> None:
        delivery.ack()
        await finished(self, delivery)

    Loop._one = one


MUTANTS: dict[str, Callable[[], None]] = {
    "stock": stock_classes,
    "mark-first": mark_before_emit,
    "ack-first": acknowledge_before_emit,
}


def hold_emissions(seconds: float) -> None:
    """Every fourth emission of a stage waits so long before it goes out, while those behind it pass."""
    from watson.agents.chain import ChainLink

    emit = ChainLink._emit

    async def late(self: Any, record: Any, outcome: Any, redrive: str | None) -> None:
        if record.offset % 4 == 0:
            await asyncio.sleep(seconds)
        await emit(self, record, outcome, redrive)

    ChainLink._emit = late
