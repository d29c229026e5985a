"""Sends quarantined images round again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

from watson.agents.publish import resend
from watson.agents.topics import verify_topics
from watson.agents.whole_records import whole_records
from watson.errors import ReasonCode, UserError
from watson.events import REDRIVE, RETRY, FailedRecord
from watson.settings import Settings
from watson.storage.catalogue import Catalogue, DeadLetterRow
from watson.storage.every_letter import every_letter

__all__ = ["Choice", "Retried", "check_reason", "retry", "to_retry"]

_AT_ONCE = 100
"""Records read whole and sent before the next are: each may have a megabyte."""
_LOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Choice:
    """Which dead letters are meant: those of a job (of none, where None) that fit all that is not None."""

    job: str | None
    reason: str | None = None
    stage: str | None = None
    image: UUID | None = None
    letter: UUID | None = None

    def takes(self, row: DeadLetterRow) -> bool:
        """Whether it is among them."""
        event = row.event
        return (
            self.reason in (None, event.reason.value)
            and self.stage in (None, event.stage)
            and self.image in (None, event.image_key)
            and self.letter in (None, event.id)
        )


@dataclass(frozen=True, slots=True)
class Retried:
    """How many records were sent, and for each that could not be one line that says why."""

    sent: int
    lost: tuple[str, ...] = ()

    def complaint(self) -> str:
        """Why not all were sent; empty where all were."""
        if not self.lost:
            return ""
        named = "; ".join(self.lost[:_LOST_NAMED]) + ("; …" if len(self.lost) > _LOST_NAMED else "")
        return f"{len(self.lost)} could not be sent: {named}. Submit their pictures in another job."


async def retry(
    settings: Settings,
    rows: Catalogue,
    choice: Choice,
    *,
    most: int,
    on_progress: Callable[[int, int], None] = lambda _sent, _of: None,
) -> Retried:
    """Send the failed events of open dead letters, byte for byte, to the topics where they failed.

    What was too large for its letter is read from the log.

    Args:
        settings: where the broker is.
        rows: open.
        choice: which letters.
        most: of them, at most.
        on_progress: told how many were sent, of how many.

    Raises:
        UserError: there is no such reason, or a topic is missing.
        BrokerUnavailable: no broker answers; what was sent until then is sent.
    """
    check_reason(choice.reason)
    if choice.letter is None:
        found = every_letter(rows, choice.job, choice.reason)
    else:
        found = _one(rows, choice.job, choice.letter)
    chosen = [record async for record in _records(found, choice, most)]
    if chosen:
        await verify_topics(settings, {settings.topic(record.topic) for record in chosen})
    lost: list[str] = []
    for start in range(0, len(chosen), _AT_ONCE):
        some = chosen[start : start + _AT_ONCE]
        whole, not_there = await whole_records(settings, some)
        await resend(settings, whole, {REDRIVE: RETRY})
        lost += not_there
        on_progress(start + len(some) - len(lost), len(chosen))
    return Retried(len(chosen) - len(lost), tuple(lost))


def check_reason(reason: str | None) -> None:
    """See that there is such a reason; None is any.

    Raises:
        UserError: there is none; names those that there are.
    """
    if reason is not None and reason not in set(ReasonCode):
        raise UserError(f"there is no reason {reason!r}; the reasons are {', '.join(sorted(ReasonCode))}")


async def _one(rows: Catalogue, job: str | None, letter: UUID) -> AsyncGenerator[DeadLetterRow]:
    if (row := await rows.dead_letter(job, letter)) is not None:
        yield row


async def _records(found: AsyncIterator[DeadLetterRow], choice: Choice, most: int) -> AsyncIterator[FailedRecord]:
    chosen = _Chosen(choice)
    async for row in found:
        if chosen.count == most:
            return
        if (record := chosen.take(row)) is not None:
            yield record


def to_retry(found: Iterable[DeadLetterRow], choice: Choice, most: int) -> list[FailedRecord]:
    """The failed records to send again: those of open letters, each once.

    A record with neither key nor value is left out: nobody can send one, and it would keep the others from being sent.
    """
    chosen = _Chosen(choice)
    return [record for row in found if chosen.count < most and (record := chosen.take(row)) is not None]


class _Chosen:
    """Takes each record once."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._seen: set[tuple[object, ...]] = set()

    @property
    def count(self) -> int:
        return len(self._seen)

    def take(self, row: DeadLetterRow) -> FailedRecord | None:
        record = row.event.failed
        if row.resolved or not self._choice.takes(row) or (record.key, record.value) == (None, None):
            return None
        # with its content: discover cannot tell where the events of images that vanished stand in the log
        place = (record.topic, record.partition, record.offset, record.key, record.value)
        if place in self._seen:
            return None
        self._seen.add(place)
        return record
