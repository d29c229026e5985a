"""The producer: flushed means flushed, acknowledged by all replicas, and a lost record stops the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from faust.sensors.base import Sensor
from faust.transport.drivers import aiokafka as driver
from faust.transport.producer import ProducerBuffer

if TYPE_CHECKING:
    from watson.agents.transport.app import TransportApp

__all__ = ["CorrectedProducer", "FailStop"]

_POLL_SECONDS = 0.005


class CorrectedProducerBuffer(ProducerBuffer):  # type: ignore[misc]  # Faust is untyped
    """Knows also of the record that it has taken from the queue and not yet handed to aiokafka."""

    busy = 0

    async def _send_pending(self, fut: Any) -> None:
        self.busy += 1
        try:
            await super()._send_pending(fut)
        finally:
            self.busy -= 1


class CorrectedProducer(driver.Producer):  # type: ignore[misc]  # Faust is untyped
    """Faust's, with correction o: ``flush`` returns when nothing is left, and not 0.1 s after the last success."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.buffer = CorrectedProducerBuffer(loop=self.loop, beacon=self.beacon)
        self.buffer.app = self.app

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": self.app.settings.idempotent_producer}

    async def flush(self) -> None:
        """Wait until the broker has all that was given to this producer. The caller sets the limit."""
        while (self.buffer.size or self.buffer.busy) and not self.buffer.should_stop:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(_POLL_SECONDS)
        await super().flush()


class FailStop(Sensor):  # type: ignore[misc]  # Faust is untyped
    """Correction o: a record sent in the background that failed for good ends the worker before it can commit.

    Stock logs the failure, and then commits past the event whose output or mark was lost.
    """

    def __init__(self, app: TransportApp) -> None:
        self.app = app
        super().__init__()

    def on_send_error(self, _producer: Any, exc: BaseException, _state: Any) -> None:
        """Called by Faust's topics when the broker refused a record or was away for too long."""
        if not self.app.poisoned:
            self.app.poisoned = True
            self.app.add_future(self.app.crash(exc))
