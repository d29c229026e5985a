"""The one loop that drives every role: decode, hand over, acknowledge; several events at once, each on its own.

Order: an event is acknowledged after its handler has returned, so whatever the handler did (emit, mark, upsert) is
durable by then. A worker that dies before it acknowledges gets the event again; one that loses the partition
meanwhile abandons the event, for whoever has the partition now gets it again. Up to ``window`` events are worked on
at once; Kafka's commit advances over the contiguous prefix of acknowledged ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from time import monotonic, time

import structlog

from watson import metrics, tracing
from watson.agents.attempts import WORKING_ON
from watson.agents.ports import Delivery
from watson.errors import PartitionRevoked, Refused
from watson.events import Event, Record, decode

__all__ = ["Loop"]

log = structlog.get_logger(__name__)

Handle = Callable[[Record, Event], Awaitable[str]]
"""Does the work for one event; returns its outcome, a metric label: emitted, repeated, quarantined, ignored, …"""

OnUndecodable = Callable[[Record, Refused], Awaitable[str]]

DRAIN_SECONDS = 5.0
"""On a stop, events in progress get this long to finish; others are delivered again to the next worker."""


class Loop:
    """Consumes deliveries for one role.

    Args:
        role: name of the role, a metric label.
        handle: called for each decoded event. It must deal with what can go wrong with the event itself; an exception
            from it means that the worker cannot go on (a broker or database that stays away), and ends the loop.
        on_undecodable: called for each record that cannot be decoded.
        window: events worked on at once.
    """

    def __init__(self, role: str, handle: Handle, on_undecodable: OnUndecodable, window: int) -> None:
        self._role = role
        self._handle = handle
        self._on_undecodable = on_undecodable
        self._window = window
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken: BaseException | None = None
        self._consuming: asyncio.Task[None] | None = None
        self._since: dict[int, float] = {}  # of each event in hand, when it came into the log
        metrics.CONSUMER_LAG_SECONDS.labels(role).set_function(self._oldest)

    async def consume(self, deliveries: AsyncIterator[Delivery]) -> None:
        """Work until the deliveries end or a handler raises.

        Raises:
            Exception: what the handler raised; the events in progress are not acknowledged.
        """
        slots = asyncio.Semaphore(self._window)
        self._consuming = asyncio.current_task()
        try:
            async with aclosing(deliveries) as source:  # type: ignore[type-var]  # an async generator in practice
                while True:
                    await slots.acquire()  # first: what is taken is worked on, and what waits can be seen to wait
                    if self._broken is not None:
                        raise self._broken
                    delivery = await self._next(source)
                    if delivery is None:
                        break
                    task = asyncio.create_task(self._one(delivery))
                    self._tasks.add(task)
                    task.add_done_callback(lambda done: self._finished(done, slots))
        except asyncio.CancelledError:
            if self._broken is None:
                raise
        finally:
            self._consuming = None
            await self._drain()
        if self._broken is not None:
            raise self._broken

    async def _next(self, source: AsyncIterator[Delivery]) -> Delivery | None:
        """The next one; the time until it comes counts as idle where nothing is in hand."""
        began, idle = monotonic(), not self._tasks
        delivery = await anext(source, None)
        if idle:
            metrics.IDLE_SECONDS.labels(self._role).inc(monotonic() - began)
        return delivery

    def _oldest(self) -> float:
        return max(0.0, time() - min(self._since.values())) if self._since else 0.0

    def _finished(self, task: asyncio.Task[None], slots: asyncio.Semaphore) -> None:
        self._tasks.discard(task)
        slots.release()
        if task.cancelled() or (broken := task.exception()) is None or self._broken is not None:
            return
        self._broken = broken
        if self._consuming is not None:  # it waits for the next delivery, which may be long in coming
            self._consuming.cancel()

    async def _drain(self) -> None:
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=DRAIN_SECONDS)
        for task in late:
            task.cancel()
        if late:
            log.warning("events not finished in time: they will be delivered again", events=len(late))
            await asyncio.wait(late, timeout=1.0)

    async def _one(self, delivery: Delivery) -> None:
        record, began = delivery.record, monotonic()
        self._since[id(delivery)] = record.timestamp or time()
        metrics.QUEUE_SECONDS.labels(self._role).observe(max(0.0, time() - self._since[id(delivery)]))
        WORKING_ON.set((record.topic, record.partition))
        with (
            structlog.contextvars.bound_contextvars(
                topic=record.topic, partition=record.partition, offset=record.offset
            ),
            tracing.consuming(self._role, record) as span,
        ):
            metrics.IN_FLIGHT.labels(self._role).inc()
            try:
                outcome = await self._dispatch(record)
            except PartitionRevoked as revoked:
                log.debug("event abandoned: it is another worker's now", why=str(revoked))
                span.set_attribute("watson.outcome", "abandoned")
                return
            except Exception:
                log.exception("the worker cannot go on", role=self._role)
                raise
            finally:
                del self._since[id(delivery)]
                metrics.IN_FLIGHT.labels(self._role).dec()
            span.set_attribute("watson.outcome", outcome)
            delivery.ack()
        metrics.EVENTS.labels(self._role, outcome).inc()
        metrics.EVENT_SECONDS.labels(self._role).observe(monotonic() - began)

    async def _dispatch(self, record: Record) -> str:
        try:
            event = decode(record)
        except Refused as refused:
            return await self._on_undecodable(record, refused)
        job = getattr(event, "job", None)
        image = getattr(event, "image_key", None)
        tracing.about(event_id=str(event.id), job=job, image_key=image and str(image))
        with structlog.contextvars.bound_contextvars(event_id=str(event.id), job=job, image=image and str(image)):
            return await self._handle(record, event)
