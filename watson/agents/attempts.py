"""Tries again what can pass: exponential backoff with jitter, and an end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from watson import metrics
from watson.errors import EmitFailed, PartitionRevoked, ReasonCode, Refused, Retriable
from watson.settings import Settings

__all__ = ["WORKING_ON", "Attempts", "Failure", "Place", "Underway"]

log = structlog.get_logger(__name__)
Result = TypeVar("Result")

Place = tuple[str, int]
"""Topic (without prefix) and partition."""

WORKING_ON: ContextVar[Place | None] = ContextVar("WORKING_ON", default=None)
"""Where the event came from that this task works on; None for a task that works on none."""

_UNFORESEEN = 3
"""Tries of what failed by an exception that nobody foresaw: most likely a bug, which waiting does not cure."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The end of all tries."""

    code: ReasonCode
    message: str
    attempts: int


@dataclass(slots=True)
class Underway:
    """Work that may take long and ends by itself, such as tries and the pauses between them; by where it came from."""

    works: Counter[Place | None] = field(default_factory=Counter)

    @contextmanager
    def work(self) -> Iterator[None]:
        """What this task does in the block has an end: every wait in it has a limit, and their number has one."""
        place = WORKING_ON.get()
        self.works[place] += 1
        try:
            yield
        finally:
            self.works[place] -= 1

    def busy(self, place: Place | None = None) -> bool:
        """Whether there is any; on an event of that topic and partition, where it is given."""
        return self.works.total() > 0 if place is None else self.works[place] > 0


@dataclass(frozen=True, slots=True)
class Attempts:
    """How often and how patiently a role tries. Times in seconds."""

    role: str
    most: int
    backoff: float
    backoff_max: float
    timeout: float
    underway: Underway = field(default_factory=Underway)

    @classmethod
    def of(cls, role: str, settings: Settings) -> Attempts:
        """As the settings say."""
        return cls(role, settings.attempts, settings.backoff, settings.backoff_max, settings.attempt_timeout)

    def busy(self, place: Place | None = None) -> bool:
        """Whether something is being tried. It ends by itself: each try has a time-out, and their number has an end.

        Args:
            place: ask only of events of that topic and partition.
        """
        return self.underway.busy(place)

    async def run(self, work: Callable[[], Awaitable[Result]]) -> Result | Failure:
        """Call ``work`` until it returns, refuses, or has been tried ``most`` times.

        An exception that nobody foresaw counts as one that can pass: a bug that only sometimes bites should not cost a
        picture, and one that always bites ends as ``internal-error`` with the exception's text.

        Raises:
            PartitionRevoked, EmitFailed: from ``work``, at once.
        """
        with self.underway.work():
            return await self._run(work)

    async def _run(self, work: Callable[[], Awaitable[Result]]) -> Result | Failure:
        attempt = 0
        while True:
            attempt += 1
            try:
                async with asyncio.timeout(self.timeout):
                    return await work()
            except (PartitionRevoked, EmitFailed):
                raise  # not the event's fault: the loop abandons the event, or ends the worker
            except Refused as refused:
                return Failure(refused.code, str(refused), attempt)
            except Retriable as retriable:
                last = Failure(retriable.code, str(retriable), attempt)
            except TimeoutError:
                last = Failure(ReasonCode.RETRIES_EXHAUSTED, f"not done within {self.timeout:g} s", attempt)
            except Exception as exc:
                log.exception("unforeseen exception")
                last = Failure(ReasonCode.INTERNAL_ERROR, f"{type(exc).__name__}: {exc}", attempt)
            if attempt >= self.most or (last.code is ReasonCode.INTERNAL_ERROR and attempt >= _UNFORESEEN):
                return last
            metrics.RETRIES.labels(self.role).inc()
            delay = min(self.backoff_max, self.backoff * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
            log.warning("trying again", attempt=attempt, seconds=round(delay, 2), why=last.message)
            await asyncio.sleep(delay)
