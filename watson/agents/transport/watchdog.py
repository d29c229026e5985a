"""Ends a worker that has work and does none, so that whoever supervises it starts it again."""

from __future__ import annotations

import asyncio
import os
from time import monotonic
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import FaustError
from faust.types import TP
from mode import Service

if TYPE_CHECKING:
    from watson.agents.transport.app import TransportApp

__all__ = ["EXIT_STALLED", "Watchdog"]

log = structlog.get_logger("watson.agents.transport")

EXIT_STALLED = 75  # EX_TEMPFAIL of sysexits.h: try again

_LOOK_SECONDS = 5.0
_ANSWER_SECONDS = 10.0
_PATIENCE_WITHOUT_BROKER = 5.0
"""Times the stall time-out: as long as the broker does not answer there is nothing that a restart would cure."""


class Watchdog(Service):  # type: ignore[misc]  # mode is untyped
    """Looks every few seconds whether anything moved: what was read, finished and committed, and recovery's rest.

    What is being tried again, however slowly, has an end of its own: a worker that was ended for it would begin to
    count its tries anew, and never come to their end.
    """

    stalled_for = 0.0
    """Seconds with work to do and nothing done; 0 when idle. Liveness probes should fail before the time-out."""

    def __init__(self, app: TransportApp, **options: Any) -> None:
        self.app = app
        self._seen: object = None
        self._since = monotonic()
        super().__init__(**options)

    @Service.task  # type: ignore[untyped-decorator]  # mode is untyped
    async def _watch(self) -> None:
        timeout = self.app.settings.stall_timeout
        self._since = monotonic()
        while not self.should_stop:
            await self.sleep(min(_LOOK_SECONDS, timeout / 4))
            if not self.app.producer_only and not self.app.should_stop:
                limit = timeout if await self.look() else timeout * _PATIENCE_WITHOUT_BROKER
                if self.stalled_for > limit:
                    self._give_up()

    async def look(self) -> bool:
        """Take one look and update `stalled_for`; returns False when the broker does not answer."""
        answered = True
        try:
            idle, state = await self._state()
        except (KafkaError, FaustError, TimeoutError) as exc:
            log.warning("the broker does not tell the ends of the partitions", error=repr(exc))
            answered, idle, state = False, False, self._seen
        if idle or state != self._seen or self.app.ends_by_itself():
            self._seen, self._since = state, monotonic()
        self.stalled_for = monotonic() - self._since
        return answered

    async def _state(self) -> tuple[bool, object]:
        app = self.app
        consumer, recovery = app.consumer, app.tables.recovery
        sources = {tp for tp in consumer.assignment() if tp.topic not in app.tables.changelog_topics}
        async with asyncio.timeout(_ANSWER_SECONDS):
            ends = await consumer.highwaters(*sources) if sources else {}
        progress = frozenset(
            (tp, consumer._read_offset[tp], consumer._committed_offset[tp], len(consumer._acked[tp]))  # noqa: SLF001 - the books of our own subclass
            for tp in sources
        )
        left = recovery.active_remaining_total() if app.in_recovery else 0
        unfinished = [tp for tp, end in ends.items() if await self._has_work(tp, end)]
        idle = app.is_ready() and not unfinished
        return idle, (progress, left, app.rebalancing_count)

    async def _has_work(self, tp: TP, end: int) -> bool:
        """Whether records are unread or unfinished.

        A commit before the end does not say so: the last offsets may be those of transaction markers, which aiokafka's
        position passes and no commit ever does.
        """
        consumer = self.app.consumer
        read, committed = consumer._read_offset[tp], consumer._committed_offset[tp]  # noqa: SLF001 - our own subclass
        if committed is None or (read is not None and read >= committed):
            return True
        if committed >= end:
            return False
        async with asyncio.timeout(_ANSWER_SECONDS):
            position: int = await consumer.position(tp)
        return position < end

    def _give_up(self) -> None:
        app = self.app
        log.critical(
            "stalled: there is work and nothing moves; ending, to be started again",
            seconds=round(self.stalled_for),
            exit_code=EXIT_STALLED,
            flow_active=app.consumer.flow_active,
            **{name: value for name, value in app.health().items() if name != "stalled_for"},
        )
        app.poisoned = True
        os._exit(EXIT_STALLED)
