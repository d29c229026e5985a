"""The job board: which jobs are at home on this worker, how far each is, and what starts, ends or fails them.

A job lives in the partition of its id. Its manifest may arrive in another one (producers differ in how they place
keys): then it is passed on to its home, with the same id, and taken up there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic

import structlog

from watson.agents.ports import Marks, Outbox
from watson.agents.turns import Turns
from watson.errors import ReasonCode, Refused
from watson.events import (
    REDRIVE,
    REPAIR,
    Event,
    JobCancelled,
    JobChanged,
    JobState,
    ManifestSubmitted,
    ModelRegistered,
    PartitionProgressed,
    Record,
)
from watson.settings import Settings
from watson.stages.discover import Counts, JobMark

__all__ = ["Job", "JobBoard"]

log = structlog.get_logger(__name__)

ResolveModel = Callable[[str], Awaitable[ModelRegistered]]
"""Name or name@version → the model; raises Refused (``model-unknown``)."""

_MOST_RELISTS = 3
_MESSAGE_LIMIT = 4000


@dataclass(slots=True)
class Job:
    """One job at home here. ``parts`` is its ledger by partition of the image topics."""

    home: int
    mark: JobMark
    parts: dict[int, Counts] = field(default_factory=dict)
    moved: asyncio.Event = field(default_factory=asyncio.Event)  # set when credit may have come back
    moved_at: float = field(default_factory=monotonic)
    ends: list[tuple[float, int]] = field(default_factory=list)  # (when, images ended), the last ten seconds or so

    @property
    def total(self) -> Counts:
        """Summed over partitions."""
        return Counts.total(self.parts.values())

    def note(self, partition: int, counts: Counts) -> bool:
        """Take newer counts of one partition; False where they are not newer."""
        known = self.parts.get(partition, Counts())
        if counts == known or not counts.not_before(known):
            return False
        self.parts[partition] = counts
        self.moved_at = monotonic()
        self.ends = [*(end for end in self.ends if end[0] > self.moved_at - 10.0), (self.moved_at, self.total.ended)]
        self.moved.set()
        return True

    @property
    def pace(self) -> float:
        """Images ended a second, over the last ten seconds or so."""
        if len(self.ends) < 2 or self.ends[-1][0] - self.ends[0][0] < 0.5:
            return 0.0
        (first, some), (last, more) = self.ends[0], self.ends[-1]
        return (more - some) / (last - first)


class JobBoard:
    """Jobs by id, kept in a changelog-backed table at their home partition."""

    def __init__(self, marks: Marks, outbox: Outbox, resolve_model: ResolveModel, settings: Settings) -> None:
        self._marks = marks
        self._outbox = outbox
        self._resolve_model = resolve_model
        self._settings = settings
        self._turns = Turns()
        self.jobs: dict[str, Job] = {}
        self.on_active: Callable[[Job], None] = lambda _: None
        """Called when a job is to be listed (again)."""

    # ------------------------------------------------------------------ partitions come and go
    def assign(self, partition: int) -> None:
        """Take up the jobs of a partition where their last owner left them."""
        for _, value in self._marks.items(partition, b"job/"):
            mark = JobMark.model_validate_json(value)
            self.jobs[mark.manifest.job] = Job(partition, mark)
        for key, value in self._marks.items(partition, b"part/"):
            _, name, part = key.decode().split("/")
            if name in self.jobs:
                self.jobs[name].parts[int(part)] = Counts.model_validate_json(value)
        for job in self.jobs.values():
            if job.home == partition and job.mark.state == "listing":
                self.on_active(job)

    def revoke(self, partition: int) -> None:
        """Let go of the jobs of a partition."""
        self.jobs = {name: job for name, job in self.jobs.items() if job.home != partition}

    # ------------------------------------------------------------------ events
    async def handle(self, record: Record, event: Event) -> str:
        """A manifest, a cancellation, or progress of a partition.

        Raises:
            Refused: the manifest contradicts the job that already has its id.
        """
        if isinstance(event, ManifestSubmitted | JobCancelled):
            home = self._outbox.home(event.job.encode())
            if record.header(REDRIVE) == REPAIR:
                return await self._say_again(event) if home == record.partition else "ignored"
            if home != record.partition:
                await self._outbox.send(event, partition=home)
                return "ignored"
            if isinstance(event, JobCancelled):
                return await self._cancel(event)
            return await self._submit(home, event)
        if isinstance(event, PartitionProgressed):
            return await self._progress(record.partition, event)
        return "ignored"

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
            mark = JobMark(manifest=manifest, model=manifest.model, state="failed", message=str(refused))
            await self._save(Job(home, mark))
            return "quarantined"
        await self._outbox.send(model)
        reference = f"{model.name}@{model.model_version}"
        job = Job(home, JobMark(manifest=manifest, model=reference), parts=known.parts if known is not None else {})
        await self._save(job)
        self.on_active(job)
        return "emitted"

    async def _say_again(self, event: ManifestSubmitted | JobCancelled) -> str:
        """A repair wants the job's row written anew: its owner says what is so now. An unknown job is not begun."""
        job = self.jobs.get(event.job)
        if job is None or isinstance(event, JobCancelled):
            return "ignored"
        await self.change(job)
        return "redriven"

    async def _cancel(self, event: JobCancelled) -> str:
        job = self.jobs.get(event.job)
        if job is None or not job.mark.active:
            return "ignored"
        await self.change(job, state="cancelled", message="cancelled by the user")
        return "emitted"

    async def _progress(self, partition: int, event: PartitionProgressed) -> str:
        job = self.jobs.get(event.job)
        if job is None or job.home != partition:
            return "ignored"
        counts = Counts.of(event)
        if not job.note(event.partition, counts):
            return "repeated"
        key = f"part/{event.job}/{event.partition}".encode()
        await self._marks.put(partition, key, job.parts[event.partition].model_dump_json().encode())
        await self.settle(job)
        return "emitted"

    # ------------------------------------------------------------------ states
    async def change(self, job: Job, **update: object) -> None:
        """Change a job's mark, durably, and say so where the state or the number of entries changed."""
        async with self._turns.of(job.mark.manifest.job):  # or an older mark could be kept over a newer one
            job.mark = job.mark.model_copy(update=update)
            await self._save(job)
        job.moved.set()

    async def _save(self, job: Job) -> None:
        mark = job.mark
        self.jobs[mark.manifest.job] = job
        manifest = mark.manifest
        # said first, kept second: a crash between the two says it again
        await self._outbox.send(
            JobChanged(
                job=manifest.job,
                dataset=manifest.dataset,
                source=manifest.source,
                model=mark.model,
                options=manifest.options,
                state=mark.state,
                listed=mark.listed,
                message=mark.message[:_MESSAGE_LIMIT],
            )
        )
        await self._marks.put(job.home, f"job/{manifest.job}".encode(), mark.model_dump_json().encode())

    async def settle(self, job: Job) -> None:
        """Complete a job whose listing has ended and whose every image has ended."""
        total = job.total
        if job.mark.state == "draining" and total.listed >= job.mark.listed and total.ended >= total.discovered:
            log.info("job is complete", job=job.mark.manifest.job, **total.model_dump())
            await self.change(job, state="complete")

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
            await self.change(job, state="failed", message=message)
            return False
        log.warning("entries of the listing are missing: listing again", job=job.mark.manifest.job, missing=missing)
        update: dict[str, JobState | str | int | None] = {"state": "listing", "cursor": None, "listed": 0}
        await self.change(job, **update, relists=job.mark.relists + 1)
        self.on_active(job)
        return True
