from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from watson.embedded import progress, run
from watson.embedded.progress import Reading, Stalled, follow
from watson.embedded.run import JobFailed
from watson.embedded.workplace import claim
from watson.errors import Retriable, UserError
from watson.events import JobChanged, JobOptions, JobState, ManifestSubmitted, Source
from watson.settings import Settings
from watson.storage.catalogue import StageCount
from watson.storage.sqlite import SqliteCatalogue

JOB = "run-1"
TIME = datetime(2026, 1, 1, tzinfo=UTC)


class Feed:
    """Writes what the projection would."""

    def __init__(self, catalogue: SqliteCatalogue) -> None:
        self.catalogue = catalogue
        self._time = TIME

    async def say(self, state: JobState, listed: int, message: str = "", **counts: int) -> None:
        self._time += timedelta(seconds=1)
        source = Source(kind="directory", uri="/p")
        await self.catalogue.put_job(
            JobChanged(
                time=self._time,
                job=JOB,
                dataset="d",
                source=source,
                model="m",
                options=JobOptions(),
                state=state,
                listed=listed,
                message=message,
            )
        )
        await self.catalogue.put_submitted(JOB, TIME)
        for stage, count in counts.items():
            await self.catalogue.put_count(StageCount(job=JOB, stage=stage, partition=0, count=count, time=self._time))


@pytest.fixture
async def feed(tmp_path: Path) -> AsyncIterator[Feed]:
    catalogue = SqliteCatalogue(tmp_path / "catalogue.db")
    await catalogue.migrate()
    await catalogue.open()
    yield Feed(catalogue)
    await catalogue.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.02)


def _console(*, terminal: bool = False) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=terminal, width=100, color_system=None), out


async def _until_said(out: io.StringIO, text: str) -> None:
    async with asyncio.timeout(20):
        while text not in out.getvalue():  # noqa: ASYNC110 - a StringIO tells nobody that it was written to
            await asyncio.sleep(0.01)


async def test_it_waits_for_a_job_that_is_not_known_yet_and_ends_when_the_counts_are_complete(feed: Feed) -> None:
    console, out = _console()
    following = asyncio.create_task(follow(feed.catalogue, JOB, console))
    await _until_said(out, "submitted: 0 discovered")
    await feed.say("listing", 2, discovered=2)
    await _until_said(out, "listing: 2 discovered")
    await feed.say("complete", 3, discovered=3, preprocessed=2, segmented=2, catalogued=1, quarantined=1)
    await _until_said(out, "complete: 3 discovered, 2 preprocessed, 2 segmented, 1 catalogued, 1 quarantined of 3")
    assert not following.done()  # the state is ahead of the counts: one picture is not through
    await feed.say("complete", 3, catalogued=2)
    row = await asyncio.wait_for(following, 20)
    assert row.counts["catalogued"] == 2


async def test_machines_get_one_json_object_a_line(feed: Feed) -> None:
    await feed.say("complete", 2, discovered=2, preprocessed=2, segmented=2, catalogued=2)
    console, out = _console()
    await follow(feed.catalogue, JOB, console, json=True)
    (line,) = map(orjson.loads, out.getvalue().splitlines())
    assert line["state"] == "complete"
    assert line["total"] == line["catalogued"] == 2


async def test_a_terminal_gets_a_bar_for_each_stage(feed: Feed) -> None:
    await feed.say("complete", 3, discovered=3, preprocessed=2, segmented=2, catalogued=2, quarantined=1)
    console, out = _console(terminal=True)
    await follow(feed.catalogue, JOB, console)
    for text in ("discovered", "3/3", "preprocessed", "segmented", "catalogued", "2/2", "quarantined", "1/3"):
        assert text in out.getvalue()


async def test_a_job_that_is_done_and_whose_counts_stay_short_is_not_waited_for_for_ever(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_COUNTS_SECONDS", 0.1)
    await feed.say("complete", 3, discovered=3, catalogued=2)
    console, out = _console()
    row = await asyncio.wait_for(follow(feed.catalogue, JOB, console), 20)
    assert row.counts["catalogued"] == 2
    assert f"`watson audit {JOB}` says what is off" in out.getvalue()


@pytest.mark.parametrize(("state", "told"), [("listing", False), ("draining", True)])
def test_the_time_left_is_told_once_the_whole_source_is_listed(state: str, told: bool) -> None:
    reading = Reading(state, 100, dict.fromkeys(progress.STAGES, 10), 0)
    assert (" left" in progress._text_line(reading, 1.0)) is told
    assert (orjson.loads(progress._json_line(reading, 1.0))["seconds_left"] is not None) is told


async def test_each_bar_has_its_rate_also_while_the_total_grows(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    console, out = _console(terminal=True)
    following = asyncio.create_task(follow(feed.catalogue, JOB, console))
    for number in range(1, 8):
        await feed.say("listing", 100 * number, discovered=100 * number, preprocessed=50 * number)
        await asyncio.sleep(0.05)  # the rate is of time that passes
    await feed.say("complete", 700, catalogued=700)
    await asyncio.wait_for(following, 20)
    assert "/s" in out.getvalue()


async def test_once_shows_where_the_job_stands_and_returns(feed: Feed) -> None:
    await feed.say("listing", 5, discovered=5, preprocessed=3)
    console, out = _console()
    row = await follow(feed.catalogue, JOB, console, until_complete=False)
    assert row.job.state == "listing"
    assert "5 discovered, 3 preprocessed" in out.getvalue()


async def test_once_for_an_unknown_job_is_a_clear_error(feed: Feed) -> None:
    with pytest.raises(UserError, match="no job nothing"):
        await follow(feed.catalogue, "nothing", _console()[0], until_complete=False)


async def test_a_job_that_does_not_move_is_given_up(feed: Feed) -> None:
    await feed.say("draining", 5, discovered=5, catalogued=4)
    with pytest.raises(Stalled, match="4 of 5 pictures are through"):
        await asyncio.wait_for(follow(feed.catalogue, JOB, _console()[0], stall_after=0.2), 20)


async def test_a_job_that_stands_still_for_long_is_spoken_of(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_NOTICE_SECONDS", 0.05)
    await feed.say("draining", 5, discovered=5, catalogued=4)
    console, out = _console()
    with pytest.raises(Stalled):
        await asyncio.wait_for(follow(feed.catalogue, JOB, console, stall_after=0.4), 20)
    assert out.getvalue().count("Nothing has moved") == 1


class _Failing:
    """A catalogue that is away for the first so many calls."""

    def __init__(self, real: SqliteCatalogue, failures: int) -> None:
        self._real = real
        self.failures = failures

    async def job(self, job: str):
        if self.failures:
            self.failures -= 1
            raise Retriable("the database is busy")
        return await self._real.job(job)


async def test_a_catalogue_that_is_away_for_a_moment_is_asked_again(feed: Feed) -> None:
    await feed.say("complete", 0)
    row = await asyncio.wait_for(follow(_Failing(feed.catalogue, 3), JOB, _console()[0]), 20)
    assert row.job.state == "complete"


async def test_a_catalogue_that_stays_away_is_an_error(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_UNAVAILABLE_SECONDS", 0.1)
    with pytest.raises(Retriable, match="busy"):
        await asyncio.wait_for(follow(_Failing(feed.catalogue, 10**6), JOB, _console()[0]), 20)


@pytest.mark.parametrize("state", ["listing", "draining"])
async def test_a_job_in_motion_is_not_over_though_the_counts_agree(feed: Feed, state: JobState) -> None:
    await feed.say(state, 2, discovered=2, catalogued=2)
    assert not Reading.of(await feed.catalogue.job(JOB)).over


async def test_a_source_that_names_a_picture_twice_ends_with_the_distinct_ones(feed: Feed) -> None:
    await feed.say("complete", 3, discovered=2, catalogued=2)
    reading = Reading.of(await feed.catalogue.job(JOB))
    assert reading.over
    assert reading.total == 2


async def test_a_paused_job_is_not_waited_for_though_pictures_are_in_flight(feed: Feed) -> None:
    await feed.say("paused", 5, discovered=4, catalogued=1, quarantined=2)
    console, out = _console()
    row = await asyncio.wait_for(follow(feed.catalogue, JOB, console, stall_after=600), 20)
    assert row.job.state == "paused"
    assert "paused: 4 discovered" in out.getvalue()
    assert Reading.of(row).total == 5


async def test_a_run_whose_job_pauses_ends_with_the_reason_and_what_to_do(
    feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None: ...

    monkeypatch.setattr(run, "publish", nothing)
    manifest = ManifestSubmitted(job=JOB, dataset="d", source=Source(kind="directory", uri="/p"))
    await feed.say("paused", 5, message="50 pictures failed", discovered=4, quarantined=2)
    with claim(tmp_path / "out") as workplace:
        work = run._Run(manifest, workplace, feed.catalogue, _console()[0], json=False, stall_after=60)
        with pytest.raises(JobFailed, match=r"paused: 50 pictures failed\. .*same command again.*logs") as caught:
            await asyncio.wait_for(work._job(Settings()), 20)
    assert caught.value.exit_code == 1
