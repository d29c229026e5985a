"""The consumer's thread: everything that talks to aiokafka's consumer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.threads import MethodQueue

__all__ = ["CorrectedConsumerThread"]

_CONCURRENT_CALLS = 8


class CorrectedConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped
    """Faust's, with corrections i, p–r, x and z."""

    _method_queue: MethodQueue | None

    @property
    def method_queue(self) -> MethodQueue:
        """Correction r: room for several calls at once.

        Stock has two. A fetch that waits for an assignment and a request that waits for the broker take both, and then
        the commit of the rebalance under way cannot be made.
        """
        queue: MethodQueue | None = self._method_queue
        if queue is None:
            queue = self._method_queue = MethodQueue(
                loop=self.thread_loop, beacon=self.beacon, num_workers=_CONCURRENT_CALLS
            )
        return queue

    def on_crash(self, msg: str, *fmt: Any, **_: Any) -> None:
        """Log, where stock prints a traceback to the terminal."""
        self.log.error(msg.format(*fmt), exc_info=True)  # noqa: LOG014 - called by mode in an except clause

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek all stream partitions; returns where each now stands."""
        result: Mapping[TP, int] = await self.call_thread(self._seek_to_committed)
        return result

    async def _seek_to_committed(self) -> Mapping[TP, int]:
        """Correction i: seek also where nothing was committed yet.

        aiokafka's own ``seek_to_committed`` skips partitions whose commit is 0 or absent. Their position stays past
        records that were fetched and then dropped by the rebalance, and those are never processed.
        """
        consumer, changelogs = self._ensure_consumer(), self.app.tables.changelog_topics
        generation = self.app.consumer_generation_id
        tps = [tp for tp in consumer.assignment() if tp.topic not in changelogs]
        committed = await asyncio.gather(*(consumer.committed(tp) for tp in tps))
        offsets: dict[Any, int | None] = dict(zip(tps, committed, strict=True))
        fresh = [tp for tp, offset in offsets.items() if offset is None]
        if fresh:
            latest = self.app.conf.consumer_auto_offset_reset == "latest"
            offsets.update(await (consumer.end_offsets if latest else consumer.beginning_offsets)(fresh))
        if generation != self.app.consumer_generation_id:  # this call has waited out a rebalance
            raise IllegalStateError("the group rebalanced while the committed offsets were fetched")
        for tp, offset in offsets.items():
            consumer.seek(tp, offset)
        return {ensure_TP(tp): offset for tp, offset in offsets.items() if offset is not None}

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's signature
        max_records: int | None = None,
    ) -> Any:
        """Correction p: hear of it when the group's coordination has failed.

        On an error that it cannot handle itself aiokafka leaves the group and waits for ever until somebody calls
        ``check_errors``, as its own ``getmany`` does. Stock Faust goes round ``getmany``: the worker stays alive, holds
        no partitions and never consumes again. Here it fails loudly, and whoever supervises starts it again.
        """
        if consumer._coordinator is not None:  # noqa: SLF001 - as Faust itself reaches into aiokafka
            consumer._coordinator.check_errors()  # noqa: SLF001 - ditto
        return await super()._fetch_records(consumer, active_partitions, timeout=timeout, max_records=max_records)

    def coordination_problem(self) -> BaseException | None:
        """Correction x: what the group's coordination died of, or waits to be asked for; None while it goes on.

        Nobody fetches while there is no assignment, so correction p is deaf just then. Seen: a broker under load names
        no brokers at all in its first answer, aiokafka's coordination ends by an AssertionError, and the worker never
        joins its group. Looks only, and so may be called from another thread.
        """
        coordinator = self._consumer._coordinator if self._consumer is not None else None  # noqa: SLF001 - see above
        task: asyncio.Task[None] | None = getattr(coordinator, "_coordination_task", None)
        if task is not None and task.done() and not task.cancelled() and task.exception() is not None:
            return task.exception()
        problem: BaseException | None = getattr(coordinator, "_pending_exception", None)
        return problem

    def ask_for_unknown_topics(self) -> None:
        """Correction z: ask again for the partitions of topics that the broker did not know a moment ago.

        A broker that has just come back may not know its topics yet. Where the group's leader asks it then, Faust
        leaves those topics out of the assignment: every worker is ready and has no partition, until aiokafka asks again
        by itself, five minutes later. aiokafka joins the group anew as soon as it hears of other partitions than
        before. Returns at once, and may be called from another thread.
        """
        if self._consumer is not None:
            self.thread_loop.call_soon_threadsafe(self._ask_for_unknown_topics, self._consumer)

    def _ask_for_unknown_topics(self, consumer: Any) -> None:
        subscribed = getattr(consumer._coordinator, "_group_subscription", None) or ()  # noqa: SLF001 - as Faust itself reaches into aiokafka; None where another worker leads
        cluster = consumer._client.cluster  # noqa: SLF001 - ditto
        if unknown := sorted(topic for topic in subscribed if not cluster.partitions_for_topic(topic)):
            self.log.warning("The broker does not know %s yet: asking again", ", ".join(unknown))
            consumer._client.force_metadata_update()  # noqa: SLF001 - ditto

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Correction q: a commit that fails is tried again at the next interval.

        Stock ends the worker when the partitions of a commit were revoked meanwhile (``ValueError`` for an empty
        commit, ``IllegalStateError``) or the broker answers with an error.
        """
        consumer = self._ensure_consumer()
        assigned = self.assignment()
        wanted = {driver.ensure_aiokafka_TP(tp): offset for tp, offset in offsets.items() if tp in assigned}
        if not wanted:
            return False
        try:
            await consumer.commit(wanted)
        except (CommitFailedError, IllegalStateError, KafkaError) as exc:
            self.log.warning("Offsets not committed: %r", exc)
            return False
        return True
