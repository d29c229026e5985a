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
from watson.events import REDRIVE, ImageDiscovered, ImageQuarantined, PartitionProgressed
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
