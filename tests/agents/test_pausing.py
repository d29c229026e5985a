"""A job of which nearly everything fails pauses, and goes on when it is told to: the board with all around it."""

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest

from tests.agents.board import PARTITIONS, Line, bad, good, manifest
from tests.agents.fakes import MemoryMarks, quarantined, record_of
from watson.agents import lister
from watson.agents.ports import partition_of
from watson.errors import ReasonCode
from watson.events import (
    REDRIVE,
    RETRY,
    ImageDiscovered,
    JobCancelled,
    JobChanged,
    JobPaused,
    JobResumed,
    PartitionProgressed,
    RetryRequested,
    decode,
)
from watson.sources import open_source

FAILURES = 5
CREDIT = 4  # of tests.agents.board


async def paused(tmp_path, pictures, **settings) -> Line:
    line = Line(tmp_path, breaker_failures=FAILURES, **settings)
    line.end_of = bad
    await line.start()
    await line.submit(manifest(pictures))
    await line.until("paused")
    return line


async def rest(line: Line, turns: int = 10) -> None:
    for _ in range(turns):
        await line.turn()


def resume(resumes: int = 0, *, retry: bool = True) -> JobResumed:
    return JobResumed(job="job", resumes=resumes, retry=retry)


async def end(line: Line, event) -> None:
    await line.tracker.handle(record_of(event, partition=partition_of(event.key.encode(), PARTITIONS)), event)


def job(line: Line):
    return line.board.jobs["job"]


async def test_a_bad_deploy_pauses_the_job_and_no_more_fail_than_the_documented_bound(tmp_path, pictures):
    line = await paused(tmp_path, pictures)
    await rest(line)
    assert FAILURES <= job(line).total.accused <= FAILURES - 1 + CREDIT < 20
    assert len(line.sent()) == job(line).total.accused
    assert job(line).mark.state == "paused"


class SlowMarks(MemoryMarks):
    async def put(self, partition, key, value):
        await asyncio.sleep(0.03)
        await super().put(partition, key, value)


async def test_no_more_fail_where_the_job_table_is_slow_and_reports_come_one_upon_another(tmp_path, pictures):
    line = Line(tmp_path, (MemoryMarks(), SlowMarks()), breaker_failures=FAILURES)
    line.end_of = bad
    await line.start()
    await line.submit(manifest(pictures))
    reports = set()
    deliver = line.deliver

    async def at_once(record, event):  # as the loop does: several events at a time
        if isinstance(event, PartitionProgressed):
            reports.add(asyncio.create_task(deliver(record, event)))
        else:
            await deliver(record, event)

    line.deliver = at_once
    await line.until("paused")
    await rest(line, 30)
    await asyncio.gather(*reports)
    assert FAILURES <= job(line).total.accused <= FAILURES - 1 + CREDIT
    assert line.log.events(JobChanged)[-1].state == "paused"


async def test_the_reason_says_how_many_failed_where_why_and_what_to_do(tmp_path, pictures):
    line = await paused(tmp_path, pictures)
    said = line.log.events(JobChanged)[-1]
    assert said.state == "paused"
    assert FAILURES <= int(said.message.split(" pictures")[0]) <= job(line).total.accused
    assert "preprocess: model-failed: no device" in said.message
    assert "watson jobs resume job" in said.message


async def test_resumed_it_retries_what_failed_and_loses_nothing(tmp_path, pictures):
    line = await paused(tmp_path, pictures)
    await rest(line)
    failed = set(line.sent())
    line.end_of = good
    assert await line.submit(resume()) == "emitted"
    done = await line.until("complete")
    assert (done.total.discovered, done.total.catalogued, done.total.quarantined) == (20, 20, 0)
    again = [decode(r).original.uri for r in line.log.records if r.header(REDRIVE) == RETRY]
    assert sorted(again) == sorted(failed)
    assert done.total.retried == len(failed)
    assert line.log.events(JobChanged)[-1].message == ""


async def test_without_retry_what_failed_stays_quarantined_and_the_rest_goes_on(tmp_path, pictures):
    line = await paused(tmp_path, pictures)
    await rest(line)
    failed = job(line).total.accused
    line.end_of = good
    await line.submit(resume(retry=False))
    done = await line.until("complete")
    assert (done.total.catalogued, done.total.quarantined) == (20 - failed, failed)
    assert line.log.events(RetryRequested) == []


async def test_resumed_with_the_cause_still_there_it_pauses_again_and_the_next_resumption_heals_all(tmp_path, pictures):
    line = await paused(tmp_path, pictures)
    await rest(line)
    await line.submit(resume())
    for _ in range(20):
        await line.turn()
    assert job(line).mark.state == "paused"
    assert job(line).mark.resumes == 1
    assert job(line).total.quarantined < 20, "the whole job was flooded"
    line.end_of = good
    await line.submit(resume(1))
    done = await line.until("complete")
    assert (done.total.catalogued, done.total.quarantined) == (20, 0)


async def test_an_image_in_flight_at_the_resumption_that_still_fails_is_retried_too(tmp_path, pictures):
    line = Line(tmp_path, breaker_failures=1)
    await line.start()
    await line.submit(manifest(pictures))
    for _ in range(3):
        await line.turn(end=False)
    first, second = line.log.events(ImageDiscovered)[:2]
    await end(line, bad(first))
    for _ in range(2):
        await line.turn(end=False)
    assert job(line).mark.state == "paused"
    line.end_of = good
    await line.submit(resume())
    await line.turn()
    letter = bad(second)
    await end(line, letter)
    await end(line, letter)  # a redelivery is not another failure
    for image in line.log.events(ImageDiscovered)[2:CREDIT]:
        await end(line, good(image))
    done = await line.until("complete")
    assert (done.total.catalogued, done.total.retried) == (20, 2)


async def test_a_resumption_that_comes_twice_resumes_once(tmp_path, pictures):
    line = await paused(tmp_path, pictures)
    await rest(line)
    await line.submit(resume())
    assert await line.submit(resume()) == "ignored"
    await rest(line, 20)  # it pauses again, for the cause is still there
    assert job(line).mark.state == "paused"
    assert await line.submit(resume()) == "ignored"  # the first one, redelivered
    assert job(line).mark.state == "paused"


@pytest.mark.parametrize("event", [resume(), JobPaused(job="nobody", resumes=0)])
async def test_what_is_wanted_of_a_job_that_is_not_there_or_not_paused_is_passed_over(tmp_path, pictures, event):
    line = Line(tmp_path)
    await line.start()
    await line.submit(manifest(pictures))
    assert await line.submit(event) == "ignored"
    await line.until("complete")


async def test_a_job_whose_listing_has_ended_pauses_too_and_drains_when_resumed(tmp_path, pictures):
    line = Line(tmp_path, breaker_failures=20, credit_min=50)
    line.end_of = bad
    await line.start()
    await line.submit(manifest(pictures))
    await line.until("draining", end=False)
    for record in [record for record in line.log.records if record.topic == "image-discovered"]:
        await line.end(record, decode(record))
    await line.until("paused")
    assert job(line).total.ended == 20
    assert job(line).mark.paused_in == "draining"
    line.end_of = good
    await line.submit(resume())
    assert job(line).mark.state == "draining"
    done = await line.until("complete")
    assert done.total.catalogued == 20
    assert len(set(line.sent())) == 20


async def test_it_is_not_complete_before_every_partition_has_retried(tmp_path, pictures):
    line = await paused(tmp_path, pictures, redrive_after=0.05)
    await rest(line)
    line.end_of = good
    asked = []

    def lose_the_first(record):
        if record.topic == "jobs" and isinstance(decode(record), RetryRequested) and len(asked) < PARTITIONS:
            asked.append(record)
            return True
        return False

    line.lost = lose_the_first
    await line.submit(resume())
    await rest(line)
    assert job(line).mark.state == "listing"
    for _ in range(200):
        await line.turn()
        await line.board.ask_again_if_lost(job(line))
        if job(line).mark.state == "complete":
            break
    assert (len(asked), job(line).total.catalogued) == (PARTITIONS, 20)


@pytest.mark.parametrize("what", [partial(JobPaused, resumes=0), JobCancelled])
async def test_a_listing_that_ends_just_after_it_was_stopped_does_not_start_the_job_again(
    tmp_path, pictures, monkeypatch, what
):
    line, at_the_end, go_on = Line(tmp_path, credit_min=50), asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def slow_at_the_end(source, settings):
        async with open_source(source, settings) as real:
            yield SlowAtTheEnd(real)

    class SlowAtTheEnd:
        def __init__(self, real):
            self.real = real

        async def batches(self, cursor, size):
            async for batch in self.real.batches(cursor, size):
                yield batch
            at_the_end.set()
            await go_on.wait()

    monkeypatch.setattr(lister, "open_source", slow_at_the_end)
    await line.start()
    await line.submit(manifest(pictures))
    async with asyncio.timeout(10):
        while not at_the_end.is_set():
            await line.turn()
    await line.submit(what(job="job"))
    stopped = job(line).mark.state
    go_on.set()
    await rest(line)
    assert job(line).mark.state == stopped
    if stopped == "paused":
        await line.submit(resume())
        assert (await line.until("complete")).total.catalogued == 20


async def test_a_complete_job_never_pauses(tmp_path, pictures):
    line = Line(tmp_path, breaker_failures=1)
    await line.start()
    await line.submit(manifest(pictures))
    await line.until("complete")
    before = job(line).mark
    for number in range(100, 120):
        letter = quarantined(number, reason="model-failed")
        await line.tracker.handle(record_of(letter), letter)
    await rest(line)
    assert job(line).mark == before


async def test_pictures_that_are_themselves_at_fault_pause_nothing(tmp_path, pictures):
    line = Line(tmp_path, breaker_failures=2)
    line.end_of = lambda event: bad(event).model_copy(update={"reason": ReasonCode.TRUNCATED})
    await line.start()
    await line.submit(manifest(pictures))
    done = await line.until("complete")
    assert (done.total.quarantined, done.total.accused) == (20, 0)


async def test_failing_is_no_pace_so_that_the_credit_does_not_grow_by_it(tmp_path, pictures):
    line = Line(tmp_path, breaker_failures=1000)
    line.end_of = bad
    await line.start()
    await line.submit(manifest(pictures))
    done = await line.until("complete")
    assert done.ends[-1][1] == 0
    assert done.pace == 0.0


async def test_whoever_takes_over_knows_how_near_the_breaker_is_and_that_the_job_is_paused(tmp_path, pictures):
    first = Line(tmp_path, breaker_failures=FAILURES)
    first.end_of = bad
    await first.start()
    await first.submit(manifest(pictures))
    for _ in range(50):
        await first.turn()
        if job(first).mark.pressure:
            break
    pressed = job(first).mark.pressure
    assert 0 < pressed < FAILURES
    await first.listings.close()
    heir = Line(tmp_path, (first.images, first.job_marks), breaker_failures=FAILURES)
    heir.log.records, heir.read, heir.end_of = list(first.log.records), first.read, bad
    heir.outcomes = first.outcomes
    await heir.start()
    assert job(heir).mark.pressure == pressed
    await heir.until("paused")
    await rest(heir)
    await heir.listings.close()
    last = Line(tmp_path, (heir.images, heir.job_marks), breaker_failures=FAILURES)
    last.log.records, last.read, last.outcomes = list(heir.log.records), heir.read, heir.outcomes
    await last.start()
    sent = len(last.sent())
    await rest(last)
    assert (job(last).mark.state, len(last.sent())) == ("paused", sent)
    await last.submit(resume())
    done = await last.until("complete")
    assert done.total.catalogued == 20


async def test_a_job_is_paused_by_hand_and_goes_on(tmp_path, pictures):
    line = Line(tmp_path)
    await line.start()
    await line.submit(manifest(pictures))
    await line.turn()
    assert await line.submit(JobPaused(job="job", resumes=0)) == "emitted"
    await line.turn()  # what was on its way
    before = len(line.sent())
    await rest(line)
    assert len(line.sent()) == before
    assert "watson jobs resume job" in line.log.events(JobChanged)[-1].message
    await line.submit(resume())
    assert await line.submit(JobPaused(job="job", resumes=0)) == "ignored"  # redelivered
    done = await line.until("complete")
    assert done.total.catalogued == 20


async def test_a_paused_job_can_be_cancelled_and_then_not_resumed(tmp_path, pictures):
    line = await paused(tmp_path, pictures)
    await line.submit(JobCancelled(job="job"))
    assert await line.submit(resume()) == "ignored"
    assert job(line).mark.state == "cancelled"


async def test_a_resumption_in_another_partition_is_passed_on_to_the_jobs_home(tmp_path, pictures):
    line = await paused(tmp_path, pictures)
    home = partition_of(b"job", PARTITIONS)
    await line.board.handle(record_of(resume(), partition=(home + 1) % PARTITIONS), resume())
    passed = line.log.records[-1]
    assert (passed.topic, passed.partition, decode(passed).retry) == ("manifests", home, True)
    assert job(line).mark.state == "paused"
    assert len(line.log.events(ImageDiscovered)) < 20
