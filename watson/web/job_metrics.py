"""Numbers of the newest jobs for Prometheus, from the catalogue: asked for when somebody scrapes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog

from watson import metrics
from watson.errors import Retriable
from watson.events import now
from watson.storage.catalogue import Catalogue, JobRow

__all__ = ["JobMetrics"]

log = structlog.get_logger(__name__)

_PATIENCE_SECONDS = 0.5
"""Of a scrape. What the catalogue has not said by then goes out with the next one."""

_ANSWER_SECONDS = 10.0
"""Of the catalogue."""

_SHOWN_AFTER_END = timedelta(minutes=10)
"""So that a scraper sees a job's last numbers."""

_UNDER_WAY = frozenset({"listing", "draining", "paused"})


class JobMetrics:
    """Keeps `metrics.JOB_IMAGES` to the jobs under way, `metrics.MOST_JOBS` of them at most."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._asking: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Ask the catalogue, unless it is being asked already, and wait a moment for the answer."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        await asyncio.wait({self._asking}, timeout=_PATIENCE_SECONDS)
        if self._asking is not None and self._asking.done():
            done, self._asking = self._asking, None
            done.result()

    async def _ask(self) -> None:
        """Where the catalogue is away or slow no job is shown: an old number would look like a standstill."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                rows = await self._catalogue.jobs()
        except (Retriable, TimeoutError) as exc:
            log.warning("the catalogue does not tell of the jobs: their metrics are left out", why=str(exc))
            rows = []
        metrics.JOB_IMAGES.clear()
        for row in _shown(rows, now()):
            for stage in metrics.LABELS["stage"]:
                metrics.JOB_IMAGES.labels(row.job.job, stage).set(row.counts.get(stage, 0))


def _shown(rows: Iterable[JobRow], at: datetime) -> list[JobRow]:
    current = [row for row in rows if row.job.state in _UNDER_WAY or at - row.job.time < _SHOWN_AFTER_END]
    return sorted(current, key=lambda row: row.submitted_at, reverse=True)[: metrics.MOST_JOBS]
