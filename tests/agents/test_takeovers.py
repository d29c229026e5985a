"""A worker that was believed dead wakes up, and what it had begun to write lands behind what its heir wrote."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.agents.board import PARTITIONS, Line, bad, good, manifest
from tests.agents.fakes import MemoryMarks, record_of
from watson.agents.ports import partition_of
from watson.events import (
    ImageDiscovered,
    JobCancelled,
    JobChanged,
    JobPaused,
    JobResumed,
    PartitionProgressed,
    decode,
    now,
)
from watson.stages.discover import Counts, ImageMark, JobMark

PICTURES = 20  # of the fixture `pictures`
SETTINGS = {"breaker_failures": 15, "credit_min": 64, "redrive_after": 0.05, "redrives": 50}
HOME = partition_of(b"job", PARTITIONS)

Write = tuple[int, bytes, bytes]


class Remembering(MemoryMarks):
    """Remembers all that was ever written."""

    def __init__(self, parts=None):
        super().__init__(parts or {})
        self.writes: list[Write] = []

    async def put(self, partition, key, value):
        await super().put(partition, key, value)
        if value is not None:
            self.writes.append((partition, key, value))


async def paused(tmp_path, pictures) -> Line:
    """A job of which all pictures failed."""
    line = Line(tmp_path, (Remembering(), Remembering()), **SETTINGS)
    line.end_of = bad
    await line.start()
    await line.submit(manifest(pictures))
    await line.until("draining", end=False)
    for record in [record for record in line.log.records if record.topic == "image-discovered"]:
        await line.end(record, decode(record))
    await line.until("paused")
    while job(line).total.accused < PICTURES:
        await line.turn()
    return line


async def resumed(line: Line) -> Line:
    """It goes on, and all but one picture are catalogued."""
    slow, end = line.log.events(ImageDiscovered)[0].image_key, line.end

    async def end_but_one(record, event):
        if event.image_key != slow:
            await end(record, event)

    line.end, line.end_of = end_but_one, good
    await line.submit(JobResumed(job="job", resumes=0))
    while job(line).total.catalogued < PICTURES - 1:
        await line.turn()
    assert job(line).mark.state == "draining"
    return line


def copy_of(table: MemoryMarks) -> Remembering:
    return Remembering({partition: dict(part) for partition, part in table.parts.items()})


async def heir_of(line: Line, tmp_path, *late: Write, images: bool = False) -> Line:
    """Another worker, that takes all over after those records landed behind what there is."""
    await line.listings.close()
    tables = copy_of(line.images), copy_of(line.job_marks)
    for write in late:
        await tables[0 if images else 1].put(*write)
    heir = Line(tmp_path, tables, **SETTINGS)
    heir.log.records, heir.read = list(line.log.records), line.read
    heir.outcomes, heir.end_of = dict(line.outcomes), good
    await heir.start()
    return heir


async def complete(line: Line) -> None:
    """Until the job is complete, with all that the worker does now and then."""
    for _ in range(1000):
        await line.turn()
        await line.tracker.redrive_overdue()
        await line.tracker.say_again()
        await line.board.relist_if_lost(job(line))
        await line.board.ask_again_if_lost(job(line))
        if job(line).mark.state == "complete":
            return
    raise AssertionError(f"still {job(line).mark.state}: {job(line).total}")


def job(line: Line):
    return line.board.jobs["job"]


def image_marks(line: Line) -> Iterator[ImageMark]:
    for part in line.images.parts.values():
        for key, value in part.items():
            if not key.endswith(b"/"):
                yield ImageMark.from_bytes(value)


def kinds_of(writes: list[Write]) -> list[Write]:
    """One write of each kind: of an image in each situation, of each round."""
    kinds = {}
    for partition, key, value in writes:
        if key.endswith(b"/"):
            kinds[value] = partition, key, value
        else:
            mark = ImageMark.from_bytes(value)
            kinds[mark.end, mark.accused, mark.retries] = partition, key, value
    return list(kinds.values())


async def test_whatever_was_written_of_an_image_or_of_a_round_once_more_the_job_ends_with_all_catalogued(
    tmp_path, pictures
):
    line = await resumed(await paused(tmp_path, pictures))
    late = kinds_of(line.images.writes)
    assert len(late) == 5  # in flight, accused, in flight again, catalogued; the round
    for write in late:
        heir = await heir_of(line, tmp_path, write, images=True)
        await complete(heir)
        assert {mark.end for mark in image_marks(heir)} == {"catalogued"}
        counted = [counts["job"] for counts in heir.tracker._counts.values() if "job" in counts]
        assert job(heir).total == Counts.total(counted)
        assert job(heir).total.catalogued == PICTURES
        await heir.listings.close()


async def test_a_round_that_is_forgotten_and_all_images_as_they_were_before_it_are_retried_once_more(
    tmp_path, pictures
):
    line = await paused(tmp_path, pictures)
    before = [(p, key, value) for p, part in line.images.parts.items() for key, value in part.items()]
    await resumed(line)
    rounds = {p: part[b"job/"] for p, part in line.images.parts.items()}
    heir = await heir_of(line, tmp_path, *before, images=True)
    assert all(heir.images.parts[p][b"job/"] == kept for p, kept in rounds.items())
    await complete(heir)
    assert {(mark.end, mark.retries) for mark in image_marks(heir)} == {("catalogued", 1)}
    assert job(heir).total.catalogued == PICTURES


async def test_what_a_partition_said_before_it_had_another_owner_is_not_taken_for_news(tmp_path, pictures):
    line = await resumed(await paused(tmp_path, pictures))
    heir = await heir_of(line, tmp_path)
    await heir.turn(end=False)
    before = job(heir).total
    for record in line.log.records:
        if isinstance(event := decode(record), PartitionProgressed):
            assert await heir.board.handle(record, event) in ("repeated", "ignored")
    assert job(heir).total == before


async def test_a_mark_of_a_job_that_an_earlier_owner_wrote_late_changes_nothing(tmp_path, pictures):
    first = await paused(tmp_path, pictures)
    written = [write for write in first.job_marks.writes if write[1].startswith(b"job/")]
    assert {JobMark.from_bytes(value).state for *_, value in written} == {"listing", "draining", "paused"}
    second = await resumed(await heir_of(first, tmp_path))
    for late in written:
        third = await heir_of(second, tmp_path, late)
        assert job(third).mark == job(second).mark
        assert await third.submit(JobPaused(job="job", resumes=1)) == "emitted"
        assert await third.submit(JobResumed(job="job", resumes=1)) == "emitted"
        await complete(third)
        await third.listings.close()


async def test_a_job_that_was_cancelled_stays_so_whatever_an_earlier_owner_wrote_late(tmp_path, pictures):
    first = await paused(tmp_path, pictures)
    written = [write for write in first.job_marks.writes if write[1].startswith(b"job/")]
    second = await heir_of(first, tmp_path)
    await second.submit(JobCancelled(job="job"))
    for late in written:
        third = await heir_of(second, tmp_path, late)
        await asyncio.sleep(0.01)
        assert job(third).mark.state == "cancelled"


async def test_the_marks_of_earlier_owners_go_when_a_later_one_has_its_own(tmp_path, pictures):
    second = await resumed(await heir_of(await paused(tmp_path, pictures), tmp_path))
    third = await heir_of(second, tmp_path)
    kept = [key for key in second.job_marks.parts[HOME] if key.startswith(b"job/")]
    assert len(kept) == 1
    await complete(third)
    after = [key for key in third.job_marks.parts[HOME] if key.startswith(b"job/")]
    assert len(after) == 1
    assert after > kept


async def test_a_mark_without_an_owners_number_is_taken_up_as_the_oldest(tmp_path, pictures):
    line = await resumed(await paused(tmp_path, pictures))
    part = line.job_marks.parts[HOME]
    (key,) = [key for key in part if key.startswith(b"job/")]
    part[b"job/job"] = part.pop(key)
    heir = await heir_of(line, tmp_path)
    assert job(heir).mark == job(line).mark
    await complete(heir)
    assert b"job/job" not in heir.job_marks.parts[HOME]


@pytest.mark.parametrize("state", ["listing", "paused", "cancelled"])
async def test_what_somebody_else_says_of_a_job_is_contradicted_by_its_owner(tmp_path, pictures, state):
    line = Line(tmp_path)
    await line.start()
    await line.submit(manifest(pictures))
    await line.until("complete")
    await line.turn()
    own = line.log.events(JobChanged)
    foreign = own[0].model_copy(update={"state": state, "time": now()})
    assert await line.board.handle(record_of(foreign, partition=HOME), foreign) == "emitted"
    said = line.log.events(JobChanged)[len(own) :]
    assert [event.state for event in said] == ["complete"]
    assert said[0].time > foreign.time
    for event in (*own, *said):  # what it said itself it takes note of
        assert await line.board.handle(record_of(event, partition=HOME), event) == "ignored"


@pytest.mark.parametrize("year", [2100, 9998])
async def test_a_time_in_the_far_future_is_not_outdone(tmp_path, pictures, year):
    line = Line(tmp_path)
    await line.start()
    await line.submit(manifest(pictures))
    await line.until("complete")
    said = line.log.events(JobChanged)
    foreign = said[0].model_copy(update={"time": said[0].time.replace(year=year, month=12, day=31)})
    assert await line.board.handle(record_of(foreign, partition=HOME), foreign) == "ignored"
    assert line.log.events(JobChanged) == said
