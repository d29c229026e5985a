"""The lister: walks a job's source page by page, and sends each entry as far as the job's credit goes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import structlog

from watson import tracing
from watson.agents.job import Job
from watson.agents.jobs import JobBoard
from watson.agents.ports import Outbox
from watson.errors import PartitionRevoked, RecordTooLarge, Refused, Retriable, UserError
from watson.events import LISTED, ONCE
from watson.settings import Settings
from watson.sources import Batch, Entry, Lister, open_source
from watson.stages.discover import credit, discovered

__all__ = ["Listings"]

log = structlog.get_logger(__name__)

_CREDIT_POLL_SECONDS = 5.0
"""Credit comes back with events; this only bounds the wait, so that a paused or cancelled job is noticed."""

_LIST_ONCE = ("directory", "s3")
"""Kinds of sources that list each picture once. Pictures that come and go move the others' places in the listing."""


class Listings:
    """One task for each job that is being listed by this worker."""

    def __init__(
        self,
        board: JobBoard,
        outbox: Outbox,
        settings: Settings,
        on_crash: Callable[[BaseException], None],
    ) -> None:
        self._board = board
        self._outbox = outbox
        self._settings = settings
        self._on_crash = on_crash
        self._tasks: dict[str, asyncio.Task[None]] = {}
        board.on_active = self.start

    def start(self, job: Job) -> None:
        """List a job, from its cursor on."""
        name = job.mark.manifest.job
        self.stop(name)
        task = asyncio.create_task(self._run(job), name=f"list-{name}")
        self._tasks[name] = task
        task.add_done_callback(lambda done: self._ended(name, done))

    def stop(self, name: str) -> None:
        """Stop listing a job; its cursor says where to go on."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()

    def stop_strangers(self) -> None:
        """Stop the listings of jobs that are no longer at home here."""
        for name in set(self._tasks) - set(self._board.jobs):
            self.stop(name)

    async def close(self) -> None:
        """Stop all."""
        tasks = list(self._tasks.values())
        for name in list(self._tasks):
            self.stop(name)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]
        if task.cancelled() or (exc := task.exception()) is None:
            return
        if isinstance(exc, PartitionRevoked):
            log.info("listing interrupted by a rebalance: it goes on at the job's home", job=name)
        else:
            log.error("listing broke off: the worker cannot go on", job=name, exc_info=exc)
            self._on_crash(exc)

    async def _run(self, job: Job) -> None:
        """List to the end; what can pass is tried again from the cursor, what cannot fails the job."""
        failures = 0
        while job.mark.state == "listing":
            before = job.mark.cursor
            try:
                await self._list(job)
            except (Refused, UserError, RecordTooLarge) as exc:
                await self._board.change(job, only_in="listing", state="failed", message=str(exc))
            except Retriable as exc:
                failures = 1 if job.mark.cursor != before else failures + 1
                if failures >= self._settings.attempts:
                    message = f"listing failed {failures} times at the same place, last: {exc}"
                    await self._board.change(job, only_in="listing", state="failed", message=message)
                    return
                delay = min(self._settings.backoff_max, self._settings.backoff * 2 ** (failures - 1))
                log.warning("listing failed, trying again", job=job.mark.manifest.job, why=str(exc), attempt=failures)
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    async def _list(self, job: Job) -> None:
        source: Lister
        async with open_source(job.mark.manifest.source, self._settings) as source:
            async for batch in source.batches(job.mark.cursor, self._settings.page_size):
                if not await self._send_page(job, batch):
                    return
        await self._board.change(job, only_in="listing", state="draining")
        await self._board.settle(job)

    async def _send_page(self, job: Job, batch: Batch) -> bool:
        """Send one page and move the cursor; False where the job is no longer to be listed.

        A worker that dies in the middle of a page sends that page again: the same ids, dropped by whoever has them. A
        directory or bucket may have changed in between: see `_LIST_ONCE`.
        """
        index, waiting = job.mark.listed, list(batch.entries)
        while waiting:
            allowed = await self._credit(job, sent=index)
            if job.mark.state != "listing":
                return False
            now, waiting = waiting[:allowed], waiting[allowed:]
            await asyncio.gather(*(self._send(job, entry, index + place) for place, entry in enumerate(now)))
            index += len(now)
        await self._board.change(job, cursor=batch.cursor, listed=index)
        return job.mark.state == "listing"

    async def _send(self, job: Job, entry: Entry, index: int) -> None:
        once = job.mark.manifest.source.kind in _LIST_ONCE
        event = discovered(job.mark, entry, index)
        with tracing.finding(event.job, str(event.image_key)):
            await self._outbox.send(event, extra={LISTED: ONCE} if once else None)

    async def _credit(self, job: Job, *, sent: int) -> int:
        """Wait until at least one more image may be in flight; returns how many."""
        settings = self._settings
        while job.mark.state == "listing":
            job.moved.clear()
            allowed = credit(
                job.pace,
                job.mark.manifest.options.weight,
                least=settings.credit_min,
                most=settings.credit_max,
                seconds=settings.credit_seconds,
            )
            free = allowed - (sent - job.total.settled)
            # after a resume the retried images come first: until all of them are known, the credit is not
            if free > 0 and not job.behind(self._outbox.partitions):
                return free
            try:
                async with asyncio.timeout(_CREDIT_POLL_SECONDS):
                    await job.moved.wait()
            except TimeoutError:
                continue
        return 0
