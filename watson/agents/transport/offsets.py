"""Which offset may be committed: acknowledged ones, in any order, advance it over their contiguous prefix only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import Message
from faust.utils.functional import consecutive_numbers

__all__ = ["CommittingConsumer"]


class CommittingConsumer(driver.Consumer):  # type: ignore[misc]  # Faust is untyped
    """Faust's consumer, with the corrections to its book-keeping of offsets: c, d, e, l, q.

    The books, by partition: ``_committed_offset`` is the next offset to process as Kafka knows it, ``_acked`` what is
    finished from there on, ``_gap`` the offsets that do not exist.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._seek_base: dict[TP, int] = {}
        self._seeks = 0
        super().__init__(*args, **kwargs)

    def ack(self, message: Message) -> bool:
        """Mark one message as finished. Of an earlier generation: ignored, for it is delivered again."""
        generation = message.generation_id
        if generation is not None and generation != self.app.consumer_generation_id:
            message.acked = True
            self._unacked_messages.discard(message)
            return False
        return bool(super().ack(message))

    def reset_books(self, offsets: Mapping[TP, int]) -> None:
        """Begin anew from where the partitions were just sought to."""
        self._seeks += 1
        self._seek_base = dict(offsets)
        for tp, offset in offsets.items():
            self._committed_offset[tp] = offset
            for book in (self._acked, self._acked_index, self._gap):
                book.pop(tp, None)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Correction c: the gap is ``[from, to)``. Stock includes ``to``, which is the live message behind the gap."""
        self._gap[tp].addi(offset_from, offset_to)
        self._gap[tp].merge_overlaps()

    def _new_offset(self, tp: TP) -> int | None:
        """Correction d and e: commit over what is finished and adjoins the last commit, and over nothing else.

        Stock lets one message be missing between the commit and the first acknowledged one (``> 1``), takes a commit
        of 0 for none, and loses a gap that ends at the highest acknowledged offset.
        """
        acked, committed = self._acked[tp], self._committed_offset[tp]
        if not acked or committed is None:
            return None
        for gap in sorted(self._gap[tp].overlap(0, max(acked))) if self._gap[tp] else ():
            acked.extend(range(gap.begin, gap.end))
            self._gap[tp].remove(gap)
        acked[:] = sorted({offset for offset in acked if offset >= committed})
        if not acked or acked[0] != committed:
            return None
        finished: list[int] = next(consecutive_numbers(acked))
        del acked[: len(finished)]
        self._acked_index[tp].difference_update(finished)
        return finished[-1] + 1

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit what is finished, unless a record was lost (correction o)."""
        if self.app.poisoned:
            return False
        return bool(await super().force_commit(topics, start_new_transaction))

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        if self.app.poisoned:  # found out by the flush just before this
            return False
        return bool(await super()._commit(offsets))

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        """Corrections l and q: what stands in the books afterwards is what Kafka knows.

        Stock enters the new offsets also when the partition was sought elsewhere meanwhile (l), and when the commit
        failed (q): an idle partition then keeps its lag until the worker restarts.
        """
        before, seeks = {tp: self._committed_offset[tp] for tp in offsets}, self._seeks
        did_commit = bool(await super()._commit_offsets(offsets, start_new_transaction))
        if seeks != self._seeks:
            self._committed_offset.update(self._seek_base)
        elif not did_commit:
            self._uncommit(offsets, before)
        return did_commit

    def _uncommit(self, offsets: Mapping[TP, int], before: Mapping[TP, int | None]) -> None:
        for tp, offset in offsets.items():
            committed = before[tp]
            if committed is not None and tp in self._committed_offset:
                self._committed_offset[tp] = committed
                self._acked[tp][:0] = range(committed, offset)
                self._acked_index[tp].update(range(committed, offset))
