from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta

import pytest

from watson import metrics
from watson.errors import Retriable
from watson.events import JobChanged, JobOptions, Source, now
from watson.storage.catalogue import JobRow
from watson.web.job_metrics import JobMetrics


class Rows:
    def __init__(self, rows: Iterable[JobRow] = (), problem: Exception | None = None) -> None:
        self.rows, self.problem = list(rows), problem

    async def jobs(self) -> list[JobRow]:
        if self.problem is not None:
            raise self.problem
        return self.rows


def row(name: str, state: str = "listing", *, minutes: float = 0.0, submitted: float = 0.0) -> JobRow:
    """A job that changed and was submitted so many minutes ago."""
    job = JobChanged(
        time=now() - timedelta(minutes=minutes),
        job=name,
        dataset="d",
        state=state,
        source=Source(kind="directory", uri="file:///x"),
        model="m@1",
        options=JobOptions(),
        listed=5,
    )
    return JobRow(job=job, submitted_at=now() - timedelta(minutes=submitted), counts={"discovered": 5, "catalogued": 3})


async def shown(rows: Rows) -> dict[tuple[str, str], float]:
    await JobMetrics(rows).refresh()  # type: ignore[arg-type]
    (family,) = metrics.JOB_IMAGES.collect()
    return {(sample.labels["watson_job"], sample.labels["stage"]): sample.value for sample in family.samples}


@pytest.fixture(autouse=True)
def nothing_left() -> Iterable[None]:
    yield
    metrics.JOB_IMAGES.clear()


async def test_a_job_under_way_is_shown_by_stage() -> None:
    assert await shown(Rows([row("a")])) == {
        ("a", "discovered"): 5,
        ("a", "preprocessed"): 0,
        ("a", "segmented"): 0,
        ("a", "catalogued"): 3,
        ("a", "quarantined"): 0,
    }


async def test_one_that_ended_is_shown_for_ten_minutes_more() -> None:
    rows = [row("new", "complete", minutes=9), row("old", "complete", minutes=11), row("slow", "paused", minutes=11)]
    assert {job for job, _ in await shown(Rows(rows))} == {"new", "slow"}


async def test_of_many_jobs_the_newest_are_shown_and_no_more_than_the_most() -> None:
    rows = [row(f"j{number}", submitted=number) for number in range(metrics.MOST_JOBS + 5)]
    assert {job for job, _ in await shown(Rows(rows))} == {f"j{number}" for number in range(metrics.MOST_JOBS)}


async def test_where_the_catalogue_is_away_no_job_is_shown_rather_than_an_old_number() -> None:
    assert await shown(Rows([row("a")]))
    assert await shown(Rows(problem=Retriable("it does not answer"))) == {}


async def test_a_slow_catalogue_does_not_hold_up_a_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watson.web.job_metrics._PATIENCE_SECONDS", 0.01)
    answered = asyncio.Event()

    class Slow(Rows):
        asked = 0

        async def jobs(self) -> list[JobRow]:
            self.asked += 1
            await answered.wait()
            return self.rows

    rows = Slow([row("a")])
    numbers = JobMetrics(rows)  # type: ignore[arg-type]
    await numbers.refresh()
    await numbers.refresh()
    assert (rows.asked, next(iter(metrics.JOB_IMAGES.collect())).samples) == (1, [])
    answered.set()
    await numbers.refresh()
    assert len(next(iter(metrics.JOB_IMAGES.collect())).samples) == 5
