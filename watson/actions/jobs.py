"""Pauses, resumes and cancels jobs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from watson.actions.sending import send
from watson.errors import ServiceUnavailable
from watson.events import JobCancelled, JobPaused, JobResumed, now
from watson.settings import Settings
from watson.storage.catalogue import Catalogue, JobRow

__all__ = ["ENDED", "Told", "cancel", "pause", "resume"]

ENDED = ("complete", "failed", "cancelled")
"""States that a job does not leave."""

_POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Told:
    """What became of it. ``sent`` is false where there was nothing to do; ``said`` is a line for people."""

    sent: bool
    said: str


async def cancel(settings: Settings, row: JobRow) -> Told:
    """Cancel a job: no further picture is discovered; those in flight still end.

    Raises:
        BrokerUnavailable: no broker answers.
        UserError: the topic is missing, or not that of the settings.
    """
    job = row.job.job
    if row.job.state in ENDED:
        return Told(sent=False, said=f"job {job} has ended already: it is {row.job.state}")
    # after the manifest also by a clock that is behind the one of whoever submitted it, or it is passed over
    time = max(now(), row.submitted_at + timedelta(milliseconds=1))
    await send(settings, JobCancelled(job=job, time=time))
    return Told(sent=True, said=f"cancelling job {job}")


async def pause(settings: Settings, rows: Catalogue, before: JobRow, *, patience: float) -> Told:
    """Pause a job, and wait until it is paused: no further picture is discovered until it is resumed.

    Args:
        settings: where the broker is.
        rows: open.
        before: the job as it is.
        patience: seconds to wait.

    Raises:
        BrokerUnavailable, UserError: as `cancel`.
        ServiceUnavailable: it was told, and did not obey in time.
    """
    job = before.job.job
    if before.job.state in (*ENDED, "paused"):
        return Told(sent=False, said=f"job {job} is not running: it is {before.job.state}")
    await send(settings, JobPaused(job=job, resumes=before.job.resumes))
    after = await _obeyed(rows, before, patience)
    return Told(sent=True, said=f"job {job} is {after.job.state}")


async def resume(settings: Settings, rows: Catalogue, before: JobRow, *, retry: bool, patience: float) -> Told:
    """Let a paused job go on from where it stands, and wait until it does.

    Args:
        settings: where the broker is.
        rows: open.
        before: the job as it is.
        retry: try again what was quarantined for a reason that accuses the deployment, not the picture.
        patience: seconds to wait.

    Raises:
        BrokerUnavailable, UserError, ServiceUnavailable: as `pause`.
    """
    job = before.job.job
    if before.job.state != "paused":
        return Told(sent=False, said=f"job {job} is not paused: it is {before.job.state}")
    await send(settings, JobResumed(job=job, resumes=before.job.resumes, retry=retry))
    after = await _obeyed(rows, before, patience)
    return Told(sent=True, said=f"resumed job {job}: it is {after.job.state}")


async def _obeyed(rows: Catalogue, before: JobRow, patience: float) -> JobRow:
    """Wait until the catalogue shows that the job changed: whoever asks for its status next is not misled.

    Raises:
        ServiceUnavailable: it did not in time. The event is in the log all the same.
    """
    job = before.job.job
    try:
        async with asyncio.timeout(patience):
            while True:
                row = await rows.job(job)
                moved = row is not None and (row.job.state, row.job.resumes) != (before.job.state, before.job.resumes)
                if row is not None and moved:
                    return row
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise ServiceUnavailable(
            f"job {job} was told, but is still {before.job.state} after {patience:.0f} s: do the discover and "
            "project workers run? It follows as soon as they do."
        ) from None
