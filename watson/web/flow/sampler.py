"""Samples the log and the catalogue for one web process, from its start to its stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from watson.errors import Retriable
from watson.settings import Settings
from watson.storage.catalogue import JobRow
from watson.web.flow.asking import LogUnreadable, LogWatch
from watson.web.flow.board import RUNNING, Board

__all__ = ["Sampler"]

log = structlog.get_logger(__name__)

SAMPLE_SECONDS = 3.0
_IDLE_SECONDS = 10.0
_LONGEST_WAIT = 30.0
_DEFECT = "this is a defect of Watson: the worker's log has the details"

Jobs = Callable[[], Awaitable[Sequence[JobRow]]]


class Sampler:
    """Two tasks, one of the log and one of the catalogue, so that neither waits for the other.

    Where one of the two is away, it is asked again later and later, at least every half minute.

    Args:
        settings: where the broker is.
        jobs: all jobs, newest first.
    """

    def __init__(self, settings: Settings, jobs: Jobs) -> None:
        self.board = Board()
        self._log = LogWatch(settings)
        self._jobs = jobs
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to sample; does not wait for anything."""
        self._tasks = [
            asyncio.create_task(self._again_and_again(self._sample_log), name="flow-log"),
            asyncio.create_task(self._again_and_again(self._sample_jobs), name="flow-jobs"),
        ]

    async def stop(self) -> None:
        """End at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._log.close()

    @property
    def now(self) -> float:
        """Of the clock that the board's samples have."""
        return asyncio.get_running_loop().time()

    async def _again_and_again(self, sample: Callable[[], Awaitable[float]]) -> None:
        failures = 0
        while True:
            try:
                wait = await sample()
                failures = 0
            except (LogUnreadable, Retriable) as exc:
                failures += 1
                wait = _backoff(failures)
                say = log.warning if failures == 1 else log.debug
                say("the line cannot be sampled", why=str(exc))
            except Exception:
                failures += 1
                wait = _backoff(failures)
                log.exception("the line cannot be sampled")
            await asyncio.sleep(wait)

    async def _sample_log(self) -> float:
        try:
            groups = await self._log.read()
        except LogUnreadable as exc:
            self.board.note_unread(str(exc))
            raise
        except Exception:
            self.board.note_unread(_DEFECT)
            raise
        self.board.note_groups(self.now, groups)
        return SAMPLE_SECONDS

    async def _sample_jobs(self) -> float:
        rows = await self._jobs()
        self.board.note_jobs(self.now, rows)
        moving = any(row.job.state in RUNNING for row in rows)
        return SAMPLE_SECONDS if moving else _IDLE_SECONDS


def _backoff(failures: int) -> float:
    """Seconds until the next try after so many failures in a row: 6, 12, 24, and 30 from then on."""
    return float(min(_LONGEST_WAIT, SAMPLE_SECONDS * 2.0 ** min(failures, 10)))
