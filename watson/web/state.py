"""The state of the jobs and of the line as documents: the same for API, pages and streams."""

from __future__ import annotations

from typing import Any

from watson.errors import Retriable
from watson.events import now
from watson.settings import Settings
from watson.storage.catalogue import JobRow
from watson.web.documents import job_document
from watson.web.flow.documents import flow_document
from watson.web.flow.sampler import Sampler
from watson.web.queries import Queries
from watson.web.timings import Timings, timings_document

__all__ = ["State"]

_TIMINGS_SECONDS = 1.5
"""That a page waits for the log: what is not there by then comes with the next look."""


class State:
    """Puts together what the catalogue has and what was sampled."""

    def __init__(self, queries: Queries, sampler: Sampler, settings: Settings) -> None:
        self._queries = queries
        self._sampler = sampler
        self._timings = Timings(settings)

    def flow(self) -> dict[str, Any]:
        """The line: workers, lag and pace."""
        return flow_document(self._sampler.board, self._sampler.now)

    def job(self, row: JobRow) -> dict[str, Any]:
        """A job with its counts and its pace."""
        return job_document(row, now(), self._sampler.board.pace(row.job.job, self._sampler.now))

    async def jobs(self, after: str | None, limit: int) -> dict[str, Any]:
        """Jobs, newest first, and the cursor of the next page."""
        page = await self._queries.jobs(after, limit)
        return {"jobs": [self.job(row) for row in page.items], "cursor": page.cursor}

    async def whole_job(self, name: str) -> dict[str, Any]:
        """A job with its categories, its reasons and the timings of its stages; 404 where there is none."""
        row = await self._queries.job(name)
        categories = await self._queries.categories(name)
        reasons = await self._queries.reasons(name)
        return {
            **self.job(row),
            "categories": dict(categories),
            "quarantined_by_reason": reasons.counts,
            "quarantined_by_reason_complete": reasons.complete,
            **await self._times(row),
        }

    async def _times(self, row: JobRow) -> dict[str, Any]:
        """``timings`` of the stages; where they are null, ``timings_missing`` says why."""
        if not row.counts.get("discovered"):
            return _no_timings("nothing was discovered yet")
        if self._sampler.board.unread is not None:
            return _no_timings(self._sampler.board.unread)
        try:
            timings = await self._timings.of(row, _TIMINGS_SECONDS)
        except Retriable as exc:
            return _no_timings(str(exc))
        if timings is None:
            return _no_timings("they are being read from the log")
        if not timings:
            return _no_timings("the log has no events of this job any more")
        return {"timings": timings_document(timings), "timings_missing": None}


def _no_timings(why: str) -> dict[str, Any]:
    return {"timings": None, "timings_missing": why}
