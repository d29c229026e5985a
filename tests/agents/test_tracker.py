import asyncio

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
from watson.agents import tracker as module
from watson.agents.tracker import Tracker
from watson.errors import ReasonCode
from watson.events import REDRIVE, RETRY, ImageDiscovered, ImageQuarantined, PartitionProgressed, RetryRequested
from watson.settings import Settings


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
    await made.tracker.assign(2)
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


async def test_a_picture_that_a_list_names_thousands_of_times_has_no_mark_that_grows_with_it(clock):
    line = await yard()
    for _ in range(2):
        await line.take(*(discovered(0, index=n) for n in range(3000)))
    assert numbers(await line.said()) == (3000, 1, 0, 0)
    assert max(len(value) for value in line.marks.parts[2].values()) < 2000
    heir = Yard(line.marks)
    await heir.tracker.assign(2)
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
    await heir.tracker.assign(2)
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
    await line.take(letter)
    assert numbers(await line.said()) == (1, 1, 0, 1)


async def test_a_new_owner_goes_on_counting_how_often_an_image_was_sent_again(clock):
    """Else an image that never ends would be sent again for ever, by a line whose workers change now and then."""
    line = await yard(redrives=3)
    await line.take(discovered(0))
    headers = []
    for _ in range(4):
        clock.now += 100_000
        heir = Yard(line.marks, redrives=3)
        await heir.tracker.assign(2)
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
    await heir.tracker.assign(2)
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
    await heir.tracker.assign(2)
    await heir.take(again())
    said = await heir.said()
    assert (said.accused, said.retried, said.round) == (0, 3, 1)


async def test_a_new_owner_knows_the_round_and_the_newest_accusation(clock):
    line = await yard()
    await line.take(discovered(0), again(), discovered(1), failed(1))
    before = await line.said()
    heir = Yard(line.marks)
    await heir.tracker.assign(2)
    after = await heir.said()
    assert after.model_copy(update={"time": before.time}) == before
    assert after.round == 1
    await heir.take(failed(0))
    assert sent(heir) == [RETRY]


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
