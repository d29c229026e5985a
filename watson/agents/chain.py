"""What every stage of the chain does with an event: dedup, run, emit, mark.

Emit comes before mark, and each is durable before the next begins: a crash between the two repeats the emission with
the same id, which the next stage's marks drop. A mark keeps the outcome, so that an event with the header ``redrive``
has its outcome emitted again without the work being done again. Two values of that header ask for more: ``retry`` has
the work done again where it ended in the dead letters, ``repair`` has it done again in any case.

A mark that a newer Watson kept (its worker had the partition for a while, in a rolling upgrade) says that the event was
done and not what became of it. Where that is asked for, the work is done again: the same ids, the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import Any

import structlog

from watson import metrics, tracing
from watson.agents.attempts import Attempts, Failure
from watson.agents.ports import Marks, Outbox
from watson.agents.quarantine import image_quarantined, quarantine_undecodable
from watson.agents.turns import Turns
from watson.errors import ReasonCode, RecordTooLarge, Refused
from watson.events import REDRIVE, REPAIR, RETRY, Event, ImageEvent, ImageQuarantined, Record
from watson.events.kept import from_kept, kept
from watson.stages.stage import ChainStage

__all__ = ["ChainLink", "Outcome"]

log = structlog.get_logger(__name__)

_LONGEST_REDRIVE = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an event: the event emitted for it, as kept in the mark."""

    event: Event

    @property
    def quarantined(self) -> bool:
        """Whether it ended in the dead letters."""
        return isinstance(self.event, ImageQuarantined)

    def to_bytes(self) -> bytes:
        """As stored in the table."""
        return kept(self.event)

    @classmethod
    def from_bytes(cls, data: bytes) -> Outcome:
        """From the table. Marks of an older event version are brought to today's.

        Raises:
            Refused: a newer Watson kept it, or it is damaged.
        """
        return cls(from_kept(data, Event))


def _known(mark: bytes | None) -> Outcome | None:
    """The outcome in a mark; None without one, and where it cannot be read."""
    if mark is None:
        return None
    try:
        return Outcome.from_bytes(mark)
    except Refused as refused:
        log.warning("a mark cannot be read: its work is done again", why=str(refused))
        return None


def _redrive_of(record: Record) -> str | None:
    """What the header says. It is passed on with what is emitted, so no more of it than Watson ever writes there."""
    stated = record.header(REDRIVE)
    return None if stated is None else stated[:_LONGEST_REDRIVE]


class ChainLink:
    """One stage of the chain, between its topic and the next."""

    def __init__(self, stage: ChainStage[Any], marks: Marks, outbox: Outbox, attempts: Attempts) -> None:
        self._stage = stage
        self._marks = marks
        self._outbox = outbox
        self._attempts = attempts
        self._turns = Turns()

    async def handle(self, record: Record, event: Event) -> str:
        """Process one event; returns its outcome as a metric label."""
        if not isinstance(event, self._stage.accepts):
            return "ignored"
        async with self._turns.of(event.id):  # of two copies in the window, the second finds the first one's mark
            return await self._process(record, event)

    async def undecodable(self, record: Record, refused: Refused) -> str:
        """Send a record that cannot be decoded to the dead letters."""
        return await quarantine_undecodable(self._outbox, record, self._stage.name, refused)

    async def _process(self, record: Record, event: ImageEvent) -> str:
        redrive = _redrive_of(record)
        mark = self._marks.get(record.partition, event.id.bytes)
        if mark is not None and redrive is None:
            return "repeated"
        known = _known(mark)
        if known is not None and redrive != REPAIR and not (known.quarantined and redrive == RETRY):
            await self._emit(record, known, redrive)
            return "redriven"
        outcome = await self._run(record, event, known)
        try:
            await self._emit(record, outcome, redrive)
        except RecordTooLarge as exc:
            outcome = self._quarantine(record, event, Failure(ReasonCode.INTERNAL_ERROR, str(exc), 1))
            await self._emit(record, outcome, redrive)
        if outcome.quarantined and mark is not None and (known is None or not known.quarantined):
            return "quarantined"  # the letter says why it failed now; that the stage once did it (may have) stays true
        await self._marks.put(record.partition, event.id.bytes, outcome.to_bytes())
        return "quarantined" if outcome.quarantined else "emitted"

    async def _run(self, record: Record, event: ImageEvent, known: Outcome | None) -> Outcome:
        began = monotonic()
        with tracing.step("work"):
            if record.header(REDRIVE) == REPAIR:
                before = known.event if known is not None and isinstance(known.event, ImageEvent) else None
                result = await self._attempts.run(lambda: self._stage.repair(event, before))
            else:
                result = await self._attempts.run(lambda: self._stage.handle(event))
        metrics.WORK_SECONDS.labels(self._stage.name).observe(monotonic() - began)
        if not isinstance(result, Failure):
            return Outcome(result)
        return self._quarantine(record, event, result)

    def _quarantine(self, record: Record, event: ImageEvent, result: Failure) -> Outcome:
        metrics.DEAD_LETTERS.labels(self._stage.name, result.code.value).inc()
        tracing.failed(result.code.value, result.message)
        return Outcome(
            image_quarantined(
                record,
                event,
                self._stage.name,
                reason=result.code,
                message=result.message,
                attempts=result.attempts,
            )
        )

    async def _emit(self, record: Record, outcome: Outcome, redrive: str | None) -> None:
        began = monotonic()
        extra = {REDRIVE: redrive} if redrive is not None else None
        # into the same partition number: all topics have as many, so the image stays where its marks are
        await self._outbox.send(outcome.event, partition=record.partition, extra=extra)
        metrics.EMIT_SECONDS.labels(self._stage.name).observe(monotonic() - began)
