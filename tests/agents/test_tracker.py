import asyncio
from datetime import timedelta

import orjson
import pytest

from tests.agents.fakes import (
    MemoryLog,
    MemoryMarks,
    catalogued,
    discovered,
    outbox,
    preprocessed,
    quarantined,
    record_of,
)
from tests.agents.kept import as_kept_before, as_kept_later, renamed_since
from watson.agents import tracker as module
from watson.agents.tracker import Tracker
from watson.errors import ReasonCode
from watson.events import (
    LISTED,
    ONCE,
    REDRIVE,
    RETRY,
    ImageDiscovered,
    ImageQuarantined,
    PartitionProgressed,
    RetryRequested,
)
from watson.settings import Settings
from watson.stages.discover import image_mark_key


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


class Yard:
    def __init__(self, marks=None, **settings):
        self.marks, self.log = marks or MemoryMarks(), MemoryLog()
        self.tracker = Tracker(self.marks, outbox(self.log, "discover"), Settings(redrive_after=60.0, **settings))

    async def take(self, *events, partition=2):
        for event in events:
            await self.tracker.handle(record_of(event, partition=partition), event)

    async def said(self) -> PartitionProgressed | None:
        self.log.records.clear()
        await self.tracker.say()
        found = self.log.events(PartitionProgressed)
        return found[-1] if found else None


async def yard(**settings) -> Yard:
    made = Yard(**settings)
    await made.tracker.assign(2, 1)
    return made


def numbers(said: PartitionProgressed) -> tuple[int, int, int, int]:
    return said.listed, said.discovered, said.catalogued, said.quarantined


async def test_it_says_how_many_images_were_discovered_and_how_many_ended(clock):
    line = await yard()
    await line.take(discovered(0), discovered(1), discovered(2), catalogued(0), quarantined(1))
    assert numbers(await line.said()) == (3, 3, 1, 1)


async def test_it_says_nothing_where_nothing_changed(clock):
    line = await yard()
    await line.take(discovered(0))
    assert await line.said() is not None
    assert await line.said() is None


async def test_numbers_are_said_again_ever_more_rarely_in_case_the_message_was_lost(clock):
    """Else a job whose very last message was lost would never be complete: nothing is overdue, nothing changes."""
    there = await yard()
    await there.take(discovered(1), catalogued(1))
    first = await there.said()
    moments = []
    for _ in range(500):
        clock.now += 1.0
        there.log.records.clear()
        await there.tracker.say_again()
        if again := there.log.events(PartitionProgressed):
            moments.append(clock.now - 1000.0)
            assert numbers(again[-1]) == numbers(first)
    assert moments == [60.0, 180.0, 420.0]


async def test_numbers_of_a_revoked_partition_are_not_said_again(clock):
    there = await yard()
    await there.take(discovered(1))
    await there.said()
    there.tracker.revoke(2)
    clock.now += 1000.0
    there.log.records.clear()
    await there.tracker.say_again()
    assert there.log.events(PartitionProgressed) == []


async def test_events_that_come_twice_count_once(clock):
    line = await yard()
    await line.take(discovered(0), discovered(0), catalogued(0), catalogued(0))
    assert numbers(await line.said()) == (1, 1, 1, 0)


async def test_a_picture_that_a_list_names_twice_is_one_image_and_two_entries(clock):
    line = await yard()
    await line.take(discovered(0), discovered(0, index=5))
    assert numbers(await line.said()) == (2, 1, 0, 0)


async def test_a_picture_that_its_source_lists_once_is_one_entry_wherever_it_stands(clock):
    line = await yard()
    for index in (1, 2, 0):
        found = discovered(1, index=index)
        await line.tracker.handle(record_of(found, partition=2, **{LISTED: ONCE}), found)
    assert numbers(await line.said()) == (1, 1, 0, 0)


async def test_a_picture_that_a_list_names_thousands_of_times_has_no_mark_that_grows_with_it(clock):
    line = await yard()
    for _ in range(2):
        await line.take(*(discovered(0, index=n) for n in range(3000)))
    assert numbers(await line.said()) == (3000, 1, 0, 0)
    assert max(len(value) for value in line.marks.parts[2].values()) < 2000
    heir = Yard(line.marks)
    await heir.tracker.assign(2, 2)
    assert numbers(await heir.said()) == (3000, 1, 0, 0)


async def test_an_image_catalogued_after_its_quarantine_counts_as_catalogued_alone(clock):
    line = await yard()
    await line.take(discovered(0), quarantined(0), catalogued(0))
    assert numbers(await line.said()) == (1, 1, 1, 0)


async def test_events_of_one_image_at_the_same_moment_lose_none_of_each_other(clock):
    line = await yard()

    class SlowMarks(MemoryMarks):
        async def put(self, partition, key, value):
            await asyncio.sleep(0)
            await super().put(partition, key, value)

    line.tracker._marks = SlowMarks()
    await asyncio.gather(line.take(discovered(0)), line.take(catalogued(0)), line.take(discovered(0, index=3)))
    assert numbers(await line.said()) == (2, 1, 1, 0)


async def test_a_new_owner_counts_the_same_from_the_table(clock):
    line = await yard()
    await line.take(discovered(0), discovered(1), discovered(2), catalogued(0), quarantined(1))
    before = numbers(await line.said())
    heir = Yard(line.marks, redrives=3)
    await heir.tracker.assign(2, 2)
    assert numbers(await heir.said()) == before


async def test_an_overdue_image_is_sent_again_with_the_header_that_says_so(clock):
    line = await yard()
    await line.take(discovered(0), discovered(1), catalogued(1))
    line.log.records.clear()
    clock.now += 59
    assert await line.tracker.redrive_overdue() == 0
    clock.now += 2
    assert await line.tracker.redrive_overdue() == 1
    (sent,) = line.log.records
    assert sent.header(REDRIVE) == "1"
    assert sent.partition == 2
    assert line.log.events(ImageDiscovered)[0].image_key == discovered(0).image_key


async def test_each_redrive_waits_twice_as_long_as_the_one_before(clock):
    line = await yard()
    await line.take(discovered(0))
    sent_at = []
    for _ in range(600):
        clock.now += 1
        if await line.tracker.redrive_overdue():
            sent_at.append(clock.now - 1000)
    assert sent_at == [61, 182, 423]


async def test_an_image_that_never_ends_is_quarantined_with_the_stage_where_it_vanished(clock):
    line = await yard(redrives=1)
    await line.take(discovered(0), preprocessed(0))
    for _ in range(2):
        clock.now += 1000
        await line.tracker.redrive_overdue()
    (letter,) = line.log.events(ImageQuarantined)
    assert (letter.reason, letter.stage, letter.attempts) == (ReasonCode.VANISHED, "segment", 2)
    assert (letter.failed.topic, letter.failed.offset) == ("image-discovered", None), "nobody knows where it stood"
    await line.take(letter)
    assert numbers(await line.said()) == (1, 1, 0, 1)


async def test_a_new_owner_goes_on_counting_how_often_an_image_was_sent_again(clock):
    """Else an image that never ends would be sent again for ever, by a line whose workers change now and then."""
    line = await yard(redrives=3)
    await line.take(discovered(0))
    headers = []
    for owner in range(2, 6):
        clock.now += 100_000
        heir = Yard(line.marks, redrives=3)
        await heir.tracker.assign(2, owner)
        clock.now += 100_000
        await heir.tracker.redrive_overdue()
        headers += [record.header(REDRIVE) for record in heir.log.records if record.topic == "image-discovered"]
    assert headers == ["1", "2", "3"]
    (letter,) = heir.log.events(ImageQuarantined)
    assert (letter.reason, letter.attempts) == (ReasonCode.VANISHED, 4)


async def test_an_image_that_ended_is_never_sent_again(clock):
    line = await yard()
    await line.take(discovered(0), catalogued(0))
    line.log.records.clear()
    clock.now += 100_000
    assert await line.tracker.redrive_overdue() == 0
    assert line.log.records == []


async def test_the_time_in_which_nobody_looked_does_not_count(clock):
    line = await yard()
    await line.take(discovered(0))
    clock.now += 5000
    heir = Yard(line.marks)
    await heir.tracker.assign(2, 2)
    assert await heir.tracker.redrive_overdue() == 0


async def test_a_revoked_partition_is_neither_said_nor_redriven(clock):
    line = await yard()
    await line.take(discovered(0))
    line.tracker.revoke(2)
    clock.now += 5000
    assert await line.said() is None
    assert await line.tracker.redrive_overdue() == 0


# ---------------------------------------------------------------------- what failed for the deployment's fault
def failed(number: int) -> ImageQuarantined:
    return quarantined(number, reason="model-failed")


def again(number: int = 1, partition: int = 2) -> RetryRequested:
    return RetryRequested(job="job", partition=partition, round=number)


def sent(line: Yard) -> list[str | None]:
    """Headers of the images that were sent since the last `said`."""
    return [record.header(REDRIVE) for record in line.log.records if record.topic == "image-discovered"]


async def test_it_says_how_many_of_the_quarantined_accuse_the_deployment_and_the_newest_of_them(clock):
    line = await yard()
    await line.take(discovered(0), discovered(1), quarantined(0), failed(1))
    said = await line.said()
    assert (said.quarantined, said.accused, said.retried) == (2, 1, 0)
    assert said.accusation == "preprocess: model-failed: broken"


async def test_the_accusation_is_one_short_line_without_control_characters(clock):
    line = await yard()
    message = "no\x1b[2J device\n" + "x" * 5000
    await line.take(discovered(0), failed(0).model_copy(update={"message": message[:3000]}))
    said = (await line.said()).accusation
    assert said.startswith("preprocess: model-failed: no\ufffd[2J device xxx")
    assert len(said) == 400


async def test_a_retry_sends_the_accused_alone_and_each_once_a_round(clock):
    line = await yard()
    await line.take(*map(discovered, range(4)), quarantined(0), failed(1), failed(2), catalogued(3))
    line.log.records.clear()
    await line.take(again(), again())
    assert sent(line) == [RETRY, RETRY]
    assert {event.image_key for event in line.log.events(ImageDiscovered)} == {failed(n).image_key for n in (1, 2)}
    said = await line.said()
    assert (said.quarantined, said.accused, said.retried, said.round) == (1, 0, 2, 1)
    assert said.accusation == ""


async def test_what_fails_again_stays_quarantined_until_the_next_round(clock):
    line = await yard()
    await line.take(discovered(0), failed(0), again(), failed(0))
    assert (await line.said()).accused == 1
    await line.take(again())
    assert sent(line) == []
    await line.take(again(2))
    assert sent(line) == [RETRY]


async def test_an_image_in_flight_at_the_retry_that_fails_is_sent_again_and_one_discovered_later_is_not(clock):
    line = await yard()
    await line.take(discovered(0), again(), discovered(1))
    line.log.records.clear()
    await line.take(failed(0), failed(1))
    assert sent(line) == [RETRY]
    said = await line.said()
    assert (said.accused, said.retried) == (1, 1)


async def test_a_retried_image_that_is_lost_is_sent_again_as_one_that_is_retried(clock):
    line = await yard()
    await line.take(discovered(0), failed(0), again())
    line.log.records.clear()
    clock.now += 100
    await line.tracker.redrive_overdue()
    assert sent(line) == [RETRY]


async def test_a_redelivered_letter_does_not_end_the_image_that_is_retried_for_it(clock):
    line = await yard()
    letter = failed(0)
    await line.take(discovered(0), letter, again(), letter)
    said = await line.said()
    assert (said.quarantined, said.retried) == (0, 1)


async def test_a_late_copy_of_an_older_letter_does_not_end_the_image_that_is_retried(clock):
    line = await yard()
    first = failed(0)
    newer = failed(0).model_copy(update={"time": first.time + timedelta(seconds=5)})
    await line.take(discovered(0), first, again(1), newer, again(2), first)
    said = await line.said()
    assert (said.quarantined, said.retried) == (0, 2)


async def test_a_letter_that_came_after_another_is_known_when_it_comes_again_after_the_retry(clock):
    line = await yard()
    first = failed(0)
    second = failed(0).model_copy(update={"time": first.time + timedelta(seconds=5)})  # `dead-letters retry` in between
    await line.take(discovered(0), first, second, again(), second)
    said = await line.said()
    assert (said.quarantined, said.retried) == (0, 1)


async def test_a_request_that_breaks_off_is_done_to_its_end_when_it_comes_again(clock):
    line = await yard()
    await line.take(*map(discovered, range(3)), *map(failed, range(3)))
    line.log.records.clear()
    emit, tries = line.log.emit, iter(range(100))

    async def one_and_no_more(*arguments, **more):
        if next(tries) > 0:
            raise ConnectionError("the broker is gone")
        await emit(*arguments, **more)

    line.log.emit = one_and_no_more
    with pytest.raises(ConnectionError):
        await line.take(again())
    heir = Yard(line.marks)
    await heir.tracker.assign(2, 2)
    said = await heir.said()
    assert (said.accused, said.round) == (2, 0), "the round is not followed yet: the job could be taken for complete"
    await heir.take(again())
    said = await heir.said()
    assert (said.accused, said.retried, said.round) == (0, 3, 1)


async def test_a_round_is_followed_when_all_accused_were_sent_and_not_before(clock):
    line = await yard()
    await line.take(discovered(0), failed(0))
    emit = line.log.emit
    during = []

    async def say_meanwhile(topic, *rest, **more):
        if topic == "image-discovered":
            line.tracker._changed.add(("job", 2))
            await line.tracker.say()
            during.append(line.log.events(PartitionProgressed)[-1])
        await emit(topic, *rest, **more)

    line.log.emit = say_meanwhile
    await line.take(again())
    assert [(said.quarantined, said.round) for said in during] == [(1, 0)]
    line.log.emit = emit
    assert (await line.said()).round == 1


async def test_an_accused_image_that_was_not_retried_in_its_round_is_retried_when_the_round_is_asked_for_again(clock):
    line = await yard()
    await line.take(discovered(0), failed(0))
    ((key, stale),) = line.marks.items(2)
    await line.take(again(), catalogued(0))
    await line.marks.put(2, key, stale)  # a worker that was believed dead had it in its buffer
    heir = Yard(line.marks)
    await heir.tracker.assign(2, 2)
    assert (await heir.said()).round == 0
    await heir.take(again())
    assert sent(heir) == [RETRY]
    await heir.take(catalogued(0))
    said = await heir.said()
    assert (said.catalogued, said.retried, said.round, said.owner) == (1, 1, 1, 2)


async def test_a_new_owner_knows_the_round_and_the_newest_accusation(clock):
    line = await yard()
    await line.take(discovered(0), again(), discovered(1), failed(1))
    before = await line.said()
    heir = Yard(line.marks)
    await heir.tracker.assign(2, 2)
    after = await heir.said()
    assert after.model_copy(update={"time": before.time, "owner": 1}) == before
    assert after.round == 1
    await heir.take(failed(0))
    assert sent(heir) == [RETRY]


async def test_a_letter_of_an_image_that_was_never_discovered_does_not_hold_a_round_up(clock):
    line = await yard()
    await line.take(failed(0), again())
    heir = Yard(line.marks)
    await heir.tracker.assign(2, 2)
    assert (await heir.said()).round == 1


async def test_a_request_for_another_partition_is_passed_over(clock):
    line = await yard()
    await line.take(discovered(0), failed(0))
    line.log.records.clear()
    await line.take(again(partition=3))
    assert sent(line) == []


async def test_a_partition_without_images_of_the_job_says_that_it_has_followed(clock):
    line = await yard()
    await line.take(again(4))
    said = await line.said()
    assert (said.discovered, said.round) == (0, 4)


# ---------------------------------------------------------------------- marks of other versions
@pytest.mark.parametrize("bare", [True, False])
async def test_images_that_an_older_watson_kept_are_sent_again_in_todays_form(clock, monkeypatch, bare):
    line = await yard()
    await line.take(discovered(0), discovered(1), failed(1))
    renamed_since(monkeypatch, ImageDiscovered, "place", "index")
    for key, value in line.marks.items(2):
        await line.marks.put(2, key, as_kept_before(value, "event", "place", "index", bare=bare))
    heir = Yard(line.marks)
    await heir.tracker.assign(2, 2)
    await heir.take(again())
    clock.now += 100
    await heir.tracker.redrive_overdue()
    assert {event.index for event in heir.log.events(ImageDiscovered)} == {0, 1}


async def test_images_that_a_newer_watson_kept_count_and_are_kept_for_it_as_they_are(clock):
    line = await yard()
    await line.take(discovered(0), discovered(1), failed(1), discovered(2))
    newer = {key: as_kept_later(value, "event") for key, value in line.marks.items(2)}
    line.marks.parts[2] = dict(newer)
    heir = Yard(line.marks)
    await heir.tracker.assign(2, 2)
    assert numbers(await heir.said()) == (3, 3, 0, 1)
    clock.now += 1000
    assert await heir.tracker.redrive_overdue() == 0
    await heir.take(again(), failed(0), catalogued(2))
    assert sent(heir) == []
    assert numbers(await heir.said()) == (3, 3, 1, 2)
    keys = {n: image_mark_key("job", str(discovered(n).image_key)) for n in range(3)}
    for n in (0, 1):
        assert orjson.loads(line.marks.get(2, keys[n]))["event"] == orjson.loads(newer[keys[n]])["event"]
    assert "event" not in orjson.loads(line.marks.get(2, keys[2]))


async def test_what_a_newer_watson_kept_is_retried_by_the_next_one_that_can_read_it(clock):
    line = await yard()
    await line.take(discovered(0), failed(0))
    ((key, value),) = line.marks.items(2)
    await line.marks.put(2, key, as_kept_later(value, "event"))
    old = Yard(line.marks)
    await old.tracker.assign(2, 2)
    await old.take(again())
    assert (await old.said()).accused == 1
    await line.marks.put(2, key, value)  # as the newer one reads it
    new = Yard(line.marks)
    await new.tracker.assign(2, 3)
    assert (await new.said()).round == 0
    await new.take(again())
    assert sent(new) == [RETRY]
