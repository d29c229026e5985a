"""Recovery of the tables after a rebalance: quiesce, recover, seek, tell the role, resume."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from aiokafka.errors import IllegalStateError, KafkaError
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped

__all__ = ["CorrectedRecovery", "CorrectedTableManager"]

_RETRY_SECONDS = 0.5
_LOOK_SECONDS = 0.5


class _RecoveryEnd(asyncio.Event):
    """Correction s: the end of recovery is a state to be looked at, not only a signal that can be missed.

    Stock sets its event and clears it again without a pause; whoever begins to wait a moment later waits for ever.
    """

    def __init__(self, recovery: CorrectedRecovery) -> None:
        super().__init__()
        self._recovery = recovery

    async def wait(self) -> bool:  # type: ignore[override]  # returns True, as the base class does
        while not self.is_set() and self._recovery.need_recovery():
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    return await super().wait()
            except TimeoutError:
                continue
        self._recovery.flush_buffers()
        return True


class CorrectedRecovery(Recovery):  # type: ignore[misc]  # Faust is untyped
    """Faust's, with corrections a, m, s, t and u."""

    _signal_recovery_end: asyncio.Event | None
    _rebalances = 0  # app.rebalancing_count when this recovery was started

    @property
    def signal_recovery_end(self) -> asyncio.Event:
        """Set when all changelogs have been read."""
        if self._signal_recovery_end is None:
            self._signal_recovery_end = _RecoveryEnd(self)
        return self._signal_recovery_end

    async def _wait(self, coro: Awaitable[Any], timeout: float | None = None) -> None:  # noqa: ASYNC109 - Faust's
        """Correction m: a step that fails or takes too long is begun again.

        Stock takes a time-out for a stop and ends recovery for good: the worker stays in the group, alive, and never
        consumes again. On an error it dies, or waits for a next rebalance, which need not come.
        """
        signal = self.signal_recovery_start
        problem: object
        try:
            result = await self.wait_first(coro, signal, timeout=timeout)
        except (IllegalStateError, KafkaError, TimeoutError) as exc:
            problem = repr(exc)
        else:
            if self.should_stop:
                raise ServiceStopped
            if signal in result.done:
                raise RebalanceAgain
            if result.done:
                return
            problem = f"not done within {timeout} s"
        self.log.warning("A step of recovery failed (%s): starting again", problem)
        await asyncio.sleep(_RETRY_SECONDS)
        signal.set()
        raise RebalanceAgain

    async def _build_offsets(self, consumer: Any, tps: Any, destination: Any, title: str) -> None:
        """Correction u: a local store that is ahead of its changelog is thrown away.

        The log is the truth; it was lost or made anew. Stock ends the worker with ConsistencyError, at each start.
        """
        highwaters = self.active_highwaters if title == "active" else {}
        for tp in tps:
            have, there = destination[tp], highwaters.get(tp)
            if have is not None and there is not None and have > there:
                self.log.warning("The store of %r is ahead of its changelog (%s > %s): read anew", tp, have, there)
                self.tp_to_table[tp].discard_partition(tp.partition)
                destination[tp] = None
        await super()._build_offsets(consumer, tps, destination, title)

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Called by Faust's recovery when the changelogs have been read."""
        await self._resume(generation_id)

    async def _resume_streams(self, generation_id: int = 0) -> None:
        """Called by Faust's recovery where there are no tables."""
        await self._resume(generation_id)

    async def on_rebalance(self, assigned: Any, revoked: Any, newly_assigned: Any, generation_id: int = 0) -> None:
        """Called by Faust with the new assignment; starts a recovery."""
        self._rebalances = self.app.rebalancing_count
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    def _overtaken(self, generation_id: int) -> bool:
        """Correction t: whether another rebalance has begun since this recovery was started.

        Stock looks at the generation only, which changes at the end of a rebalance. One that has only begun has
        stopped the flow, and stock starts it again in the middle of it.
        """
        overtaken = self.app.consumer_generation_id != generation_id or self.app.rebalancing_count != self._rebalances
        if overtaken:
            self.log.info("Another rebalance has begun: not resuming")
        return bool(overtaken)

    async def _resume(self, generation_id: int) -> None:
        """Correction a: quiesce, then seek, then resume.

        Stock resumes the source partitions while the flow is active, seeks afterwards, and then clears the queues:
        events that were delivered in between are gone, and the position is past them.
        """
        app, consumer = self.app, self.app.consumer
        consumer.stop_flow()
        app.flow_control.suspend()
        await self._wait(consumer.wait_for_stopped_flow())
        await app.on_rebalance_complete.send()
        if self._overtaken(generation_id):
            return
        self._set_recovery_ended()
        for table in self.tables.values():  # no pause between this and the look above
            await table.on_recovery_completed(self.actives_for_table[table], self.standbys_for_table[table])
        if consumer.assignment():
            await self._wait(consumer.perform_seek(), timeout=app.conf.broker_request_timeout)
        await self._wait(app.announce_partitions())
        if not self._overtaken(generation_id):
            await self._open_the_gates()

    async def _open_the_gates(self) -> None:
        app, consumer = self.app, self.app.consumer
        self.completed.set()
        consumer.resume_partitions({tp for tp in consumer.assignment() if not self._is_changelog_tp(tp)})
        app.flow_control.resume()
        consumer.resume_flow()
        await app._fetcher.maybe_start()  # noqa: SLF001 - Faust has no public name for it
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()
        app.on_ready(self._rebalances)
        self.log.info("Worker ready")


class CorrectedTableManager(TableManager):  # type: ignore[misc]  # Faust is untyped
    """Faust's, with the corrected recovery."""

    _recovery: CorrectedRecovery | None

    @property
    def recovery(self) -> CorrectedRecovery:
        """The service that reads the changelogs."""
        if self._recovery is None:
            self._recovery = CorrectedRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
