"""Rows and groups to sample."""

from __future__ import annotations

from datetime import UTC, datetime

from watson.events import JobChanged, JobOptions, Source
from watson.storage.catalogue import JobRow
from watson.web.flow.reading import GroupReading, TopicLag, Worker

START = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)


def job(name: str, state: str = "draining", **counts: int) -> JobRow:
    changed = JobChanged(
        time=START,
        job=name,
        dataset="animals",
        source=Source(kind="directory", uri="/photographs"),
        model="painted@0123456789ab",
        options=JobOptions(),
        state=state,
        listed=counts.get("discovered", 0),
    )
    return JobRow(job=changed, submitted_at=START, counts=counts)


def group(
    role: str = "segment", *, done: int = 0, lag: int = 0, workers: int = 1, state: str = "Stable"
) -> GroupReading:
    """A group that has committed ``done`` records of one partition, and not yet ``lag`` others."""
    return GroupReading(
        role=role,
        state=state,
        workers=tuple(Worker(f"worker-{number}", "10.0.0.1", (number,)) for number in range(workers)),
        topics=(TopicLag("preprocessed", (done + lag,), (lag,)),),
    )
