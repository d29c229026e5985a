from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from aiokafka import AIOKafkaProducer

from tests.agents.fakes import catalogued, discovered, key_of, preprocessed, quarantined, record_of
from tests.web.scene import NO_BROKER, Scene, site
from tests.web.test_pages import read
from watson.agents.ports import partition_of
from watson.agents.publish import publish
from watson.agents.topics import changelog_topic, create_topics
from watson.errors import Retriable
from watson.events import REDRIVE, ImageEvent, JobChanged, JobOptions, Source, image_key, now
from watson.settings import Settings
from watson.storage.catalogue import JobRow
from watson.web import log_search as module
from watson.web.history import Entry, History, Searched, history_document
from watson.web.log_search import Histories

KEY = key_of(discovered(1))


def row(state: str = "complete", **changes: Any) -> JobRow:
    changed = JobChanged(
        job="job", dataset="d", source=Source(kind="directory", uri="/p"), model="m", options=JobOptions(),
        state=state, listed=3, **changes,
    )  # fmt: skip
    return JobRow(job=changed, submitted_at=changed.time, counts={})


async def with_topics(brokers: str, prefix: str) -> Settings:
    settings = Settings(brokers=brokers, topic_prefix=prefix, partitions=3)
    await create_topics(settings)
    return settings


async def send(settings: Settings, topic: str, key: bytes, value: bytes, partition: int, times: int = 1) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.brokers)
    await producer.start()
    try:
        for _ in range(times):
            await producer.send_and_wait(topic, value, key=key, partition=partition)
    finally:
        await producer.stop()


def told(history: History) -> list[tuple[str, int]]:
    return [(entry.record.topic, entry.record.offset) for entry in history.entries]


def at(event: ImageEvent, seconds: float) -> ImageEvent:
    return event.model_copy(update={"time": now() + timedelta(seconds=seconds)})


@pytest.mark.services
async def test_a_history_has_all_events_of_the_image_and_of_the_job_alone(kafka: Any, topic_prefix: str) -> None:
    settings = await with_topics(kafka.brokers, topic_prefix)
    job = row()
    begin = at(discovered(1), 0.5)
    await publish(settings, [at(discovered(number, job=name), 0) for name in ("job", "other") for number in range(40)])
    await publish(settings, [begin], {REDRIVE: "1"})
    await publish(settings, [at(preprocessed(1), 1), at(preprocessed(2), 1), at(quarantined(1), 2)])
    await publish(settings, [at(catalogued(1), 3), at(catalogued(1, job="other"), 3)])
    home = partition_of(str(KEY).encode(), 3)
    await send(settings, changelog_topic("preprocess", "marks", settings), begin.id.bytes, b"mark", home)
    await send(settings, changelog_topic("preprocess", "marks", settings), discovered(2).id.bytes, b"mark", home)
    found = await Histories(settings).of(job, KEY, None)
    assert found.partition == home
    assert found.complete
    entries = [
        (entry.event.kind if entry.event else f"mark of {entry.mark_of}", entry.record.header(REDRIVE))
        for entry in found.entries
        if not entry.mark_of
    ]
    assert entries == [
        ("image-discovered", None),
        ("image-discovered", "1"),
        ("image-preprocessed", None),
        ("image-quarantined", None),
        ("image-catalogued", None),
    ]
    assert [entry.mark_of for entry in found.entries if entry.mark_of] == ["preprocess"]
    assert all(entry.event.job == "job" for entry in found.entries if entry.event)
    assert all(entry.record.partition == home for entry in found.entries)


@pytest.mark.services
async def test_a_record_of_the_image_that_cannot_be_decoded_is_told_too(kafka: Any, topic_prefix: str) -> None:
    settings = await with_topics(kafka.brokers, topic_prefix)
    key = str(KEY).encode()
    await send(settings, settings.topic("segmented"), key, b"not JSON", partition_of(key, 3))
    (entry,) = (await Histories(settings).of(row("draining"), KEY, None)).entries
    assert entry.event is None
    assert "not JSON" in entry.problem


@pytest.mark.services
async def test_what_was_not_read_is_said_and_the_newest_is_read_first(
    kafka: Any, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await with_topics(kafka.brokers, topic_prefix)
    monkeypatch.setattr(module, "_CHUNK", 10)
    monkeypatch.setattr(module, "_MOST_RECORDS", 25)
    key = str(KEY).encode()
    home = partition_of(key, 3)
    await publish(settings, [discovered(1)])
    await send(settings, settings.topic("image-discovered"), b"other", b"{}", home, times=40)
    await publish(settings, [discovered(1)])
    found = await Histories(settings).of(row("draining"), KEY, None)
    assert told(found) == [("image-discovered", 41)]
    (searched,) = [one for one in found.searched if one.topic == "image-discovered"]
    assert (searched.offsets, searched.wanted) == (range(12, 42), range(42))
    assert not searched.complete
    assert not found.complete
    assert all(one.complete for one in found.searched if one is not searched)


@pytest.mark.services
async def test_what_was_sent_again_after_the_end_is_found_and_what_was_before_the_job_is_not_read(
    kafka: Any, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await with_topics(kafka.brokers, topic_prefix)
    monkeypatch.setattr(module, "_MARGIN", timedelta(0))
    monkeypatch.setattr(module, "_CHUNK", 2)
    await publish(settings, [discovered(1)])
    await asyncio.sleep(0.05)
    job = row()
    await asyncio.sleep(0.05)
    await publish(settings, [at(preprocessed(1), 0) for _ in range(7)])
    await asyncio.sleep(0.05)
    end = at(catalogued(1), 0)
    await asyncio.sleep(0.05)
    await publish(settings, [at(preprocessed(1), 0) for _ in range(6)], {REDRIVE: "repair"})
    found = await Histories(settings).of(job, KEY, end)
    assert told(found) == [("preprocessed", offset) for offset in range(13)]
    assert found.complete
    assert {one.topic: one.wanted for one in found.searched}["image-discovered"] == range(1, 1)


@pytest.mark.services
async def test_where_the_way_of_an_image_is_known_less_is_read_for_repeats(
    kafka: Any, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await with_topics(kafka.brokers, topic_prefix)
    monkeypatch.setattr(module, "_CHUNK", 5)
    monkeypatch.setattr(module, "_KNOWN_RECORDS", 1)
    home = partition_of(str(KEY).encode(), 3)
    await send(settings, settings.topic("image-discovered"), b"other", b"{}", home, times=20)
    await publish(settings, [discovered(1), quarantined(1)])
    found = await Histories(settings).of(row("draining"), KEY, None)
    assert told(found) == [("image-discovered", 20), ("dead-letters", 0)]
    assert {one.topic: one.offsets for one in found.searched}["image-discovered"] == range(16, 21)


@pytest.mark.services
async def test_a_flood_of_one_images_events_is_cut(
    kafka: Any, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await with_topics(kafka.brokers, topic_prefix)
    monkeypatch.setattr(module, "_MOST_ENTRIES", 5)
    await publish(settings, [discovered(1)] * 12)
    found = await Histories(settings).of(row("draining"), KEY, None)
    assert (len(found.entries), found.more, found.complete) == (5, 7, False)


@pytest.mark.services
async def test_page_and_api_tell_a_history(scene: Scene, kafka: Any, topic_prefix: str) -> None:
    settings = await with_topics(kafka.brokers, topic_prefix)
    changed = await scene.add_job("job", "draining", discovered=2)
    event = await scene.add_image("job", "file:///a <b>.jpg", np.full((20, 30, 3), 128, np.uint8), [])
    await publish(settings, [event.model_copy(update={"job": changed.job})])
    places = {"brokers": settings.brokers, "topic_prefix": topic_prefix, "partitions": 3}
    address = f"/jobs/job/images/{event.image_key}/history"
    async with site(scene, **places) as client:
        page = await read(client, address)
        image = await read(client, f"/jobs/job/images/{event.image_key}")
        async with client.get(f"/api/v1{address}") as answer:
            document = await answer.json()
        nobody = await read(client, f"/jobs/job/images/{image_key('file:///never.jpg')}/history")
        async with client.get("/jobs/none/images/x/history") as answer:
            assert answer.status == 404
        async with client.get("/jobs/job/images/x/history") as answer:
            assert answer.status == 400
    (entry,) = document["entries"]
    place = f"{entry['topic']}/{entry['partition']}/{entry['offset']}"
    assert place == f"catalogued/{partition_of(str(event.image_key).encode(), 3)}/0"
    assert place in page.text
    assert "a <b>.jpg" in page.text
    assert address in image.all("a", "href")
    assert "has no events of this image" in nobody.text
    assert "not in the catalogue" in nobody.text


async def test_a_log_that_cannot_be_read_is_503_and_says_where_it_was_looked_for(scene: Scene) -> None:
    await scene.add_job("j", discovered=1)
    with pytest.raises(Retriable, match=NO_BROKER):
        await Histories(Settings(brokers=NO_BROKER)).of(row(), KEY, None)
    async with site(scene) as client:
        page = await read(client, f"/jobs/j/images/{KEY}/history", 503)
    assert NO_BROKER in page.text


def test_a_document_says_what_was_read_of_what() -> None:
    event = discovered(1)
    entry = Entry(record_of(event, partition=2, offset=7), event)
    searched = Searched("segmented", 2, range(90, 100), range(40, 100))
    document = history_document(History("job", KEY, 2, (entry,), (searched,)))
    assert document["complete"] is False
    assert document["searched"] == [
        {"topic": "segmented", "partition": 2, "complete": False, "read": [90, 100], "of": [40, 100]}
    ]
    assert (document["entries"][0]["offset"], document["entries"][0]["what"]) == (7, "image-discovered")
    assert UUID(document["entries"][0]["id"]) == event.id


def test_a_large_event_is_told_without_its_body() -> None:
    small = record_of(discovered(1))
    large = replace(small, value=(small.value or b"") + b" " * 200_000)
    assert Entry(small, discovered(1)).body is not None
    assert Entry(large, discovered(1)).body is None
