import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from tests.agents.fakes import (
    MemoryMarks,
    catalogued,
    discovered,
    preprocessed,
    quarantined,
    record_of,
)
from watson.events import (
    REDRIVE,
    REPAIR,
    ImageQuarantined,
    JobChanged,
    JobOptions,
    ManifestSubmitted,
    Source,
    encode_value,
    now,
)
from watson.events.kept import kept
from watson.events.upcasts import UPCASTS
from watson.stages.project import Projector
from watson.storage.catalogue import StageCount
from watson.storage.sqlite import SqliteCatalogue


@pytest.fixture
async def catalogue(tmp_path):
    rows = SqliteCatalogue(tmp_path / "catalogue.db")
    await rows.migrate()
    await rows.open()
    yield rows
    await rows.close()


SOURCE = Source(kind="s3", uri="s3://bucket/")


def manifest() -> ManifestSubmitted:
    return ManifestSubmitted(job="job", dataset="data", source=SOURCE)


def changed(state="listing") -> JobChanged:
    return JobChanged(
        job="job", dataset="data", source=SOURCE, model="m@1", options=JobOptions(), state=state, listed=3
    )


async def project(catalogue, events, marks=None) -> Projector:
    projector = Projector(catalogue, marks or MemoryMarks())
    await projector.assign(0)
    for event in events:
        await projector.apply(record_of(event), event)
    await projector.flush()
    return projector


async def counts(catalogue) -> dict[str, int]:
    row = await catalogue.job("job")
    return {stage: number for stage, number in row.counts.items() if number}


async def test_counts_are_numbers_of_distinct_images(catalogue):
    events = [manifest(), changed(), *(discovered(n) for n in range(3)), preprocessed(0), catalogued(0), quarantined(1)]
    await project(catalogue, [*events, *events])
    assert await counts(catalogue) == {"discovered": 3, "preprocessed": 1, "catalogued": 1, "quarantined": 1}


@pytest.mark.parametrize("seed", range(10))
async def test_any_order_with_any_repetition_ends_in_the_same_rows(catalogue, seed):
    events = [manifest(), changed(), discovered(0), discovered(1), quarantined(0), catalogued(0), quarantined(1)]
    shuffled = events + random.Random(seed).choices(events, k=5)
    random.Random(seed).shuffle(shuffled)
    await project(catalogue, shuffled)
    assert await counts(catalogue) == {"discovered": 2, "catalogued": 1, "quarantined": 1}
    letters = await catalogue.dead_letters("job")
    assert {str(row.event.image_key): row.resolved for row in letters.items} == {
        str(discovered(0).image_key): True,
        str(discovered(1).image_key): False,
    }


async def test_whoever_takes_over_a_partition_writes_the_counts_anew(catalogue):
    marks = MemoryMarks()
    projector = Projector(catalogue, marks)
    await projector.assign(0)
    for event in [manifest(), changed(), discovered(0), quarantined(0), catalogued(0)]:
        await projector.apply(record_of(event), event)
    # it dies here: nothing was flushed
    heir = Projector(catalogue, marks)
    await heir.assign(0)
    await heir.flush()
    assert await counts(catalogue) == {"discovered": 1, "catalogued": 1}


async def test_a_partition_that_was_revoked_is_no_longer_written(catalogue):
    projector = await project(catalogue, [manifest(), changed(), discovered(0)])
    projector.revoke(0)
    event = discovered(1)
    await projector.apply(record_of(event), event)
    await projector.flush()
    assert await counts(catalogue) == {"discovered": 1}


async def test_counts_that_could_not_be_written_are_written_at_the_next_flush(catalogue):
    projector = Projector(catalogue, MemoryMarks())
    await projector.assign(0)
    for event in [manifest(), changed(), discovered(0)]:
        await projector.apply(record_of(event), event)
    write, catalogue.put_count = catalogue.put_count, None
    with pytest.raises(TypeError):
        await projector.flush()
    catalogue.put_count = write
    await projector.flush()
    assert await counts(catalogue) == {"discovered": 1}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (0, 2, 1)])
async def test_an_image_that_two_stages_quarantined_counts_once_and_both_letters_are_resolved_in_the_end(
    catalogue, order
):
    later = quarantined(0).model_copy(update={"stage": "segment"})
    events = [quarantined(0), later, catalogued(0)]
    await project(catalogue, [manifest(), changed(), discovered(0), *(events[place] for place in order)])
    assert await counts(catalogue) == {"discovered": 1, "catalogued": 1}
    letters = await catalogue.dead_letters("job")
    assert [row.resolved for row in letters.items] == [True, True]


async def test_an_image_that_two_stages_quarantined_counts_once(catalogue):
    later = quarantined(0).model_copy(update={"stage": "segment"})
    marks = MemoryMarks()
    await project(catalogue, [manifest(), changed(), discovered(0), quarantined(0), later], marks)
    assert await counts(catalogue) == {"discovered": 1, "quarantined": 1}
    await project(catalogue, [], marks)
    assert await counts(catalogue) == {"discovered": 1, "quarantined": 1}


async def test_the_newest_letter_of_an_image_that_failed_twice_is_the_one_that_is_resolved(catalogue):
    first = quarantined(0)
    second = quarantined(0, reason="store-unavailable").model_copy(update={"time": first.time + timedelta(seconds=5)})
    end = catalogued(0).model_copy(update={"time": first.time + timedelta(seconds=9)})
    await project(catalogue, [manifest(), changed(), discovered(0), first, second, end])
    (row,) = (await catalogue.dead_letters("job")).items
    assert (row.event, row.resolved) == (second, True)


async def test_a_repair_has_the_counts_of_its_partition_written_again_zeros_too(catalogue):
    projector = await project(catalogue, [manifest(), changed(), discovered(0)])
    wrong = {"discovered": 7, "segmented": 3}
    for stage, number in wrong.items():
        await catalogue.put_count(StageCount(job="job", stage=stage, partition=0, count=number, time=now()))
    await projector.flush()
    assert await counts(catalogue) == wrong
    await projector.apply(record_of(manifest(), **{REDRIVE: REPAIR}), manifest())
    await projector.flush()
    assert await counts(catalogue) == {"discovered": 1}


@pytest.mark.parametrize(("timestamp", "at"), [(1e9, datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)), (1e40, None)])
async def test_a_repair_writes_at_the_time_of_its_record_and_never_in_the_future(timestamp, at):
    written = []

    class Rows:
        async def put_submitted(self, job, time, *, at=None):
            written.append(at)

    projector = Projector(Rows(), MemoryMarks())
    for stamp in (timestamp, 4e9):
        record = replace(record_of(manifest(), **{REDRIVE: REPAIR}), timestamp=stamp)
        await projector.apply(record, manifest())
    assert written[0] == (at or datetime(1970, 1, 1, tzinfo=UTC))
    assert now() - timedelta(seconds=5) < written[1] <= now()
    await projector.apply(record_of(manifest()), manifest())
    assert written[2] is None


async def test_a_letter_that_a_repair_wrote_again_is_resolved_by_an_image_that_was_catalogued_before_that(catalogue):
    letter = quarantined(0).model_copy(update={"time": now() - timedelta(seconds=10)})
    end = catalogued(0).model_copy(update={"time": now() - timedelta(seconds=5)})
    projector = await project(catalogue, [manifest(), changed(), discovered(0), letter])
    repaired = replace(record_of(letter, **{REDRIVE: REPAIR}), timestamp=now().timestamp())
    await projector.apply(repaired, letter)
    await projector.apply(replace(record_of(end), timestamp=now().timestamp()), end)
    assert [row.resolved for row in (await catalogue.dead_letters("job")).items] == [True]


LETTER = f"letter/job/{quarantined(0).image_key}/preprocess".encode()


@pytest.mark.parametrize("keep", [encode_value, kept], ids=["bare, as at first", "with its version"])
async def test_a_letter_that_was_kept_in_an_older_version_is_brought_to_todays(catalogue, monkeypatch, keep):
    """A newer version may have fields that no old letter has; only the upcast knows what to put there."""
    marks, letter = MemoryMarks(), quarantined(0)
    await project(catalogue, [manifest(), changed(), discovered(0), letter], marks)
    await marks.put(0, LETTER, keep(letter))
    steps = range(1, ImageQuarantined.version + 1) if keep is encode_value else [ImageQuarantined.version]
    for version in steps:
        monkeypatch.setitem(UPCASTS, (letter.kind, version), lambda data: {**data, "message": "brought up"})
    monkeypatch.setattr(ImageQuarantined, "version", ImageQuarantined.version + 1)
    await project(catalogue, [catalogued(0)], marks)
    (row,) = (await catalogue.dead_letters("job")).items
    assert (row.event.message, row.resolved) == ("brought up", True)


async def test_a_letter_that_a_newer_worker_kept_ends_nothing_and_is_replaced_by_the_next(catalogue):
    marks, letter = MemoryMarks(), quarantined(0)
    await project(catalogue, [manifest(), changed(), discovered(0), letter], marks)
    stored = orjson.loads(kept(letter))
    await marks.put(0, LETTER, orjson.dumps({**stored, "version": 99, "event": {"lane": "fast"}}))
    await project(catalogue, [catalogued(0)], marks)
    assert [row.resolved for row in (await catalogue.dead_letters("job")).items] == [False]
    assert await counts(catalogue) == {"discovered": 1, "catalogued": 1}
    again = letter.model_copy(update={"time": now() + timedelta(seconds=1)})
    await project(catalogue, [again], marks)
    assert marks.get(0, LETTER) == kept(again)
    assert [row.resolved for row in (await catalogue.dead_letters("job")).items] == [True]
