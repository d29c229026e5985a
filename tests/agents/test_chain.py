import asyncio

import orjson
import pytest

from tests.agents.fakes import MemoryLog, MemoryMarks, Stage, discovered, outbox, preprocessed, record_of
from watson.agents.attempts import Attempts
from watson.agents.chain import ChainLink, Outcome
from watson.errors import PartitionRevoked, ReasonCode, RecordTooLarge, Refused, Retriable
from watson.events import REDRIVE, REPAIR, RETRY, ImagePreprocessed, ImageQuarantined

PATIENT = Attempts("preprocess", most=3, backoff=0.001, backoff_max=0.002, timeout=1.0)


class Line:
    def __init__(self, *results, attempts=PATIENT):
        self.stage, self.marks, self.log = Stage(*results), MemoryMarks(), MemoryLog()
        self.link = ChainLink(self.stage, self.marks, outbox(self.log), attempts)

    async def take(self, event=None, partition=1, **headers):
        event = event or discovered()
        return await self.link.handle(record_of(event, partition=partition, **headers), event)


async def test_an_event_is_worked_on_emitted_into_its_own_partition_and_marked():
    line = Line(preprocessed())
    assert await line.take() == "emitted"
    assert [r.partition for r in line.log.records] == [1]
    assert line.log.events() == [preprocessed().model_copy(update={"time": line.log.events()[0].time})]
    assert line.marks.get(1, discovered().id.bytes) is not None


async def test_a_repeated_event_is_neither_worked_on_nor_emitted_again():
    line = Line(preprocessed())
    await line.take()
    assert await line.take() == "repeated"
    assert (line.stage.calls, len(line.log.records)) == (1, 1)


async def test_two_copies_at_once_are_worked_on_once():
    line = Line(preprocessed())
    outcomes = await asyncio.gather(*(line.take() for _ in range(5)))
    assert sorted(outcomes) == ["emitted", *["repeated"] * 4]
    assert line.stage.calls == 1


async def test_without_a_confirmed_emission_nothing_is_marked():
    line = Line(preprocessed())
    line.log.failure = OSError("broker away")
    with pytest.raises(OSError, match="broker away"):
        await line.take()
    assert line.marks.parts == {}


async def test_a_crash_between_emission_and_mark_repeats_the_emission_with_the_same_id():
    line = Line(preprocessed())
    line.marks.failure = OSError("died")
    with pytest.raises(OSError, match="died"):
        await line.take()
    line.marks.failure = None
    await line.take()
    first, second = line.log.events()
    assert first.id == second.id


async def test_a_redriven_event_has_its_outcome_emitted_again_without_the_work():
    line = Line(preprocessed())
    await line.take()
    assert await line.take(**{REDRIVE: "1"}) == "redriven"
    assert line.stage.calls == 1
    assert line.log.records[1].value == line.log.records[0].value
    assert line.log.records[1].header(REDRIVE) == "1"


async def test_a_redrive_header_travels_on_through_a_stage_that_never_saw_the_event():
    line = Line(preprocessed())
    await line.take(**{REDRIVE: "2"})
    assert line.log.records[0].header(REDRIVE) == "2"


async def test_what_is_refused_is_quarantined_with_its_reason_and_the_record_byte_for_byte():
    line = Line(Refused(ReasonCode.TRUNCATED, "ends early"))
    assert await line.take() == "quarantined"
    (letter,) = line.log.events(ImageQuarantined)
    assert (letter.reason, letter.message, letter.attempts) == (ReasonCode.TRUNCATED, "ends early", 1)
    assert letter.failed.value == record_of(discovered()).value or letter.failed.value is not None
    assert letter.uri == discovered().original.uri


async def test_a_cause_that_passes_is_tried_again():
    line = Line(Retriable("away"), Retriable("away"), preprocessed())
    assert await line.take() == "emitted"
    assert line.stage.calls == 3


async def test_a_cause_that_does_not_pass_ends_in_the_dead_letters_with_its_own_reason():
    line = Line(Retriable("away", ReasonCode.STORE_UNAVAILABLE))
    assert await line.take() == "quarantined"
    (letter,) = line.log.events(ImageQuarantined)
    assert (letter.reason, letter.attempts) == (ReasonCode.STORE_UNAVAILABLE, 3)


async def test_an_unforeseen_exception_is_tried_again_and_then_quarantined_as_internal_error():
    line = Line(ZeroDivisionError("oops"))
    assert await line.take() == "quarantined"
    (letter,) = line.log.events(ImageQuarantined)
    assert letter.reason is ReasonCode.INTERNAL_ERROR
    assert "ZeroDivisionError: oops" in letter.message


@pytest.mark.parametrize(
    "failure",
    [
        ValueError("a bad name: \ud800.jpg"),
        Refused(ReasonCode.OBJECT_MISSING, "404 \udcff\udcfe"),  # a host's answer, as aiohttp decodes it
        Retriable("503 \udcff", ReasonCode.STORE_UNAVAILABLE),
        Refused(ReasonCode.CORRUPT, "x" * 100_000),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_whatever_text_a_failure_has_it_ends_in_the_dead_letters(failure):
    line = Line(failure)
    assert await line.take() == "quarantined"
    (letter,) = line.log.events(ImageQuarantined)
    assert letter.message.encode()
    assert await line.take(**{REDRIVE: "1"}) == "redriven"


async def test_whatever_text_an_undecodable_record_is_refused_with_it_ends_in_the_dead_letters():
    line = Line(preprocessed())
    refused = Refused(ReasonCode.UNDECODABLE_EVENT, "no field \udcff")
    assert await line.link.undecodable(record_of(discovered()), refused) == "undecodable"
    (letter,) = line.log.events(ImageQuarantined)
    assert letter.message == r"no field \udcff"


async def test_work_that_never_ends_is_given_up():
    class Endless(Stage):
        async def handle(self, event):
            await asyncio.sleep(60)

    line = Line(preprocessed(), attempts=Attempts("preprocess", 2, 0.001, 0.002, timeout=0.01))
    line.link._stage = Endless(preprocessed())
    assert await line.take() == "quarantined"


async def test_a_quarantined_image_that_is_retried_is_worked_on_again():
    line = Line(Refused(ReasonCode.OBJECT_MISSING, "not there"), preprocessed())
    await line.take()
    assert await line.take(**{REDRIVE: RETRY}) == "emitted"
    assert isinstance(line.log.events()[-1], ImagePreprocessed)
    assert await line.take() == "repeated"


async def test_a_quarantined_image_that_is_redriven_is_quarantined_again_without_work():
    line = Line(Refused(ReasonCode.TRUNCATED, "ends early"))
    await line.take()
    assert await line.take(**{REDRIVE: "1"}) == "redriven"
    assert line.stage.calls == 1
    first, second = line.log.events()
    assert first == second


async def test_an_image_that_succeeded_is_not_worked_on_again_by_a_retry():
    line = Line(preprocessed())
    await line.take()
    assert await line.take(**{REDRIVE: RETRY}) == "redriven"
    assert line.stage.calls == 1


async def test_a_repair_has_the_work_done_anew_though_it_was_done_well_and_travels_on():
    line = Line(preprocessed(0), preprocessed(0, job="job"))
    await line.take()
    known = line.log.events()[0]
    assert await line.take(**{REDRIVE: REPAIR}) == "emitted"
    assert (line.stage.calls, line.stage.repaired) == (2, [known])
    first, second = line.log.records
    assert second.header(REDRIVE) == REPAIR
    assert line.log.events()[0].id == line.log.events()[1].id
    assert second.value != first.value, "it has a new time, or deleted rows would stay deleted"
    assert Outcome.from_bytes(line.marks.get(1, discovered().id.bytes)).event == line.log.events()[1]


async def test_a_repair_of_what_the_stage_never_saw_has_it_done():
    line = Line(preprocessed())
    assert await line.take(**{REDRIVE: REPAIR}) == "emitted"
    assert line.stage.repaired == [None]


async def test_a_repair_of_what_was_quarantined_has_it_done_again():
    line = Line(Refused(ReasonCode.OBJECT_MISSING, "not there"), preprocessed())
    await line.take()
    assert await line.take(**{REDRIVE: REPAIR}) == "emitted"
    assert line.stage.repaired == [None]
    assert await line.take() == "repeated"


async def test_a_repair_that_fails_says_why_and_leaves_the_mark_of_what_was_done_well():
    line = Line(preprocessed(), Refused(ReasonCode.OBJECT_MISSING, "the original is gone"))
    await line.take()
    assert await line.take(**{REDRIVE: REPAIR}) == "quarantined"
    (letter,) = line.log.events(ImageQuarantined)
    assert letter.message == "the original is gone"
    assert (REDRIVE, REPAIR.encode()) in letter.failed.headers
    assert await line.take(**{REDRIVE: "1"}) == "redriven"
    assert isinstance(line.log.events()[-1], ImagePreprocessed)


async def test_two_repairs_at_once_do_the_work_one_after_the_other():
    line = Line(preprocessed())
    await line.take()
    await asyncio.gather(*(line.take(**{REDRIVE: REPAIR}) for _ in "12"))
    assert line.stage.calls == 3
    assert len({event.id for event in line.log.events()}) == 1


async def test_an_event_of_another_kind_is_ignored():
    line = Line(preprocessed())
    assert await line.take(preprocessed()) == "ignored"
    assert line.log.records == []


def test_an_outcome_survives_its_storage():
    outcome = Outcome(preprocessed())
    assert Outcome.from_bytes(outcome.to_bytes()) == outcome


def newer(mark: bytes) -> bytes:
    """As tomorrow's Watson keeps it: another version, a field that this one does not know."""
    stored = orjson.loads(mark)
    return orjson.dumps({**stored, "version": stored["version"] + 1, "event": {**stored["event"], "lane": "fast"}})


async def done_by_a_newer_worker(line: Line) -> None:
    await line.take()
    key = discovered().id.bytes
    await line.marks.put(1, key, newer(line.marks.get(1, key)))


async def test_an_event_that_a_newer_worker_has_done_is_not_done_again():
    line = Line(preprocessed())
    await done_by_a_newer_worker(line)
    assert await line.take() == "repeated"
    assert line.stage.calls == 1


@pytest.mark.parametrize("redrive", ["1", RETRY, REPAIR])
async def test_where_its_outcome_is_asked_for_an_event_that_a_newer_worker_has_done_is_done_again(redrive):
    line = Line(preprocessed())
    await done_by_a_newer_worker(line)
    assert await line.take(**{REDRIVE: redrive}) == "emitted"
    assert line.stage.calls == 2
    first, second = line.log.events()
    assert first.id == second.id
    assert await line.take(**{REDRIVE: "2"}) == "redriven"


async def test_a_failure_does_not_take_the_place_of_what_a_newer_worker_may_have_done_well():
    line = Line(preprocessed(), Refused(ReasonCode.OBJECT_MISSING, "gone"))
    await done_by_a_newer_worker(line)
    mark = line.marks.get(1, discovered().id.bytes)
    assert await line.take(**{REDRIVE: "1"}) == "quarantined"
    assert line.marks.get(1, discovered().id.bytes) == mark


async def test_an_outcome_that_the_broker_never_takes_is_quarantined_instead():
    line = Line(preprocessed())
    emit = line.log.emit

    async def too_small(topic, *rest):
        if topic == "preprocessed":
            raise RecordTooLarge("2 MB")
        await emit(topic, *rest)

    line.log.emit = too_small
    assert await line.take() == "quarantined"
    (letter,) = line.log.events(ImageQuarantined)
    assert letter.reason is ReasonCode.INTERNAL_ERROR
    assert "2 MB" in letter.message


async def test_a_revoked_partition_is_not_taken_for_a_failure_of_the_work():
    line = Line(PartitionRevoked("gone"))
    with pytest.raises(PartitionRevoked):
        await line.take()
    assert line.log.records == []
