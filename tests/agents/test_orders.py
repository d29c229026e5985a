"""What a user says of one job is done in the order in which it was said, however long a model takes to be resolved."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.agents.board import PARTITIONS, Line, manifest
from tests.agents.fakes import FakeDelivery, delivered, record_of
from watson.agents.loop import Loop
from watson.agents.ports import partition_of
from watson.errors import ReasonCode, Refused
from watson.events import Event, JobCancelled, JobPaused, Record, now


async def line_of(folder: Path, seconds: Iterable[float], problem: Exception | None = None) -> Line:
    """A board whose model takes so long to be resolved, each time; after the first time it may fail."""
    (folder / "pictures").mkdir()
    (folder / "pictures/1.jpg").write_bytes(b"x")
    line = Line(folder)
    await line.start()
    quick, waits = line.board._resolve_model, iter(seconds)
    first = True

    async def resolve(reference: str):
        nonlocal first
        failing, first = problem is not None and not first, False
        await asyncio.sleep(next(waits))
        if failing:
            raise problem
        return await quick(reference)

    line.board._resolve_model = resolve
    return line


async def feed(line: Line, events: Iterable[Event]) -> list[str]:
    """Through the loop that works on many events at once, as they stand in the topic."""
    outcomes: dict[int, str] = {}

    async def handle(record: Record, event: Event) -> str:
        outcomes[record.offset] = await line.board.handle(record, event)
        return outcomes[record.offset]

    records = [record_of(event, partition_of(event.job.encode(), PARTITIONS), n) for n, event in enumerate(events)]
    loop = Loop("discover", handle, handle, line.settings.window)
    await loop.consume(delivered([FakeDelivery(record) for record in records]))
    return [outcomes[place] for place in sorted(outcomes)]


def state(line: Line) -> str:
    return line.board.jobs["job"].mark.state


def cancelled(later_than: Event) -> JobCancelled:
    return JobCancelled(job="job", time=later_than.time + timedelta(seconds=5))


async def test_a_cancellation_that_stands_right_behind_the_manifest_is_not_lost(tmp_path: Path) -> None:
    line = await line_of(tmp_path, [0.05])
    submitted = manifest(tmp_path / "pictures")
    assert await feed(line, [submitted, cancelled(submitted)]) == ["emitted", "emitted"]
    assert state(line) == "cancelled"


async def test_a_pause_that_stands_right_behind_the_manifest_is_not_lost(tmp_path: Path) -> None:
    line = await line_of(tmp_path, [0.05])
    await feed(line, [manifest(tmp_path / "pictures"), JobPaused(job="job", resumes=0)])
    assert state(line) == "paused"


async def test_a_manifest_that_comes_twice_does_not_revive_what_was_cancelled_meanwhile(tmp_path: Path) -> None:
    line = await line_of(tmp_path, [0.0, 0.1])
    submitted = manifest(tmp_path / "pictures")
    assert await feed(line, [submitted, submitted, cancelled(submitted)]) == ["emitted", "repeated", "emitted"]
    assert state(line) == "cancelled"


async def test_a_manifest_that_comes_twice_does_not_fail_the_job_where_the_store_went_away_meanwhile(
    tmp_path: Path,
) -> None:
    away = Refused(ReasonCode.STORE_UNAVAILABLE, "the store is away")
    line = await line_of(tmp_path, [0.05, 0.1], away)
    submitted = manifest(tmp_path / "pictures")
    await feed(line, [submitted, submitted])
    assert state(line) == "listing"


async def test_a_pause_that_comes_again_does_not_pause_a_job_that_was_submitted_again(tmp_path: Path) -> None:
    line = await line_of(tmp_path, [0.0, 0.0, 0.0])
    first, pause = manifest(tmp_path / "pictures"), JobPaused(job="job", resumes=0)
    again = first.model_copy(update={"time": now() + timedelta(seconds=1)})
    for event in (first, pause, JobCancelled(job="job"), again):
        assert await line.submit(event) == "emitted"
    assert await line.submit(pause) == "ignored"
    assert state(line) == "listing"
    resumes = line.board.jobs["job"].mark.resumes
    assert await line.submit(JobPaused(job="job", resumes=resumes)) == "emitted"


@pytest.mark.parametrize("number", [2, 20])
async def test_turns_are_taken_in_the_order_in_which_they_are_asked_for(number: int) -> None:
    from watson.agents.turns import Turns

    turns, taken = Turns(), []

    async def take(place: int) -> None:
        async with turns.of("key"):
            taken.append(place)
            await asyncio.sleep(0)

    await asyncio.gather(*(take(place) for place in range(number)))
    assert taken == list(range(number))
    assert turns._turns == {}
