import asyncio
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from tests.agents.board import PARTITIONS, Line, manifest
from tests.agents.fakes import MemoryMarks, record_of
from tests.agents.kept import as_kept_before, as_kept_later, renamed_since
from watson.agents.job import Job
from watson.agents.ports import partition_of
from watson.errors import EmitFailed, ReasonCode, RecordTooLarge, Refused
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
    Record,
    Source,
    decode,
    now,
)
from watson.stages.discover import JobMark, Part


def picture_files(folder: Path, names: Iterable[str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"{name}.jpg").write_bytes(b"x")
    return folder


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
    names: list[str] = []
    for _ in range(200):  # its listing is opened in a thread, which takes its time on a busy machine
        await line.turn(end=False)
        names = [event.job for event in line.log.events(ImageDiscovered)]
        if "small" in names:
            break
    assert names.index("small") <= 4


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
    assert list(line.job_marks.items(partition_of(b"job", PARTITIONS), b"job/")) == []
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


async def test_a_cancellation_that_comes_again_after_the_job_was_submitted_again_cancels_nothing(tmp_path, pictures):
    line = Line(tmp_path)
    await line.start()
    await line.submit(manifest(pictures))
    cancelled = JobCancelled(job="job")
    await line.submit(cancelled)
    assert line.board.jobs["job"].mark.state == "cancelled"
    await line.submit(manifest(pictures))
    assert await line.submit(cancelled) == "ignored"
    assert line.board.jobs["job"].mark.state == "listing"
    assert await line.submit(JobCancelled(job="job")) == "emitted"
    assert line.board.jobs["job"].mark.state == "cancelled"


async def test_a_producer_that_states_no_times_cancels_by_those_of_its_records(tmp_path, pictures):
    line = Line(tmp_path)
    await line.start()
    home = partition_of(b"job", PARTITIONS)

    async def take(event, seconds):
        body = orjson.dumps(event.model_dump(mode="json", exclude={"time"}))
        stated = (("ce_type", f"watson.{event.kind}.v{event.version}".encode()),)
        record = Record("manifests", home, 0, b"job", body, stated, timestamp=1_700_000_000.0 + seconds)
        await line.board.handle(record, decode(record))
        return line.board.jobs["job"].mark.state

    wanted, unwanted = manifest(pictures), JobCancelled(job="job")
    assert await take(wanted, 0) == "listing"
    assert await take(unwanted, 1) == "cancelled"
    assert await take(wanted, 2) == "listing"
    assert await take(unwanted, 1) == "listing"
    assert await take(unwanted, 3) == "cancelled"


@pytest.mark.parametrize("seconds", [-3600, -2, 0, 2])
async def test_what_is_said_of_a_job_is_ever_later_whatever_the_clock_of_the_worker_that_takes_it_over(
    tmp_path, pictures, monkeypatch, seconds
):
    first = Line(tmp_path)
    await first.start()
    await first.submit(manifest(pictures))
    for _ in range(3):
        await first.turn()
    await first.listings.close()
    monkeypatch.setattr("watson.agents.jobs.now", lambda: now() + timedelta(seconds=seconds))
    heir = Line(tmp_path, marks=(first.images, first.job_marks))
    heir.log.records, heir.read = list(first.log.records), first.read
    await heir.start()
    await heir.until("complete")
    times = [event.time for event in heir.log.events(JobChanged)]
    assert times == sorted(set(times))
    assert heir.log.events(JobChanged)[-1].state == "complete"


async def test_a_job_that_is_submitted_again_is_said_after_all_that_was_said_of_it(tmp_path, pictures, monkeypatch):
    line = Line(tmp_path)
    await line.start()
    await line.submit(manifest(pictures, model="unknown"))
    monkeypatch.setattr("watson.agents.jobs.now", lambda: now() - timedelta(hours=1))
    await line.submit(manifest(pictures, model="unknown"))
    before, after = line.log.events(JobChanged)
    assert after.time > before.time


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


class KeepsNoCursor(MemoryMarks):
    """Never gets to keep that a page was sent."""

    def __init__(self):
        super().__init__()
        self.reached = asyncio.Event()

    async def put(self, partition, key, value):
        if key.startswith(b"job/") and orjson.loads(value)["cursor"] is not None:
            self.reached.set()
            await asyncio.Event().wait()
        await super().put(partition, key, value)


async def test_a_page_sent_again_after_its_directory_grew_completes_the_job_when_all_were_discovered_and_not_before(
    tmp_path,
):
    folder = picture_files(tmp_path / "pictures", "bcd")
    marks = KeepsNoCursor()
    first = Line(tmp_path, marks=(MemoryMarks(), marks))
    await first.start()
    await first.submit(manifest(folder))
    async with asyncio.timeout(10):
        await marks.reached.wait()
    await first.listings.close()  # it dies, and all that it sent is on its way
    assert len(first.sent()) == 3
    picture_files(folder, "a")  # all places shift by one

    heir, late = Line(tmp_path, marks=(first.images, MemoryMarks(marks.parts))), []
    heir.log.records = list(first.log.records)

    def is_read_later(record):
        if record.topic == "image-discovered" and b"/a.jpg" in record.value:
            late.append(record)
            return True
        return False

    heir.lost = is_read_later
    await heir.start()
    await heir.until("draining")
    for _ in range(20):
        await heir.turn()
    assert (heir.board.jobs["job"].mark.state, len(late)) == ("draining", 1)
    heir.lost = lambda _record: False
    heir.log.records += late
    done = await heir.until("complete")
    assert (done.mark.listed, done.total.listed, done.total.discovered) == (4, 4, 4)


async def test_a_directory_that_grew_before_it_is_listed_again_for_what_was_lost_completes_with_all(tmp_path):
    folder = picture_files(tmp_path / "pictures", "bcdefgh")
    line, lost = Line(tmp_path, redrive_after=0.05), []

    def lose_twice(record):
        if record.topic != "image-discovered" or b"/h.jpg" not in record.value:
            return False
        if not lost:
            picture_files(folder, "a")
        lost.append(record)
        return len(lost) < 3

    line.lost = lose_twice
    await line.start()
    await line.submit(manifest(folder))
    for _ in range(400):
        await line.turn()
        await line.board.relist_if_lost(line.board.jobs["job"])
        if line.board.jobs["job"].mark.state == "complete":
            break
    assert line.board.jobs["job"].mark.state == "complete"
    assert (len(lost), line.board.jobs["job"].total.catalogued) == (3, 8)


async def test_a_list_that_names_a_picture_twice_has_two_places_for_it(tmp_path):
    folder = picture_files(tmp_path / "pictures", "ab")
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"{(folder / name).as_uri()}\n" for name in ("a.jpg", "b.jpg", "a.jpg")))
    line = Line(tmp_path)
    await line.start()
    wanted = manifest(folder).model_copy(update={"source": Source(kind="list", uri=str(listed))})
    await line.submit(wanted)
    done = await line.until("complete")
    assert (done.total.listed, done.total.discovered) == (3, 2)


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
    job = Job(0, 1, JobMark(manifest=manifest(Path("/pictures")), model="m@1"))
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


async def half_listed(tmp_path, pictures) -> Line:
    line = Line(tmp_path)
    await line.start()
    await line.submit(manifest(pictures))
    for _ in range(3):
        await line.turn()
    await line.listings.close()
    return line


def job_key(line: Line) -> tuple[int, bytes]:
    home = partition_of(b"job", PARTITIONS)
    (key,) = [key for key in line.job_marks.parts[home] if key.startswith(b"job/")]
    return home, key


@pytest.mark.parametrize("bare", [True, False])
async def test_a_job_that_an_older_watson_kept_goes_on(tmp_path, pictures, monkeypatch, bare):
    first = await half_listed(tmp_path, pictures)
    renamed_since(monkeypatch, ManifestSubmitted, "set", "dataset")
    home, key = job_key(first)
    kept = first.job_marks.get(home, key)
    await first.job_marks.put(home, key, as_kept_before(kept, "manifest", "set", "dataset", bare=bare))
    heir = Line(tmp_path, marks=(first.images, first.job_marks))
    heir.log.records, heir.read = list(first.log.records), first.read
    await heir.start()
    job = await heir.until("complete")
    assert (job.mark.manifest.dataset, job.total.catalogued) == ("data", 20)


async def test_a_job_that_a_newer_watson_kept_is_left_alone_and_what_is_wanted_of_it_is_refused(tmp_path, pictures):
    first = await half_listed(tmp_path, pictures)
    home, key = job_key(first)
    newer = as_kept_later(first.job_marks.get(home, key), "manifest")
    await first.job_marks.put(home, key, newer)
    heir = Line(tmp_path, marks=(first.images, first.job_marks))
    await heir.start()
    for event in (manifest(pictures), JobCancelled(job="job")):
        with pytest.raises(Refused, match="job 'job': manifest-submitted version 2 is newer than this code") as refused:
            await heir.submit(event)
        assert refused.value.code == ReasonCode.UNSUPPORTED_VERSION
    for _ in range(5):
        await heir.turn()
    assert heir.sent() == []
    assert first.job_marks.get(home, key) == newer


@pytest.mark.parametrize("name", ["list.csv", "liste-\udcfc.csv"])
async def test_a_list_in_latin_1_ends_as_a_failed_job_that_says_what_is_wrong(tmp_path, name):
    path = tmp_path / name
    path.write_bytes("Bild,Größe\n/tmp/a.jpg,3\n".encode("latin-1"))
    source = Source(kind="list", uri=path.as_uri())
    line = Line(tmp_path)
    await line.start()
    await line.submit(ManifestSubmitted(job="job", dataset="data", source=source))
    await line.until("failed")
    assert r"has no column uri; its columns: Bild, Gr\xf6\xdfe (not UTF-8" in line.log.events(JobChanged)[-1].message
    heir = Line(tmp_path, marks=(line.images, line.job_marks))
    await heir.start()
    assert heir.board.jobs["job"].mark.state == "failed"


async def test_whatever_a_listing_fails_with_its_job_fails_with_that_and_is_kept_so(tmp_path, pictures, monkeypatch):
    def refuse(*_):
        raise Refused(ReasonCode.SOURCE_INVALID, "404 \udcff\ud800" + "x" * 5000)

    monkeypatch.setattr("watson.agents.lister.open_source", refuse)
    line = Line(tmp_path)
    await line.start()
    await line.submit(manifest(pictures))
    await line.until("failed")
    said = line.log.events(JobChanged)[-1].message
    assert said.startswith(r"404 \udcff\ud800x")
    heir = Line(tmp_path, marks=(line.images, line.job_marks))
    await heir.start()
    assert heir.board.jobs["job"].mark.message == said


async def test_whatever_a_model_is_refused_with_its_job_fails_with_that(tmp_path, pictures, monkeypatch):
    async def refuse(_):
        raise Refused(ReasonCode.MODEL_UNKNOWN, "404 \udcff")

    line = Line(tmp_path)
    monkeypatch.setattr(line.board, "_resolve_model", refuse)
    await line.start()
    await line.submit(manifest(pictures))
    assert (await line.until("failed")).mark.message == r"404 \udcff"
