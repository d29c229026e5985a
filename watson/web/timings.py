"""How long each stage takes for a job's pictures, from the events that stand in the log.

The catalogue keeps no times of the stages. A sample of the log has them: of a few partitions, the first events after
the job's submission and the last ones before its end (or now).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import quantiles
from typing import Any
from uuid import UUID

from watson.agents.replay import LogReader, Place, open_log
from watson.errors import Refused, Retriable, UserError
from watson.events import CHAIN, REDRIVE, ImageEvent, Record, decode
from watson.settings import Settings
from watson.storage.catalogue import JobRow
from watson.web.flow.board import RUNNING
from watson.web.fresh import Fresh

__all__ = ["StageTiming", "Timings", "timings_document", "timings_of"]

_STAGES = dict(zip(CHAIN, ("discovered", "preprocessed", "segmented", "catalogued"), strict=True))
_MARGIN = timedelta(seconds=60)
_PARTITIONS = 4
_RECORDS = 200
"""Read at each end of each of these partitions of each topic of the chain."""

_READ_SECONDS = 5.0
_FETCH_BYTES = 128 << 10
_RUNNING_SECONDS = 30.0
_ENDED_SECONDS = 600.0
_KEPT_JOBS = 64


@dataclass(frozen=True, slots=True)
class StageTiming:
    """One stage: when its first and last event seen happened, and how long an image took from the stage before.

    ``median`` and ``slow`` (nine of ten are faster) are seconds with all waiting, of ``images``; None where there are
    none that were seen at both stages (and for ``discovered``, which is the beginning).
    """

    stage: str
    began: datetime
    last: datetime
    images: int
    median: float | None
    slow: float | None


class Timings:
    """Reads samples, one at a time, and keeps them for a while."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turn = asyncio.Semaphore(1)
        self._rows: dict[str, JobRow] = {}
        self._of_running: Fresh[str, list[StageTiming]] = Fresh(self._read, _RUNNING_SECONDS, _KEPT_JOBS)
        self._of_ended: Fresh[str, list[StageTiming]] = Fresh(self._read, _ENDED_SECONDS, _KEPT_JOBS)

    async def of(self, row: JobRow, patience: float) -> list[StageTiming] | None:
        """The timings of a job; None where they are not there within ``patience`` seconds: they come the next time.

        Raises:
            Retriable: the log cannot be read at present.
        """
        self._rows[row.job.job] = row
        while len(self._rows) > 2 * _KEPT_JOBS:
            del self._rows[next(iter(self._rows))]
        kept = self._of_running if row.job.state in RUNNING else self._of_ended
        try:
            async with asyncio.timeout(patience):
                return await kept.get(row.job.job)
        except TimeoutError:
            return None

    async def _read(self, job: str) -> list[StageTiming]:
        row = self._rows[job]
        async with self._turn:
            try:
                async with open_log(self._settings, _FETCH_BYTES) as log:
                    records = await self._sample(log, row)
            except UserError as exc:
                raise Retriable(str(exc)) from exc
        return await asyncio.to_thread(timings_of, job, records)

    async def _sample(self, log: LogReader, row: JobRow) -> list[Record]:
        partitions = range(min(_PARTITIONS, self._settings.partitions))
        reach = await log.reach([(topic, partition) for topic in CHAIN for partition in partitions])
        starts = await log.since(reach, row.submitted_at - _MARGIN)
        stops = {} if row.job.state in RUNNING else await log.since(reach, row.job.time + _MARGIN)
        windows = {place: range(starts[place], stops.get(place, reach[place].stop)) for place in reach}
        deadline = asyncio.get_running_loop().time() + _READ_SECONDS
        found: dict[tuple[Place, int], Record] = {}  # the two ends of a short window are the same records
        for part in (slice(None, _RECORDS), slice(-_RECORDS, None)):
            async for record in log.stretches({place: window[part] for place, window in windows.items()}, deadline):
                found[(record.topic, record.partition), record.offset] = record
        return list(found.values())


def timings_of(job: str, records: Iterable[Record]) -> list[StageTiming]:
    """What a sample of the log says of a job. What was sent again counts with its first time alone. Takes CPU time."""
    times: dict[str, dict[UUID, datetime]] = defaultdict(dict)
    for record in records:
        if record.header(REDRIVE) is not None:
            continue
        try:
            event = decode(record)
        except Refused:
            continue  # it has a dead letter, and no time
        if isinstance(event, ImageEvent) and event.job == job and event.topic in _STAGES:
            known = times[event.topic].get(event.image_key)
            times[event.topic][event.image_key] = event.time if known is None else min(known, event.time)
    before: dict[str, str] = dict(zip(CHAIN[1:], CHAIN, strict=False))
    return [
        _timing(stage, times[topic], times[before[topic]] if topic in before else {})
        for topic, stage in _STAGES.items()
        if times[topic]
    ]


def _timing(stage: str, times: dict[UUID, datetime], before: dict[UUID, datetime]) -> StageTiming:
    taken = [max(0.0, (time - before[key]).total_seconds()) for key, time in times.items() if key in before]
    median, slow = _median_and_slow(taken)
    return StageTiming(stage, min(times.values()), max(times.values()), len(taken), median, slow)


def _median_and_slow(taken: Sequence[float]) -> tuple[float | None, float | None]:
    if not taken:
        return None, None
    if len(taken) == 1:
        return taken[0], taken[0]
    tenths = quantiles(taken, n=10, method="inclusive")
    return tenths[4], tenths[8]


def timings_document(timings: Sequence[StageTiming]) -> list[dict[str, Any]]:
    """As JSON."""
    return [
        {
            "stage": timing.stage,
            "began": timing.began,
            "last": timing.last,
            "images": timing.images,
            "median_seconds": timing.median,
            "slow_seconds": timing.slow,
        }
        for timing in timings
    ]
