"""How long there has been work and nothing moved: a clock for each partition, and one for the worker as a whole.

One clock for all would not do: a worker whose partition 0 goes on may never touch partition 1. Nothing here waits,
asks or knows the time: `StallClocks` is told what was seen, and when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from faust.types import TP

__all__ = ["Books", "Look", "StallClocks"]

_EXCUSED = 5.0
"""Times the stall time-out: so long after the last thing that moved a rebalance still starts the clocks anew. A worker
to whom rebalances happen, and nothing else, is stalled."""

_REBALANCES = 10
"""So many rebalances after the last thing that moved, recovery still starts the clocks anew as long as it gets on: it
may be long. A worker that recovers after each of many rebalances and never consumes is stalled."""

_PASSED_OVER = 10
"""Fetches that brought nothing of a partition that has records: it is passed over, whatever else waits."""


@dataclass(frozen=True, slots=True)
class Books:
    """What one partition looked like. Offsets; -1 where there is none yet.

    Attributes:
        committed: the next one to process, as Kafka knows it.
        read: the last one handed to the role.
        done: ``committed``, and the number of events acknowledged since. A commit that fails leaves it as it is.
        work: whether records are unread or unfinished.
        tried: whether an event is being tried, which has an end of its own.
    """

    committed: int
    read: int
    done: int
    work: bool
    tried: bool = False

    @property
    def unread_only(self) -> bool:
        """Whether the role has nothing of it in hand."""
        return self.read < self.committed


@dataclass(frozen=True, slots=True)
class Look:
    """What the worker looked like.

    Attributes:
        books: of the partitions that it consumes.
        ready: whether events flow: no rebalance or recovery is in progress.
        rebalances: begun so far.
        recovering: changelog records that recovery has yet to read.
        busy: whether any event, or anything else, is being tried.
        queued: whether events wait in the worker for their turn: it has more than it can do at once.
        fetches: done so far.
    """

    books: Mapping[TP, Books]
    ready: bool = True
    rebalances: int = 0
    recovering: int = 0
    busy: bool = False
    queued: bool = False
    fetches: int = 0


@dataclass(slots=True)
class _Clock:
    since: float  # when it was last started anew
    moved: float  # when it was last started anew for more than an excuse
    rebalances: int  # begun until then

    def restart(self, now: float, rebalances: int) -> None:
        self.since, self.moved, self.rebalances = now, now, rebalances

    def excuse(self, now: float, limit: float) -> None:
        if now - self.moved < limit:
            self.since = now

    def recover(self, now: float, rebalances: int) -> None:
        if rebalances - self.rebalances <= _REBALANCES:
            self.since = now


@dataclass(slots=True)
class _Partition:
    clock: _Clock
    furthest: Books  # read, done and committed, each as far as it ever was
    rebalances: int  # begun when it was last looked at
    fetches: int  # done when it last moved

    def moves(self, books: Books) -> bool:
        """Whether it got further than ever: what is read again after a rebalance, once more in vain, is no progress."""
        before = self.furthest
        if books.committed < before.committed:  # somebody set the group back, or the log was made anew
            self.furthest = books
            return True
        self.furthest = replace(books, read=max(books.read, before.read), done=max(books.done, before.done))
        return (
            books.committed > before.committed or self.furthest.read > before.read or self.furthest.done > before.done
        )


@dataclass(slots=True)
class StallClocks:
    """Times in seconds, of any clock that never goes back.

    Attributes:
        timeout: how long may nothing move.
        now: when it all began.
    """

    timeout: float
    now: float
    _worker: _Clock = field(init=False)
    _partitions: dict[TP, _Partition] = field(init=False, default_factory=dict)
    _last: Look | None = field(init=False, default=None)
    _unanswered: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._worker = _Clock(self.now, self.now, 0)

    @property
    def stalled_for(self) -> float:
        """Seconds with work to do and nothing done, in the worst partition or in all of the worker; 0 when idle."""
        return self.now - min([self._worker.since, *(each.clock.since for each in self._assigned.values())])

    @property
    def stalled(self) -> list[TP]:
        """The partitions whose own clocks stand beyond the time-out."""
        return sorted(tp for tp, each in self._assigned.items() if self.now - each.clock.since > self.timeout)

    @property
    def _assigned(self) -> dict[TP, _Partition]:
        return {tp: each for tp, each in self._partitions.items() if self._last and tp in self._last.books}

    def unanswered(self, now: float) -> None:
        """Nothing could be seen: the clocks run on, and what is seen next has only just begun."""
        self.now, self._unanswered = now, True

    def look(self, look: Look, now: float) -> None:
        """Take note of what was seen."""
        before, self.now, self._last = self._last or look, now, look
        moved = sum(self._wind(tp, look) for tp in look.books) > 0
        idle = look.ready and not any(books.work for books in look.books.values())
        if moved or idle or look.busy:
            self._worker.restart(now, look.rebalances)
        elif self._unanswered or look.rebalances != before.rebalances:
            self._worker.excuse(now, self.timeout * _EXCUSED)
        self._unanswered = False
        if look.ready:  # before that, what is not assigned may come back
            self._partitions = self._assigned
        if look.recovering < before.recovering:
            for clock in (self._worker, *(each.clock for each in self._partitions.values())):
                clock.recover(now, look.rebalances)

    def _wind(self, tp: TP, look: Look) -> bool:
        """Start a partition's clock anew, where there is a reason to; whether it moved.

        What was handed to the role and waits for its turn, and what is not fetched because so much waits, is the whole
        worker's affair: the worker's own clock says whether anything moves. But not what fetch after fetch passes over.
        """
        books = look.books[tp]
        if tp not in self._partitions:
            self._partitions[tp] = _Partition(
                _Clock(self.now, self.now, look.rebalances), books, look.rebalances, look.fetches
            )
            return False
        partition = self._partitions[tp]
        clock, interrupted = partition.clock, self._unanswered or partition.rebalances != look.rebalances
        partition.rebalances = look.rebalances
        moved = partition.moves(books)
        if moved or not books.work or books.tried:
            clock.restart(self.now, look.rebalances)
            partition.fetches = look.fetches
        elif look.queued and not (books.unread_only and look.fetches - partition.fetches >= _PASSED_OVER):
            clock.restart(self.now, look.rebalances)
        elif interrupted or not look.ready:
            clock.excuse(self.now, self.timeout * _EXCUSED)
        return moved
