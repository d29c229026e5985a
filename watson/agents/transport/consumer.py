"""The consumer: fetches, hands over, and seeks, so that nothing that was fetched is lost on its way to the stream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import structlog
from faust.transport.consumer import ensure_TP
from faust.types import TP
from mode import Service

from watson.agents.transport.consumer_thread import CorrectedConsumerThread
from watson.agents.transport.offsets import CommittingConsumer

__all__ = ["CorrectedConsumer"]

_log = structlog.get_logger(__name__)

_FETCH_SECONDS = 1.0
_FETCH_SECONDS_REBALANCING = 0.2
_IDLE_SECONDS = 0.1
_POLL_SECONDS = 0.05
_COORDINATION_SECONDS = 1.0


class CorrectedConsumer(CommittingConsumer):
    """Faust's, with corrections b, j, k, n, o, x–z and those of its base class and its thread."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._parked = asyncio.Event()  # set while the drain loop holds no record
        self._parked.set()
        self._holes: dict[TP, int] = {}
        self.holes_reread = 0  # holes in the offsets that were read again
        self.fetches = 0  # done so far
        self.holes_healed = 0  # of these, such as held messages: each would have been a loss
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> CorrectedConsumerThread:
        return CorrectedConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def verify_all_partitions_active(self) -> None:
        """Nothing: stock logs guesses about slow streams here; the watchdog acts instead."""

    @Service.task  # type: ignore[untyped-decorator]  # mode is untyped
    async def _mind_the_coordination(self) -> None:
        """Corrections x and z: what nobody hears of while nothing is fetched.

        End the worker when its group's coordination has ended; see that its topics become known.
        """
        while not self.should_stop:
            await self.sleep(_COORDINATION_SECONDS)
            problem = self._thread.coordination_problem()
            if problem is not None and not self.should_stop:
                raise problem
            self._thread.ask_for_unknown_topics()

    # positions

    async def perform_seek(self) -> None:
        """Seek all stream partitions to the committed offsets, and begin the books anew."""
        offsets: Mapping[TP, int] = await self.seek_to_committed()
        self.reset_books(offsets)
        for tp, offset in offsets.items():
            self._read_offset[tp] = offset - 1  # the last one read; stock stores the next
            self._holes.pop(tp, None)
        self._buffered_partitions.clear()  # the queues were emptied: nobody will ever say that they have room again

    async def seek(self, partition: TP, offset: int) -> None:
        """Seek one partition and wait until aiokafka stands there."""
        await self.seek_wait({partition: offset})
        self._read_offset[ensure_TP(partition)] = offset - 1

    async def wait_for_stopped_flow(self) -> None:
        """Correction b: wait until the drain loop holds no record.

        Stock sets an event where it means to clear it, so that this never waits; positions are then sought under
        records that are still on their way, and those move the position past what was sought.
        """
        fetcher = self.app._fetcher  # noqa: SLF001 - Faust has no public name for it
        if fetcher.started and not fetcher.should_stop:
            await self._parked.wait()

    # fetching

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):  # noqa: SLF001 - the base class's way
                if self.flow_active:
                    self._parked.clear()
                    await self._drain_once()
                else:
                    self._parked.set()
                    await self.wait_first(self.can_resume_flow.wait(), fetcher._stopped.wait())  # noqa: SLF001 - ditto
        except (*self.consumer_stopped_errors, asyncio.CancelledError):
            if not self.app.should_stop:
                raise
        finally:
            self._parked.set()

    async def _drain_once(self) -> None:
        """Correction j: fetch with a frozen copy of the active partitions.

        Stock shares the live set with the other thread. When it becomes empty there, aiokafka takes that for "all
        partitions", and stock then drops the records that come.
        """
        active = frozenset(self._get_active_partitions())
        if not active:
            await self.sleep(_IDLE_SECONDS)
            return
        seconds = _FETCH_SECONDS_REBALANCING if self.app.rebalancing else _FETCH_SECONDS
        generation = self.app.consumer_generation_id
        records = await self._getmany(active, seconds)
        self.fetches += 1
        if records:
            await self._dispatch(records, generation)
        await asyncio.sleep(0)

    async def _dispatch(self, records: Mapping[Any, list[Any]], generation: int) -> None:
        """Hand records over until all are, or the flow stops: whoever stops it seeks before starting it again."""
        suspended = asyncio.ensure_future(self.suspend_flow.wait())
        read_again: set[TP] = set()
        try:
            for tp, record in self._wanted(records):
                if not self.flow_active or self.app.consumer_generation_id != generation:
                    return
                if tp in read_again or await self._is_behind_a_hole(tp, record.offset):
                    read_again.add(tp)
                elif not await self._deliver(tp, record, suspended):
                    return
        finally:
            suspended.cancel()

    def _wanted(self, records: Mapping[Any, list[Any]]) -> Iterator[tuple[TP, Any]]:
        """Each record not handed over yet, topics and partitions in turn.

        Correction n: a changelog record of a partition that is not ours is dropped here; stock applies it to the table
        that the record before it belonged to.
        """
        recovery = self.app.tables.recovery
        pairs: Iterable[tuple[Any, Any]] = self.scheduler.iterate(records)
        for pair, record in pairs:
            tp = ensure_TP(pair)
            if self._is_changelog_tp(tp) and tp not in recovery.active_tps and tp not in recovery.standby_tps:
                continue
            last = self._read_offset[tp]
            if last is None or record.offset > last:
                yield tp, record

    async def _is_behind_a_hole(self, tp: TP, offset: int) -> bool:
        """Correction k: believe in a hole in the offsets only when it is there twice.

        A fetched batch can show a hole that a second read does not show. Stock believes it and commits across.
        Returns True when the partition was sought back to the hole, so that this record comes again.
        """
        last = self._read_offset[tp]
        if last is None or not self.app.topics.acks_enabled_for(tp.topic):
            return False
        seen_before = self._holes.get(tp) == last
        if offset == last + 1:
            if seen_before:
                del self._holes[tp]
                self.holes_healed += 1
            return False
        if seen_before:
            del self._holes[tp]
            await self._add_gap(tp, last + 1, offset)
            return False
        self._holes[tp] = last
        self.holes_reread += 1
        self.log.info("Offsets %s..%s of %r are missing: reading again", last + 1, offset - 1, tp)
        await self.seek(tp, last + 1)
        return True

    async def _deliver(self, tp: TP, record: Any, suspended: asyncio.Future[Any]) -> bool:
        """Put one record into the streams' queues, waiting for room; False when the flow stopped meanwhile."""
        delivery = asyncio.ensure_future(self.callback(self._to_message(tp, record)))
        try:
            await asyncio.wait({delivery, suspended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not delivery.done():
                delivery.cancel()
        if not delivery.done() or not self.flow_active:
            return False  # perhaps delivered, perhaps not: it is read again after the seek
        delivery.result()
        self._read_offset[tp] = record.offset
        return True

    # the end of a generation

    async def wait_empty(self) -> None:
        """Correction o: let events in progress finish, and commit them, within a limit.

        Stock waits for ever, and cannot be cancelled: its ``_wait_for_ack`` swallows the cancellation.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.app.settings.drain_timeout
        while self._unacked_messages and not self.should_stop and loop.time() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
            self._clean_unacked_messages()
        if self._unacked_messages:
            self.log.warning("%d events not finished in time: they are read again", len(self._unacked_messages))
        await self._commit_in_time()

    async def _commit_in_time(self) -> None:
        commit = asyncio.ensure_future(self.commit_and_end_transactions())
        # not wait_for: a commit in progress swallows the cancellation too, and does no harm when it ends later
        done, _ = await asyncio.wait({commit}, timeout=self.app.settings.drain_timeout)
        if commit.cancelled():
            # the consumer's thread came to its end in the middle of it; let through, that would pass for a
            # cancellation of this task, and end the process with a traceback and no documented code
            self.log.warning("The commit was broken off: offsets are not committed, their events are read again")
        elif done:
            commit.result()
        else:
            self.log.warning("The broker does not answer: offsets are not committed, their events are read again")
            commit.add_done_callback(_log_late_failure)


def _log_late_failure(commit: asyncio.Future[Any]) -> None:
    if not commit.cancelled() and commit.exception() is not None:
        _log.warning("a late commit failed", exc_info=commit.exception())
