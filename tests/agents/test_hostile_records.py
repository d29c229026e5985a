"""Records made to do harm: each ends as one dead letter that fits into a record, and no worker ends with it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.agents.fakes import MemoryLog, MemoryMarks, Stage, catalogued, discovered, outbox, preprocessed, record_of
from tests.agents.records import MARKED, send_header_names_that_are_not_text
from tests.agents.test_chain import PATIENT
from tests.services import KafkaEndpoint
from tests.services.process import signal_group, spawn, tail
from watson.agents.chain import ChainLink
from watson.agents.publish import resend
from watson.agents.quarantine import quarantine_undecodable
from watson.agents.topics import create_topics
from watson.errors import ReasonCode, RecordTooLarge, Refused
from watson.events import REDRIVE, ImageQuarantined, Record, decode, encode_value
from watson.settings import Settings

SENDABLE = 1_000_000  # bytes: Faust's producer sends no more
MANIFEST = {"job": "j", "dataset": "d", "source": {"kind": "s3", "uri": "s3://b/"}}
IMAGE = json.loads(encode_value(discovered()))


def manifest(**change: Any) -> bytes:
    return json.dumps({**MANIFEST, **change}).encode()


def image(**change: Any) -> bytes:
    return json.dumps({**IMAGE, **change}).encode()


UNDECODABLE = {
    "a job id that ends in a newline": ("manifests", manifest(job="j\n")),
    "a job id with quotes": ("manifests", manifest(job="j'; DROP TABLE jobs; --")),
    "a job id that leads elsewhere": ("manifests", manifest(job="../../etc")),
    "a job that is an object": ("image-discovered", image(job={"$ne": ""})),
    "an image key that is no UUID": ("image-discovered", image(image_key="../x")),
    "an image key that is a number": ("image-discovered", image(image_key=7)),
    "an address that is no text": ("image-discovered", image(original={"uri": ["s3://b/k"]})),
    "an address of a million characters": ("image-discovered", image(original={"uri": "s3://b/" + "k" * 900_000})),
    "a field of a million characters": ("manifests", manifest(model="m" * 900_000)),
    "a name of a field of a million characters": ("manifests", manifest(**{"n" * 900_000: 1})),
    "a hundred thousand unknown fields": ("manifests", manifest(**{f"n{n}": 1 for n in range(60_000)})),
    "one category of a million characters": (
        "manifests",
        manifest(options={"rules": {"categories": ["c" * 900_000]}}),
    ),
    "a hundred thousand categories": ("manifests", manifest(options={"rules": {"categories": ["cat"] * 100_000}})),
    "arrays in arrays": ("manifests", b'{"job":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "not a number": ("manifests", manifest(options={"weight": float("nan")})),
    "infinity": ("manifests", manifest(options={"weight": float("inf")})),
    "infinity as text": ("manifests", manifest(options={"weight": "Infinity"})),
    "not a number as text": ("manifests", manifest(options={"rules": {"least_score": "NaN"}})),
    "1e400": ("manifests", b'{"job":"j","options":{"weight":1e400}}'),
    "a number of 5000 digits": ("image-discovered", image().replace(b'"index": 0', b'"index": 1' + b"0" * 5000)),
    "a number beyond 64 bits of a database": ("image-discovered", image(index=2**64 - 1)),
    "a lone surrogate": ("manifests", b'{"job":"j","model":"\\ud800"}'),
    "a time before the calendar": ("manifests", manifest(time="0001-01-01T00:00:00+14:00")),
    "a time beyond the calendar": ("manifests", manifest(time="9999-12-31T23:59:59-14:00")),
    "a box of infinities": (
        "catalogued",
        encode_value(catalogued()).replace(
            b'"masks":[]',
            b'"masks":[{"index":0,"category_id":1,"category":"c","score":1,"area":1,"box":["NaN",0,"inf",0],'
            b'"mask_id":"a9313d14-af42-5739-a189-266dc1abcdbf"}]',
        ),
    ),
    "a megabyte of zeros": ("image-discovered", b"\0" * 1_000_000),
    "ten megabytes": ("image-discovered", image(model="m" * 10_000_000)),
    "an empty value": ("image-discovered", b""),
    "no value": ("image-discovered", None),
}
HEADERS = {
    "no header": (),
    "ten thousand headers": tuple((f"h{n}", b"x") for n in range(10_000)),
    "a header of a megabyte": (("ce_source", b"\0" * 1_000_000),),
    "many large headers with long names": tuple(("\x01" * 100_000, b"\xff" * 100_000) for _ in range(50)),
    "a type of a megabyte": (("ce_type", b"watson." + b"x" * 1_000_000),),
}
KEYS = {"a key": b"k", "no key": None, "a key of ten megabytes": b"\xff" * 10_000_000}


def refusal(record: Record) -> Refused:
    with pytest.raises(Refused) as caught:
        decode(record)
    return caught.value


async def letter_of(record: Record) -> ImageQuarantined:
    log = MemoryLog()
    assert await quarantine_undecodable(outbox(log), record, "preprocess", refusal(record)) == "undecodable"
    (sent,) = log.records
    size = len(sent.key or b"") + len(sent.value or b"") + sum(len(name) + len(value) for name, value in sent.headers)
    assert size < SENDABLE
    (letter,) = log.events(ImageQuarantined)
    return letter


@pytest.mark.parametrize("what", UNDECODABLE)
async def test_a_hostile_value_ends_as_one_letter_with_a_short_message(what: str) -> None:
    topic, value = UNDECODABLE[what]
    letter = await letter_of(Record(topic, 1, 2, b"k", value))
    assert letter.reason is ReasonCode.UNDECODABLE_EVENT
    assert letter.message.startswith(f"{topic}[1]@2: ")
    assert len(letter.message) < 1200
    assert value is None or (letter.failed.value or b"") == value[: len(letter.failed.value or b"")]
    assert letter.failed.cut == (letter.failed.value != value)


@pytest.mark.parametrize("headers", HEADERS)
@pytest.mark.parametrize("key", KEYS)
async def test_a_hostile_key_or_header_ends_as_one_letter_that_fits(key: str, headers: str) -> None:
    record = Record("image-discovered", 1, 2, KEYS[key], image(original={"uri": "\x01" * 9000}), HEADERS[headers])
    letter = await letter_of(record)
    assert letter.failed.offset == 2
    whole = (record.key, record.value, record.headers)
    assert letter.failed.cut == ((letter.failed.key, letter.failed.value, letter.failed.headers) != whole)


async def test_what_a_redrive_header_says_is_not_passed_on_without_end() -> None:
    log, marks = MemoryLog(), MemoryMarks()
    link = ChainLink(Stage(preprocessed()), marks, outbox(log), PATIENT)
    event = discovered()
    record = record_of(event, **{REDRIVE: "9" * 900_000})
    assert await link.handle(record, event) == "emitted"
    assert len(log.records[0].header(REDRIVE)) < 100


async def test_an_image_quarantined_with_all_that_an_event_may_hold_still_fits() -> None:
    """Also as the stage's mark, which goes into a changelog."""
    from watson.events import JobOptions, Original, Rules

    rules = Rules(categories=tuple("é" * 20 for _ in range(2000)))
    event = discovered().model_copy(
        update={"original": Original(uri="\x01" * 8192, etag="\x01" * 1024), "options": JobOptions(rules=rules)}
    )
    record = record_of(event)
    padded = Record(*record_fields(record), headers=tuple((f"h{n}", b"\xff" * 9000) for n in range(99)))
    log, marks = MemoryLog(), MemoryMarks()
    link = ChainLink(Stage(Refused(ReasonCode.CORRUPT, "\x01" * 9000)), marks, outbox(log), PATIENT)
    assert await link.handle(padded, event) == "quarantined"
    assert len(log.records[0].value) < SENDABLE
    assert all(len(value) < SENDABLE for part in marks.parts.values() for value in part.values())


def record_fields(record: Record) -> tuple[Any, ...]:
    return record.topic, record.partition, record.offset, record.key, record.value


@pytest.mark.slow
@pytest.mark.services
async def test_a_worker_goes_on_through_all_of_it(
    kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(brokers=kafka.brokers, topic_prefix=topic_prefix, partitions=1)
    await create_topics(settings)
    send_header_names_that_are_not_text(monkeypatch)
    good = record_of(discovered())
    hostile = [(value, []) for topic, value in UNDECODABLE.values() if topic == "image-discovered"]
    hostile = [(value, headers) for value, headers in hostile if value is None or len(value) < SENDABLE]
    odd = [(MARKED, b"x"), ("null", None), *((f"h{n}", b"x" * 20) for n in range(2000))]
    producer = AIOKafkaProducer(bootstrap_servers=kafka.brokers, max_request_size=1_040_000)
    await producer.start()
    topic = settings.topic("image-discovered")
    for value, headers in [*hostile, (b"{", odd)]:
        await producer.send_and_wait(topic, value, key=b"k", partition=0, headers=headers)
    await producer.send_and_wait(topic, good.value, key=good.key, partition=0, headers=[*good.headers, *odd])
    await producer.stop()

    variables = {
        "WATSON_BROKERS": kafka.brokers,
        "WATSON_TOPIC_PREFIX": topic_prefix,
        "WATSON_PARTITIONS": "1",
        "WATSON_STATE_DIR": str(tmp_path / "state"),
        "WATSON_OBJECTS": f"file:{tmp_path / 'objects'}",
        "WATSON_WEB_PORT": "0",
        "WATSON_S3_ENDPOINT": "http://127.0.0.1:1",
        "WATSON_ATTEMPTS": "1",
    }
    log = tmp_path / "log"
    worker = spawn([sys.executable, "-m", "watson", "worker", "preprocess"], log=log, environment=variables)
    try:
        letters = await _letters(settings, len(hostile) + 2)
        assert worker.poll() is None, tail(log)
    finally:
        signal_group(worker.pid, signal.SIGKILL)
        worker.wait()
    assert [letter.reason for letter in letters[:-1]] == [ReasonCode.UNDECODABLE_EVENT] * (len(hostile) + 1)
    assert letters[-1].image_key == discovered().image_key  # the good one was read and tried: its bucket is not there
    assert letters[-1].stage == "preprocess"


async def _letters(settings: Settings, wanted: int) -> list[ImageQuarantined]:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.brokers, enable_auto_commit=False)
    await consumer.start()
    try:
        place = TopicPartition(settings.topic("dead-letters"), 0)
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        found: list[ImageQuarantined] = []
        async with asyncio.timeout(90):
            while len(found) < wanted:
                for record in (await consumer.getmany(timeout_ms=500)).get(place, []):
                    event = decode(Record("dead-letters", 0, record.offset, record.key, record.value, record.headers))
                    assert isinstance(event, ImageQuarantined)
                    found.append(event)
        return found
    finally:
        await consumer.stop()


async def test_a_stage_never_ends_at_a_letter_that_the_broker_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should a letter be too large all the same, the worker ends loudly rather than losing it."""
    log = MemoryLog(failure=RecordTooLarge("2 MB"))
    record = Record("image-discovered", 1, 2, b"k", b"{")
    with pytest.raises(RecordTooLarge):
        await quarantine_undecodable(outbox(log), record, "preprocess", refusal(record))


async def test_what_was_cut_is_never_sent_again_as_if_it_were_whole() -> None:
    letter = await letter_of(Record("image-discovered", 1, 2, b"k", b"{" * 500_000))
    with pytest.raises(ValueError, match="cut"):
        await resend(Settings(brokers="127.0.0.1:1"), [letter.failed], {})
