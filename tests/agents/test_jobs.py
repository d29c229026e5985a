import asyncio
from pathlib import Path

import pytest

from tests.agents.board import PARTITIONS, Line, manifest
from tests.agents.fakes import record_of
from watson.agents.job import Job
from watson.agents.ports import partition_of
from watson.errors import EmitFailed, RecordTooLarge, Refused
from watson.events import (
    REDRIVE,
    REPAIR,
    ImageDiscovered,
    JobCancelled,
    JobChanged,
    JobOptions,
    ManifestSubmitted,
    ModelRegistered,
    PartitionProgressed,
    decode,
)
from watson.stages.discover import JobMark, Part


async def test_a_job_lists_its_source_and_completes_when_every_image_has_ended(tmp_path, pictures):
    line = Line(tmp_path)
    await line.start()
    await line.submit(manifest(pictures))
    job = await line.until("complete")
    assert (job.mark.listed, job.total.discovered, job.total.catalogued) == (20, 20, 20)
    assert len(set(line.sent())) == len(line.sent()) == 20
    states = [event.state for event in line.log.events(JobChanged)]
    assert states[0] == "listing"
    assert states[-2:] == ["draining", "complete"]


async def test_images_carry_the_model_with_the_version_that_its_name_meant_at_submission(tmp_path, pictures):
    line = Line(tmp_path)
    await line.start()
    await line.submit(manifest(pictures, model="m"))
    await line.until("complete")
    assert {event.model for event in line.log.events(ImageDiscovered)} == {"m@1"}
    assert [event.name for event in line.log.events(ModelRegistered)] == ["m"]


async def test_no_more_images_are_in_flight_than_the_credit_allows(tmp_path, pictures):
    line = Line(tmp_path)
    await line.start()
    await line.submit(manifest(pictures))
    for _ in range(5):
        await line.turn(end=False)
    assert len(line.sent()) == 4


async def test_a_small_job_is_not_stuck_behind_a_large_one(tmp_path, pictures):
    line = Line(tmp_path)
    await line.start()
    await line.submit(manifest(pictures, job="large"))
    for _ in range(5):
        await line.turn(end=False)
    small = tmp_path / "small"
    small.mkdir()
    (small / "one.jpg").write_bytes(b"x")
    await line.submit(manifest(small, job="small"))
    jobs: list[str] = []
    for _ in range(200):  # its listing is opened in a thread, which takes its time on a busy machine
        await line.turn(end=False)
        jobs = [event.job for event in line.log.events(ImageDiscovered)]
        if "small" in jobs:
            break
    assert jobs.index("small") <= 4


async def test_a_source_without_pictures_completes_at_once(tmp_path):
    (tmp_path / "empty").mkdir()
    line = Line(tmp_path)
    await line.start()
    await line.submit(manifest(tmp_path / "empty"))
    job = await line.until("complete")
    assert job.mark.listed == 0


async def test_a_source_that_does_not_exist_fails_the_job_with_the_reason(tmp_path):
    line = Line(tmp_path)
    await line.start()
    await line.submit(manifest(tmp_path / "nowhere"))
    job = await line.until("failed")
    assert "nowhere" in job.mark.message
    assert line.log.events(JobChanged)[-1].message == job.mark.message


async def test_an_event_that_the_broker_never_takes_fails_the_job_and_not_the_worker(tmp_path, pictures):
    line = Line(tmp_path)
    emit = line.log.emit

    async def too_small(topic, *rest):
        if topic == "image-discovered":
            raise RecordTooLarge("2 MB")
        await emit(topic, *rest)

    line.log.emit = too_small
    await line.start()
    await line.submit(manifest(pictures))
    job = await line.until("failed")
    assert "2 MB" in job.mark.message


async def test_a_model_that_is_unknown_fails_the_job_before_anything_is_listed(tmp_path, pictures):
    line = Line(tmp_path)
    await line.start()
    await line.submit(manifest(pictures, model="unknown"))
    job = await line.until("failed")
    assert "unknown" in job.mark.message
    assert line.sent() == []


async def test_the_same_manifest_again_starts_nothing(tmp_path, pictures):
    line = Line(tmp_path)
    await line.start()
    wanted = manifest(pictures)
    await line.submit(wanted)
    assert await line.submit(wanted) == "repeated"
    await line.until("complete")
    assert await line.submit(wanted.model_copy(update={"time": wanted.time.replace(year=2100)})) == "repeated"
    assert len(line.sent()) == 20


async def test_another_manifest_under_the_same_job_id_is_refused(tmp_path, pictures):
    line = Line(tmp_path)
    await line.start()
    await line.submit(manifest(pictures))
    with pytest.raises(Refused, match="choose another job id"):
        await line.submit(manifest(pictures, options=JobOptions(long_side=64)))


async def test_a_failed_job_that_is_submitted_again_is_listed_again(tmp_path, pictures):
    line = Line(tmp_path)
    await line.start()
    wanted = manifest(tmp_path / "later")
    await line.submit(wanted)
    await line.until("failed")
    pictures.rename(tmp_path / "later")
    await line.submit(wanted.model_copy(update={"time": wanted.time.replace(year=2100)}))
    job = await line.until("complete")
    assert job.total.catalogued == 20


async def test_a_manifest_in_another_partition_is_passed_on_to_the_jobs_home(tmp_path, pictures):
    line = Line(tmp_path)
    await line.start()
    wanted = manifest(pictures)
    home = partition_of(b"job", PARTITIONS)
    await line.board.handle(record_of(wanted, partition=(home + 1) % PARTITIONS), wanted)
    (passed,) = line.log.records
    assert (passed.topic, passed.partition) == ("manifests", home)
    assert line.board.jobs == {}
    assert decode(passed).id == wanted.id


async def test_a_repair_has_the_jobs_owner_say_what_is_so_now_and_begins_nothing(tmp_path, pictures):
    line = Line(tmp_path)
    await line.start()
    wanted = manifest(pictures)
    await line.submit(wanted)
    await line.until("complete")
    before = line.log.events(JobChanged)[-1]
    outcomes = [
        await line.board.handle(record_of(wanted, partition=partition, **{REDRIVE: REPAIR}), wanted)
        for partition in range(PARTITIONS)
    ]
    assert sorted(outcomes) == ["ignored"] * (PARTITIONS - 1) + ["redriven"]
    after = line.log.events(JobChanged)[-1]
    assert after.time > before.time
    assert after == before.model_copy(update={"time": after.time})
    assert len(line.sent()) == 20
    assert line.log.events(ManifestSubmitted) == [], "none is passed on: each partition gets its own"


async def test_a_repair_of_a_job_that_its_home_does_not_know_begins_nothing(tmp_path, pictures):
    line = Line(tmp_path)
    await line.start()
    wanted = manifest(pictures)
    for partition in range(PARTITIONS):
        await line.board.handle(record_of(wanted, partition=partition, **{REDRIVE: REPAIR}), wanted)
    assert line.log.records == []


async def test_a_cancelled_job_sends_no_more_images(tmp_path, pictures):
    line = Line(tmp_path)
    await line.start()
    await line.submit(manifest(pictures))
    async with asyncio.timeout(30):
        while len(line.sent()) < line.settings.credit_min:  # its listing is opened in a thread: on its own time
            await line.turn(end=False)
    before = line.sent()
    listing = line.listings._tasks["job"]
    await line.submit(JobCancelled(job="job"))
    async with asyncio.timeout(30):
        while not listing.done():  # the images that were sent end, so there is credit for more
            await line.turn()
    assert line.sent() == before
    assert len(before) < 20
    assert line.log.events(JobChanged)[-1].state == "cancelled"


async def test_a_job_that_could_not_be_said_is_not_kept_and_so_is_said_when_its_manifest_comes_again(
    tmp_path, pictures
):
    """Kept first, it would be a known job at the redelivery, and no row of it would ever be written."""
    line = Line(tmp_path)
    await line.start()
    event = manifest(pictures)
    emit = line.log.emit

    async def all_but_jobs(topic, *record):  # its model is announced before it
        if topic == "jobs":
            raise EmitFailed("jobs: not acknowledged")
        await emit(topic, *record)

    line.log.emit = all_but_jobs
    with pytest.raises(EmitFailed):
        await line.submit(event)
    assert line.job_marks.parts.get(partition_of(b"job", PARTITIONS), {}) == {}
    heir = Line(tmp_path, marks=(line.images, line.job_marks))
    await heir.start()
    assert await heir.submit(event) == "emitted"
    assert next(changed.state for changed in heir.log.events(JobChanged)) == "listing"
    await heir.listings.close()


async def test_a_change_that_could_not_be_said_is_said_by_the_heir(tmp_path, pictures):
    line = Line(tmp_path)
    await line.start()
    await line.submit(manifest(pictures))
    line.log.failure = EmitFailed("jobs: not acknowledged")
    cancel = JobCancelled(job="job")
    with pytest.raises(EmitFailed):
        await line.submit(cancel)
    await line.listings.close()
    heir = Line(tmp_path, marks=(line.images, line.job_marks))
    await heir.start()
    assert await heir.submit(cancel) == "emitted"
    assert heir.log.events(JobChanged)[-1].state == "cancelled"
    await heir.listings.close()


@pytest.mark.parametrize("turns", range(9))
async def test_a_worker_killed_in_the_middle_of_a_listing_is_followed_by_one_that_misses_and_repeats_none(
    tmp_path, pictures, turns
):
    first = Line(tmp_path)
    await first.start()
    await first.submit(manifest(pictures))
    for _ in range(turns):
        await first.turn()
    await first.listings.close()
    sent_before = first.sent()
    heir = Line(tmp_path, marks=(first.images, first.job_marks))
    heir.log.records = list(first.log.records)
    heir.read = first.read
    await heir.start()
    job = await heir.until("complete")
    assert (job.total.listed, job.total.discovered, job.total.catalogued) == (20, 20, 20)
    assert set(heir.sent()) == {f"file://{path}" for path in pictures.iterdir()}
    again = len(heir.sent()) - len(set(heir.sent()))
    assert again <= heir.settings.page_size  # of the page in progress, with the same ids
    assert heir.sent()[: len(sent_before)] == sent_before


@pytest.mark.parametrize("ticks", range(4))
async def test_a_listing_that_is_stopped_in_the_moment_in_which_credit_comes_back_ends(tmp_path, pictures, ticks):
    line = Line(tmp_path)  # Python 3.11's asyncio.wait_for lost the cancellation then
    await line.start()
    await line.submit(manifest(pictures))
    for _ in range(3):
        await line.turn(end=False)
    line.board.jobs["job"].moved.set()
    for _ in range(ticks):
        await asyncio.sleep(0)
    async with asyncio.timeout(3):
        await line.listings.close()


async def test_entries_that_the_transport_lost_are_listed_again(tmp_path, pictures):
    line = Line(tmp_path, redrive_after=0.05)
    await line.start()
    dropped = []

    def lose_three(record):
        if record.topic == "image-discovered" and len(dropped) < 3:
            dropped.append(record)
            return True
        return False

    line.lost = lose_three
    await line.submit(manifest(pictures))
    for _ in range(400):
        await line.turn()
        for job in list(line.board.jobs.values()):
            await line.board.relist_if_lost(job)
        if line.board.jobs["job"].mark.state == "complete":
            break
    total = line.board.jobs["job"].total
    assert (total.listed, total.discovered, total.catalogued) == (20, 20, 20)
    assert len(dropped) == 3


def test_older_progress_never_undoes_newer():
    job = Job(0, JobMark(manifest=manifest(Path("/pictures")), model="m@1"))
    new = PartitionProgressed(job="j", partition=1, listed=5, discovered=5, catalogued=3, quarantined=0)
    old = PartitionProgressed(job="j", partition=1, listed=5, discovered=5, catalogued=2, quarantined=0)
    assert job.note(1, Part.of(new), 50)
    assert not job.note(1, Part.of(old), 50)
    assert job.total.catalogued == 3


def test_the_home_of_a_key_is_where_kafkas_java_client_puts_it():
    # Source: murmur2 test vectors of org.apache.kafka.common.utils.UtilsTest.testMurmur2
    from aiokafka.partitioner import murmur2

    assert murmur2(b"21") - (1 << 32 if murmur2(b"21") >= 1 << 31 else 0) == -973932308
    assert partition_of(b"21", 7) == (-973932308 & 0x7FFFFFFF) % 7
