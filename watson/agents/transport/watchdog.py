"""Ends a worker that has work and does none, so that whoever supervises it starts it again."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import threading
from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import FaustError
from faust.types import TP
from mode import Service

from watson import metrics
from watson.agents.transport.loop_guard import LoopGuard
from watson.agents.transport.stall_clocks import Books, Look, StallClocks

if TYPE_CHECKING:
    from watson.agents.transport.app import TransportApp

__all__ = ["EXIT_STALLED", "Watchdog"]

log = structlog.get_logger("watson.agents.transport")

EXIT_STALLED = 75  # EX_TEMPFAIL of sysexits.h: try again

_LOOK_SECONDS = 5.0
_ANSWER_SECONDS = 10.0
_LAST_WORDS_SECONDS = 5.0
_STANDARD_ERROR = 2
_PATIENCE_WITHOUT_BROKER = 5.0
"""Times the stall time-out: as long as the broker does not answer there is nothing that a restart would cure."""


class Watchdog(Service):  # type: ignore[misc]  # mode is untyped
    """Looks every few seconds whether each partition moves: what was read, finished and committed; and recovery's rest.

    What is being tried again, however slowly, has an end of its own: a worker that was ended for it would begin to
    count its tries anew, and never come to their end. A thread looks whether the event loop runs at all.
    """

    def __init__(self, app: TransportApp, **options: Any) -> None:
        self.app = app
        self._clocks = StallClocks(app.settings.stall_timeout, monotonic())
        self._guard: LoopGuard | None = None
        self._topics: set[str] = set()  # whose lag is shown
        super().__init__(**options)

    @property
    def stalled_for(self) -> float:
        """Seconds with work to do and nothing done; 0 when idle. Liveness probes should fail before the time-out."""
        return self._clocks.stalled_for

    async def on_start(self) -> None:
        """Begin to count."""
        timeout = self.app.settings.stall_timeout
        self._clocks = StallClocks(timeout, monotonic())
        if not self.app.producer_only:
            self._guard = LoopGuard(asyncio.get_running_loop(), timeout, self._give_up_blocked)
            self._guard.start()

    async def on_stop(self) -> None:
        """Stop the thread."""
        if self._guard is not None:
            self._guard.stop()

    @Service.task  # type: ignore[untyped-decorator]  # mode is untyped
    async def _watch(self) -> None:
        timeout = self.app.settings.stall_timeout
        while not self.should_stop:
            await self.sleep(min(_LOOK_SECONDS, timeout / 4))
            if not self.app.producer_only and not self.app.should_stop:
                limit = timeout if await self.look() else timeout * _PATIENCE_WITHOUT_BROKER
                if self.stalled_for > limit:
                    self._give_up()

    async def look(self) -> bool:
        """Take one look and update `stalled_for`; returns False when the broker does not answer."""
        try:
            seen = await self._look()
        except (KafkaError, FaustError, TimeoutError) as exc:
            log.warning("the broker does not tell the ends of the partitions", error=repr(exc))
            self._clocks.unanswered(monotonic())
            return False
        self._clocks.look(seen, monotonic())
        return True

    async def _look(self) -> Look:
        app = self.app
        consumer, recovery = app.consumer, app.tables.recovery
        sources = {tp for tp in consumer.assignment() if tp.topic not in app.tables.changelog_topics}
        async with asyncio.timeout(_ANSWER_SECONDS):
            ends = await consumer.highwaters(*sources) if sources else {}
        self._show(ends)
        work = {tp: await self._has_work(tp, end) for tp, end in ends.items()}
        return Look(
            books={tp: self._books(tp, work=work.get(tp, False)) for tp in sources},
            ready=app.is_ready(),
            rebalances=app.rebalancing_count,
            recovering=recovery.active_remaining_total() if app.in_recovery else 0,
            busy=app.ends_by_itself(),
            queued=any(queue.qsize() for queue in app.flow_control._queues),  # noqa: SLF001 - Faust has no public name for it
            fetches=consumer.fetches,
        )

    def _show(self, ends: Mapping[TP, int]) -> None:
        """What was seen, as metrics: events not yet committed by topic, and how large the tables are."""
        app = self.app
        lag: dict[str, int] = dict.fromkeys(self._topics, 0)
        for tp, end in ends.items():
            topic, committed = tp.topic.removeprefix(app.settings.topic_prefix), app.consumer._committed_offset[tp]  # noqa: SLF001 - see below
            lag[topic] = lag.get(topic, 0) + max(0, end - (committed or 0))
        self._topics.update(lag)  # of a topic that goes to others, 0 is shown from now on
        for topic, events in lag.items():
            metrics.CONSUMER_LAG.labels(app.role, topic).set(events)
        for name, table in app.tables.items():
            metrics.TABLE_ENTRIES.labels(app.role, name).set(table.entries())

    def _books(self, tp: TP, *, work: bool) -> Books:
        consumer = self.app.consumer
        read, committed = consumer._read_offset[tp], consumer._committed_offset[tp]  # noqa: SLF001 - the books of our own subclass
        next_one = -1 if committed is None else committed
        return Books(
            committed=next_one,
            read=-1 if read is None else read,
            done=next_one + len(consumer._acked[tp]),  # noqa: SLF001 - ditto
            work=work,
            tried=self.app.ends_by_itself((tp.topic.removeprefix(self.app.settings.topic_prefix), tp.partition)),
        )

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
            untouched=[f"{tp.topic}/{tp.partition}" for tp in self._clocks.stalled],
            flow_active=app.consumer.flow_active,
            **{name: value for name, value in app.health().items() if name != "stalled_for"},
        )
        app.poisoned = True
        os._exit(EXIT_STALLED)

    def _give_up_blocked(self, seconds: float) -> None:
        """In the guard's thread. What blocks the loop may block a log's writing too: that gets a limit of its own."""
        self.app.poisoned = True
        limit = threading.Timer(_LAST_WORDS_SECONDS, os._exit, (EXIT_STALLED,))
        limit.daemon = True
        limit.start()
        log.critical(
            "stalled: the event loop is blocked, by what stands in the main thread below; ending, to be started again",
            seconds=round(seconds),
            exit_code=EXIT_STALLED,
            role=self.app.role,
        )
        faulthandler.dump_traceback(_STANDARD_ERROR)
        os._exit(EXIT_STALLED)
