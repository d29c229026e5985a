"""The job board: which jobs are at home on this worker, how far each is, and what starts, ends or fails them.

A job lives in the partition of its id. Its manifest may arrive in another one (producers differ in how they place
keys): then it is passed on to its home, with the same id, and taken up there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from time import monotonic
from typing import Any

import structlog

from watson.agents.job import Job
from watson.agents.job_table import JobTable
from watson.agents.models import Resolved
from watson.agents.ports import Marks, Outbox
from watson.agents.turns import Turns
from watson.errors import ReasonCode, Refused
from watson.events import (
    REDRIVE,
    REPAIR,
    Event,
    JobCancelled,
    JobChanged,
    JobPaused,
    JobResumed,
    JobState,
    ManifestSubmitted,
    PartitionProgressed,
    Record,
    RetryRequested,
    now,
)
from watson.settings import Settings
from watson.stages.discover import JobMark, Part

__all__ = ["FROM_THE_USER", "JobBoard"]

log = structlog.get_logger(__name__)

ResolveModel = Callable[[str], Awaitable[Resolved]]
"""Name or name@version → the model; raises Refused (``model-unknown``)."""

FROM_THE_USER = ManifestSubmitted | JobCancelled | JobPaused | JobResumed
"""What arrives in ``manifests``, in whatever partition."""

_MOST_RELISTS = 3

_MOST_AHEAD = timedelta(days=1)
"""By how much the clocks of workers may differ at most."""


class JobBoard:
    """Jobs by id, kept in a changelog-backed table at their home partition."""

    def __init__(self, marks: Marks, outbox: Outbox, resolve_model: ResolveModel, settings: Settings) -> None:
        self._table = JobTable(marks)
        self._outbox = outbox
        self._resolve_model = resolve_model
        self._settings = settings
        self._turns = Turns()
        self._orders = Turns()
        self._owners: dict[int, int] = {}
        self.jobs: dict[str, Job] = {}
        self.on_active: Callable[[Job], None] = lambda _: None
        """Called when a job is to be listed (again)."""

    # ------------------------------------------------------------------ partitions come and go
    def assign(self, partition: int, owner: int) -> None:
        """Take up the jobs of a partition where their last owner left them, as its owner of that number."""
        self.revoke(partition)
        self._owners[partition] = owner
        self.jobs |= {job.mark.manifest.job: job for job in self._table.take(partition, owner)}
        for job in self.jobs.values():
            if job.home == partition and job.mark.state == "listing":
                self.on_active(job)

    def revoke(self, partition: int) -> None:
        """Let go of the jobs of a partition."""
        self.jobs = {name: job for name, job in self.jobs.items() if job.home != partition}
        self._table.drop(partition)

    # ------------------------------------------------------------------ events
    async def handle(self, record: Record, event: Event) -> str:
        """A manifest, what the user wants of a job, or progress of a partition.

        Raises:
            Refused: the manifest contradicts the job that already has its id, or a newer Watson kept this job.
        """
        if isinstance(event, FROM_THE_USER):
            home = self._outbox.home(event.job.encode())
            if record.header(REDRIVE) == REPAIR:
                return await self._say_again(event) if home == record.partition else "ignored"
            if home != record.partition:
                await self._outbox.send(event, partition=home)
                return "ignored"
            async with self._orders.of(event.job):  # a model takes time to resolve, and what follows waits its turn
                return await self._obey(home, event)
        if isinstance(event, PartitionProgressed):
            return await self._progress(record.partition, event)
        if isinstance(event, JobChanged):
            return await self._contradict(record.partition, event)
        return "ignored"

    async def _obey(self, home: int, event: FROM_THE_USER) -> str:
        if event.job in self._table.unread:
            _, why = self._table.unread[event.job]
            raise Refused(why.code, f"job {event.job!r}: {why}") from why
        if isinstance(event, ManifestSubmitted):
            return await self._submit(home, event)
        job = self.jobs.get(event.job)
        if job is None:
            return "ignored"
        if isinstance(event, JobResumed):
            return await self._resume(job, event)
        if isinstance(event, JobPaused):
            return await self._pause(job, event)
        return await self._cancel(job, event)

    async def _submit(self, home: int, manifest: ManifestSubmitted) -> str:
        known = self.jobs.get(manifest.job)
        if known is not None:
            if known.mark.manifest.model_copy(update={"time": manifest.time}) != manifest:
                raise Refused(
                    ReasonCode.SOURCE_INVALID,
                    f"job {manifest.job!r} exists with another source, model or options: choose another job id",
                )
            if known.mark.state not in ("failed", "cancelled") or manifest.time <= known.mark.manifest.time:
                return "repeated"
        try:
            model = await self._resolve_model(manifest.model)
        except Refused as refused:
            why = str(refused)
            mark = JobMark(manifest=manifest, model=manifest.model, state="failed", message=why, **_carried_on(known))
            await self._save(self._job(home, mark, known))
            return "quarantined"
        if model.announce is not None:
            await self._outbox.send(model.announce)
        mark = JobMark(manifest=manifest, model=model.reference, **_carried_on(known))
        job = self._job(home, mark, known)
        await self._save(job)
        self.on_active(job)
        return "emitted"

    def _job(self, home: int, mark: JobMark, known: Job | None) -> Job:
        """A job that is submitted, perhaps again: then what the partitions said of it still holds."""
        if known is None:
            return Job(home, self._owners[home], mark)
        return Job(home, known.owner, mark, older=known.older, parts=known.parts)

    async def _say_again(self, event: FROM_THE_USER) -> str:
        """A repair wants the job's row written anew: its owner says what is so now. An unknown job is not begun."""
        job = self.jobs.get(event.job)
        if job is None or not isinstance(event, ManifestSubmitted):
            return "ignored"
        await self.change(job)
        return "redriven"

    async def _cancel(self, job: Job, event: JobCancelled) -> str:
        # not after the manifest: a redelivery, after the job was cancelled by it and submitted again
        if not job.mark.active or event.time <= job.mark.manifest.time:
            return "ignored"
        await self.change(job, state="cancelled", message="cancelled by the user")
        return "emitted"

    async def _pause(self, job: Job, event: JobPaused) -> str:
        mark = job.mark
        if not mark.moving or event.resumes != mark.resumes:  # a redelivery, after the job was resumed, pauses nothing
            return "ignored"
        message = f"paused by the user; to go on: watson jobs resume {event.job}"
        await self.change(job, state="paused", paused_in=mark.state, pressure=0, message=message)
        return "emitted"

    async def _resume(self, job: Job, event: JobResumed) -> str:
        mark = job.mark
        if mark.state != "paused" or event.resumes != mark.resumes:  # a redelivery, after it was paused again
            return "ignored"
        asked = mark.round + int(event.retry)
        job.moved_at = monotonic()  # nothing moved while it was paused, and nothing is lost for that
        if event.retry:  # asked first, kept second: a crash between the two asks again, for the same round
            await self._ask(job, asked, range(self._outbox.partitions))
        resumed = await self.change(
            job,
            only_in="paused",  # it may have been cancelled meanwhile
            state=mark.paused_in,
            message="",
            pressure=0,
            round=asked,
            resumes=mark.resumes + 1,
        )
        if not resumed:
            return "ignored"
        if mark.paused_in == "listing":
            self.on_active(job)
        else:
            await self.settle(job)
        return "emitted"

    async def _ask(self, job: Job, number: int, partitions: Iterable[int]) -> None:
        name = job.mark.manifest.job
        requests = [RetryRequested(job=name, partition=partition, round=number) for partition in partitions]
        await asyncio.gather(*(self._outbox.send(request, partition=request.partition) for request in requests))

    async def _progress(self, partition: int, event: PartitionProgressed) -> str:
        job = self.jobs.get(event.job)
        if job is None or job.home != partition:
            return "ignored"
        before = job.mark
        if not job.note(event.partition, Part.of(event), self._settings.breaker_failures):
            return "repeated"
        await self._keep_breaker(job, before)
        await self._table.keep_part(job, event.partition)
        await self.settle(job)
        return "emitted"

    async def _keep_breaker(self, job: Job, before: JobMark) -> None:
        """Make durable what the breaker said: how near it is, or that the job is paused."""
        if job.mark.pressure == before.pressure and job.mark.state == before.state:
            return
        async with self._turns.of(job.mark.manifest.job):
            if job.mark.state == before.state:
                await self._table.keep(job)
                return
            log.error("job is paused", job=job.mark.manifest.job, why=job.mark.message, **job.total.model_dump())
            await self._save(job)

    async def _contradict(self, partition: int, event: JobChanged) -> str:
        """Say what is so after somebody else said something of a job: a worker that was believed dead, in general.

        What this worker said itself is not later than what it remembers. (Nor can a time in the far future be outdone.)
        """
        job = self.jobs.get(event.job)
        if job is None or job.home != partition or event.time > now() + _MOST_AHEAD:
            return "ignored"
        async with self._turns.of(event.job):
            if job.mark.said is not None and event.time <= job.mark.said:
                return "ignored"
            log.warning("somebody else said how a job is: saying it anew", job=event.job, said=event.state)
            job.mark = job.mark.model_copy(update={"said": event.time})
            await self._save(job)
        return "emitted"

    # ------------------------------------------------------------------ states
    async def change(self, job: Job, *, only_in: JobState | None = None, **update: object) -> bool:
        """Change a job's mark, durably, and say so; False where the job is no longer in the state ``only_in``."""
        async with self._turns.of(job.mark.manifest.job):  # or an older mark could be kept over a newer one
            if only_in is not None and job.mark.state != only_in:
                return False
            job.mark = job.mark.model_copy(update=update)
            await self._save(job)
        job.moved.set()
        return True

    async def _save(self, job: Job) -> None:
        mark, time = job.mark, job.mark.time_to_say(now())
        manifest = mark.manifest
        self.jobs[manifest.job] = job
        changed = JobChanged(
            time=time,
            job=manifest.job,
            dataset=manifest.dataset,
            source=manifest.source,
            model=mark.model,
            options=manifest.options,
            state=mark.state,
            listed=mark.listed,
            message=mark.message,
            resumes=mark.resumes,
        )
        job.mark = mark.model_copy(update={"said": time, "message": changed.message})  # as it can be kept
        # said first, kept second: a crash between the two says it again
        await self._outbox.send(changed)
        await self._table.keep(job)

    async def settle(self, job: Job) -> None:
        """Complete a job whose listing has ended and whose every image has ended."""
        total = job.total
        if job.mark.state != "draining" or job.behind(self._outbox.partitions):
            return
        if total.listed >= job.mark.listed and total.ended >= total.discovered:
            log.info("job is complete", job=job.mark.manifest.job, **total.model_dump())
            await self.change(job, only_in="draining", state="complete")

    async def ask_again_if_lost(self, job: Job) -> None:
        """Ask partitions again to retry, where nothing has been heard of it. It happens only where it was lost."""
        behind = job.behind(self._outbox.partitions)
        if job.mark.moving and behind and monotonic() - job.moved_at > self._settings.redrive_after:
            job.moved_at = monotonic()
            log.warning("partitions do not retry: asking again", job=job.mark.manifest.job, partitions=behind)
            await self._ask(job, job.mark.round, behind)

    async def relist_if_lost(self, job: Job) -> bool:
        """List a job again whose entries did not all reach their partitions; True where that is to be done.

        It happens only where the transport lost what discover sent; known images are dropped by their ids.
        """
        missing = job.mark.listed - job.total.listed
        quiet = monotonic() - job.moved_at > self._settings.redrive_after
        if job.mark.state != "draining" or missing <= 0 or not quiet:
            return False
        job.moved_at = monotonic()
        if job.mark.relists >= _MOST_RELISTS:
            message = f"{missing} entries of the listing never arrived, after {job.mark.relists} further listings"
            await self.change(job, only_in="draining", state="failed", message=message)
            return False
        log.warning("entries of the listing are missing: listing again", job=job.mark.manifest.job, missing=missing)
        relists = job.mark.relists + 1
        if not await self.change(job, only_in="draining", state="listing", cursor=None, listed=0, relists=relists):
            return False
        self.on_active(job)
        return True


def _carried_on(known: Job | None) -> dict[str, Any]:
    """What a job keeps when it is submitted again. It counts as resumed: a pause of the time before is no more."""
    if known is None:
        return {}
    return {**known.mark.model_dump(include={"round", "said"}), "resumes": known.mark.resumes + 1}
