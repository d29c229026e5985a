from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.agents.fakes import catalogued, discovered, preprocessed, record_of
from tests.web.flow.rows import START
from tests.web.scene import NO_BROKER
from watson.agents.publish import publish
from watson.agents.topics import create_topics
from watson.errors import Retriable
from watson.events import Event, JobChanged, JobOptions, Record, Source
from watson.settings import Settings
from watson.storage.catalogue import JobRow
from watson.web.timings import StageTiming, Timings, timings_document, timings_of


def at(event: Event, seconds: float) -> Event:
    return event.model_copy(update={"time": START + timedelta(seconds=seconds)})


def moment(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def records(*events: Event, **headers: str) -> list[Record]:
    return [record_of(event, **headers) for event in events]


def test_each_stage_has_its_span_and_what_its_images_took() -> None:
    found = timings_of(
        "job",
        records(
            *(at(discovered(number), number) for number in range(10)),
            *(at(preprocessed(number), number + 0.5) for number in range(10)),
            *(at(catalogued(number), 60 + number) for number in range(3)),
        ),
    )
    assert found == [
        StageTiming("discovered", moment(0), moment(9), 0, None, None),
        StageTiming("preprocessed", moment(0.5), moment(9.5), 10, 0.5, 0.5),
        StageTiming("catalogued", moment(60), moment(62), 0, None, None),  # no event of segmented to measure from
    ]


def test_nine_of_ten_are_faster_than_the_slow_ones() -> None:
    events = [event for n in range(11) for event in (at(discovered(n), 0), at(preprocessed(n), float(n)))]
    (_, timing) = timings_of("job", records(*events))
    assert (timing.images, timing.median, timing.slow) == (11, 5.0, 9.0)


def test_what_was_sent_again_and_what_is_another_jobs_does_not_count() -> None:
    again = records(at(preprocessed(1), 500), redrive="1")
    strange = records(at(preprocessed(1, job="other"), 700))
    broken = [Record("preprocessed", 0, 9, b"k", b"not JSON")]
    sample = records(at(discovered(1), 0), at(preprocessed(1), 2)) + again + strange + broken
    (_, timing) = timings_of("job", sample)
    assert (timing.images, timing.median, timing.last) == (1, 2.0, moment(2))


def test_a_sample_without_events_of_the_job_says_nothing() -> None:
    assert timings_of("job", records(at(discovered(1, job="other"), 0))) == []


def row(state: str = "complete") -> JobRow:
    changed = JobChanged(
        time=moment(100), job="job", dataset="d", source=Source(kind="directory", uri="/p"), model="m",
        options=JobOptions(), state=state, listed=30,
    )  # fmt: skip
    return JobRow(job=changed, submitted_at=START, counts={"discovered": 30})


@pytest.mark.services
async def test_a_sample_of_the_log_is_read_from_both_ends(
    kafka: Any, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watson.web.timings._RECORDS", 5)
    settings = Settings(brokers=kafka.brokers, topic_prefix=topic_prefix, partitions=1)
    await create_topics(settings)
    await publish(settings, [at(discovered(number), number) for number in range(30)])
    await publish(settings, [at(preprocessed(number), number + 1) for number in range(30)])
    # the records are written now, whatever the time of their events: a job that goes on has a window without an end
    found = await Timings(settings).of(row("draining"), 30.0)
    assert found is not None
    assert [(timing.stage, timing.began, timing.last) for timing in found] == [
        ("discovered", moment(0), moment(29)),
        ("preprocessed", moment(1), moment(30)),
    ]
    assert (found[1].images, found[1].median) == (10, 1.0)
    assert timings_document(found)[1]["median_seconds"] == 1.0


async def test_a_log_that_cannot_be_read_is_said() -> None:
    with pytest.raises(Retriable, match=NO_BROKER):
        await Timings(Settings(brokers=NO_BROKER)).of(row(), 30.0)


async def test_who_does_not_want_to_wait_gets_nothing_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    timings = Timings(Settings(brokers=NO_BROKER))

    async def slow(*_: object) -> list[StageTiming]:

        await asyncio.sleep(0.5)
        return []

    monkeypatch.setattr(timings._of_ended, "_ask", slow)
    assert await timings.of(row(), 0.01) is None
    assert await timings.of(row(), 20.0) == []
