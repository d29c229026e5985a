import asyncio
from dataclasses import replace

import pytest

from tests.agents.fakes import FakeDelivery, MemoryLog, delivered, discovered, outbox, record_of
from tests.test_metrics import sample
from watson.agents.loop import Loop
from watson.agents.quarantine import quarantine_undecodable
from watson.errors import PartitionRevoked, ReasonCode
from watson.events import FIRST_OFFSET, ImageQuarantined, Record


def deliveries(number: int) -> list[FakeDelivery]:
    return [FakeDelivery(record_of(discovered(n), offset=n)) for n in range(number)]


async def never(record, refused):
    raise AssertionError(refused)


async def test_every_event_is_acknowledged_after_its_handler_returned():
    some, seen = deliveries(50), []

    async def handle(record, event):
        await asyncio.sleep(0)
        assert not some[record.offset].acked
        seen.append(event.image_key)
        return "emitted"

    await Loop("test", handle, never, window=8).consume(delivered(some))
    assert all(delivery.acked for delivery in some)
    assert len(set(seen)) == 50


async def test_at_most_a_window_of_events_is_worked_on_at_once():
    busy, most = 0, 0

    async def handle(record, event):
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.001)
        busy -= 1
        return "emitted"

    await Loop("test", handle, never, window=4).consume(delivered(deliveries(30)))
    assert most == 4


async def test_an_event_whose_handler_raises_is_not_acknowledged_and_ends_the_loop():
    some = deliveries(3)

    async def handle(record, event):
        if record.offset == 1:
            raise OSError("database away")
        return "emitted"

    with pytest.raises(OSError, match="database away"):
        await Loop("test", handle, never, window=1).consume(delivered(some))
    assert [delivery.acked for delivery in some] == [True, False, False]


async def test_a_handler_that_raises_ends_the_loop_though_no_further_delivery_comes():
    """Else a worker whose emission failed would sit on its unfinished events until somebody sends another one."""
    some, ended = deliveries(1), asyncio.Event()

    async def handle(record, event):
        raise OSError("database away")

    async def endless():
        try:
            yield some[0]
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with asyncio.timeout(5):
        with pytest.raises(OSError, match="database away"):
            await Loop("test", handle, never, window=2).consume(endless())
    assert ended.is_set()
    assert not some[0].acked


async def test_a_cancelled_loop_lets_events_in_progress_finish():
    some, begun = deliveries(1), asyncio.Event()

    async def handle(record, event):
        begun.set()
        await asyncio.sleep(0.05)
        return "emitted"

    async def endless():
        yield some[0]
        await asyncio.sleep(60)

    task = asyncio.create_task(Loop("test", handle, never, window=2).consume(endless()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert some[0].acked


async def test_a_record_that_cannot_be_decoded_goes_to_the_dead_letters_and_the_next_one_is_worked_on():
    log = MemoryLog()
    bad = Record("image-discovered", 2, 7, b"k", b"\xff\x00 not json", (("h", b"\xfe"),))
    some, seen = [FakeDelivery(bad), *deliveries(1)], []

    async def handle(record, event):
        seen.append(event)
        return "emitted"

    async def undecodable(record, refused):
        return await quarantine_undecodable(outbox(log), record, "preprocess", refused)

    await Loop("test", handle, undecodable, window=1).consume(delivered(some))
    (letter,) = log.events(ImageQuarantined)
    assert (letter.failed.topic, letter.failed.partition, letter.failed.offset) == ("image-discovered", 2, 7)
    assert (letter.failed.key, letter.failed.value, letter.failed.headers) == (bad.key, bad.value, bad.headers)
    assert letter.reason is ReasonCode.UNDECODABLE_EVENT
    assert len(seen) == 1
    assert all(delivery.acked for delivery in some)


async def test_a_newer_version_names_the_image_it_is_about_in_the_dead_letter():
    event = discovered()
    record = record_of(event)
    newer = Record(record.topic, 0, 0, record.key, record.value, (("ce_type", b"watson.image-discovered.v99"),))
    log = MemoryLog()

    async def undecodable(record, refused):
        return await quarantine_undecodable(outbox(log), record, "preprocess", refused)

    await Loop("test", never, undecodable, window=1).consume(delivered([FakeDelivery(newer)]))
    (letter,) = log.events(ImageQuarantined)
    assert (letter.job, letter.image_key) == (event.job, event.image_key)
    assert letter.reason is ReasonCode.UNSUPPORTED_VERSION


@pytest.mark.parametrize(
    ("stated", "offset"), [(b"7", 7), (b"90", 50), (b"-1", 50), (b"7\n", 50), (b"\xff", 50), (b"9" * 5000, 50)]
)
async def test_a_record_sent_again_that_cannot_be_decoded_again_keeps_its_one_letter(stated, offset):
    bad = Record("image-discovered", 2, 50, b"k", b"no event", ((FIRST_OFFSET, stated),))
    log = MemoryLog()

    async def undecodable(record, refused):
        return await quarantine_undecodable(outbox(log), record, "preprocess", refused)

    await Loop("test", never, undecodable, window=1).consume(delivered([FakeDelivery(bad)]))
    (letter,) = log.events(ImageQuarantined)
    assert letter.failed.offset == offset


async def test_an_event_whose_partition_was_revoked_is_abandoned_and_the_loop_goes_on():
    some = deliveries(3)

    async def handle(record, event):
        if record.offset == 1:
            raise PartitionRevoked("gone")
        return "emitted"

    await Loop("test", handle, never, window=1).consume(delivered(some))
    assert [delivery.acked for delivery in some] == [True, False, True]


async def test_how_long_events_waited_and_how_old_those_in_hand_are_is_measured(monkeypatch):
    monkeypatch.setattr("watson.agents.loop.time", lambda: 1000.0)
    some = [FakeDelivery(replace(record_of(discovered(n), offset=n), timestamp=970.0 + n)) for n in range(2)]
    oldest = []

    async def handle(record, event):
        oldest.append(sample("watson_consumer_lag_seconds", role="measured"))
        await asyncio.sleep(0.001)
        return "emitted"

    await Loop("measured", handle, never, window=8).consume(delivered(some))
    assert sample("watson_queue_seconds_sum", role="measured") == 59.0
    assert oldest == [30.0, 30.0]
    assert sample("watson_consumer_lag_seconds", role="measured") == 0.0


async def test_time_without_anything_in_hand_is_idle_and_time_with_something_is_not(monkeypatch):
    clock, ended = 100.0, asyncio.Event()
    monkeypatch.setattr("watson.agents.loop.monotonic", lambda: clock)

    async def slowly():
        nonlocal clock
        for number in range(3):
            clock += 5.0
            yield FakeDelivery(record_of(discovered(number)))
        ended.set()

    async def handle(record, event):
        await ended.wait()
        return "emitted"

    await Loop("idle", handle, never, window=8).consume(slowly())
    assert sample("watson_idle_seconds_total", role="idle") == 5.0
