from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.events.examples import EXAMPLES, JOB, KEY, TIME
from tests.events.strategies import TIMES
from watson.errors import ReasonCode, Refused
from watson.events import (
    EVENT_TYPES,
    TOPICS,
    Event,
    ImageDiscovered,
    JobCancelled,
    ManifestSubmitted,
    Original,
    Record,
    Source,
    decode,
    encode,
    encode_value,
    headers_of,
)

MANIFEST = b'{"job":"j","dataset":"d","source":{"kind":"s3","uri":"s3://b/p"}}'


def record_of(event: Event, **changes: object) -> Record:
    key, value, headers = encode(event, "/watson/test")
    return dataclasses.replace(Record(event.topic, 3, 17, key, value, tuple(headers)), **changes)


def refusal(record: Record) -> Refused:
    with pytest.raises(Refused) as caught:
        decode(record)
    return caught.value


@pytest.mark.parametrize("kind", EXAMPLES)
def test_what_was_encoded_decodes_to_the_same_event(kind: str) -> None:
    assert decode(record_of(EXAMPLES[kind])) == EXAMPLES[kind]


def test_headers_are_those_of_cloudevents_in_binary_mode() -> None:
    event = EXAMPLES["image-discovered"]
    assert headers_of(event, "/watson/discover", {"redrive": "2"}) == [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(event.id).encode()),
        ("ce_source", b"/watson/discover"),
        ("ce_type", b"watson.image-discovered.v2"),
        ("ce_time", b"2026-03-14T15:09:26.535897+00:00"),
        ("content-type", b"application/json"),
        ("redrive", b"2"),
    ]


def test_the_key_of_an_image_event_is_the_image_and_of_a_job_event_the_job() -> None:
    assert encode(EXAMPLES["image-segmented"], "/s")[0] == str(KEY).encode()
    assert encode(EXAMPLES["job-changed"], "/s")[0] == JOB.encode()


def test_the_value_is_json_without_whitespace() -> None:
    value = encode_value(EXAMPLES["job-cancelled"])
    assert value == b'{"time":"2026-03-14T15:09:26.535897Z","job":"holiday-2026"}'


@pytest.mark.parametrize("spec", TOPICS.values(), ids=lambda spec: spec.name)
def test_without_headers_a_record_is_taken_for_its_topics_first_event(spec: object) -> None:
    first = EXAMPLES[spec.events[0].kind]  # type: ignore[attr-defined]
    assert decode(record_of(first, headers=())) == first


def test_a_manifest_from_a_plain_producer_needs_neither_headers_nor_time() -> None:
    event = decode(Record("manifests", 0, 0, None, MANIFEST, (), timestamp=1_700_000_000.5))
    assert isinstance(event, ManifestSubmitted)
    assert event.time == datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC)
    assert event.source == Source(kind="s3", uri="s3://b/p")


def test_ce_time_stands_in_for_a_missing_time() -> None:
    event = decode(Record("manifests", 0, 0, None, MANIFEST, (("ce_time", b"2026-03-14T15:09:26.535897Z"),)))
    assert event.time == TIME


def test_ce_type_chooses_among_a_topics_events() -> None:
    assert isinstance(decode(record_of(EXAMPLES["job-cancelled"])), JobCancelled)


def test_of_two_headers_of_one_name_the_last_counts() -> None:
    headers = (("ce_type", b"watson.manifest-submitted.v1"), ("ce_type", b"watson.job-cancelled.v1"))
    assert isinstance(decode(record_of(EXAMPLES["job-cancelled"], headers=headers)), JobCancelled)


def test_a_newer_version_is_refused_and_the_message_says_to_upgrade() -> None:
    newer = record_of(EXAMPLES["image-discovered"], headers=(("ce_type", b"watson.image-discovered.v3"),))
    refused = refusal(newer)
    assert refused.code is ReasonCode.UNSUPPORTED_VERSION
    assert "version 3" in str(refused)
    assert "upgrade" in str(refused)


@pytest.mark.parametrize(
    "ce_type",
    [
        b"",
        b"com.example.order.v1",
        b"watson.image-segmented.v1",  # an event of another topic
        b"watson.image-discovered",
        b"watson.image-discovered.v0",
        b"watson.image-discovered.v2\n",
        b"watson.image-discovered.v" + b"9" * 50,
        b"\xff\xfe",
    ],
)
def test_an_unknown_type_is_refused_and_the_known_ones_are_named(ce_type: bytes) -> None:
    refused = refusal(record_of(EXAMPLES["image-discovered"], headers=(("ce_type", ce_type),)))
    assert refused.code is ReasonCode.UNDECODABLE_EVENT
    assert "watson.image-discovered.v2" in str(refused)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "no value"),
        (b"", "not JSON"),
        (b"\x00\xff garbage", "not JSON"),
        (b"[1, 2]", "list"),
        (b'"text"', "str"),
        (b"{", "not JSON"),
        (b"{}", "job"),
        (b"[" * 100_000, "not JSON"),
        (b'{"job": "' + b"x" * 1_000_001 + b'"}', "at most 1000000"),
    ],
)
def test_garbage_is_refused_with_its_place_in_the_log(value: bytes | None, why: str) -> None:
    refused = refusal(record_of(EXAMPLES["image-discovered"], value=value))
    assert refused.code is ReasonCode.UNDECODABLE_EVENT
    assert str(refused).startswith("image-discovered[3]@17: ")
    assert why in str(refused)


def test_a_record_of_an_unknown_topic_is_refused() -> None:
    assert refusal(Record("elsewhere", 0, 0, None, b"{}")).code is ReasonCode.UNDECODABLE_EVENT


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"job": "no spaces allowed"}, "job"),
        ({"job": "../../etc"}, "job"),
        ({"image_key": "not a uuid"}, "image_key"),
        ({"index": -1}, "index"),
        ({"surprise": 1}, "surprise"),
        ({"original": {"uri": ""}}, "original.uri"),
        ({"options": {"long_side": 1}}, "options.long_side"),
        ({"time": "yesterday"}, "time"),
        ({"time": "2026-03-14T15:09:26"}, "time"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, object], names: str) -> None:
    data = json.loads(encode_value(EXAMPLES["image-discovered"])) | change
    refused = refusal(record_of(EXAMPLES["image-discovered"], value=json.dumps(data).encode()))
    assert refused.code is ReasonCode.UNDECODABLE_EVENT
    assert f" {names}: " in str(refused)


def test_an_unusable_timestamp_is_refused_like_any_garbage() -> None:
    assert refusal(Record("manifests", 0, 0, None, MANIFEST, (), timestamp=1e300)).code is ReasonCode.UNDECODABLE_EVENT


def test_events_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        EXAMPLES["job-cancelled"].job = "other"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    topic=st.sampled_from([*TOPICS, "elsewhere"]),
    ce_type=st.sampled_from([f"watson.{kind}.v1".encode() for _, kind in EVENT_TYPES]) | st.binary(max_size=40),
    value=st.none() | st.binary(max_size=200) | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=12,
    ).map(lambda data: json.dumps(data).encode()),
    timestamp=st.floats(allow_nan=True, allow_infinity=True),
)  # fmt: skip
def test_whatever_a_record_holds_it_is_an_event_or_refused(
    topic: str, ce_type: bytes, value: bytes | None, timestamp: float
) -> None:
    try:
        event = decode(Record(topic, 0, 0, None, value, (("ce_type", ce_type),), timestamp))
    except Refused:
        return
    assert isinstance(event, Event)


URIS = st.text(min_size=1, max_size=200)
JOBS = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    job=JOBS,
    uri=URIS,
    size=st.none() | st.integers(0, 2**53),
    key=st.uuids(),
    index=st.integers(0, 2**53),
    time=TIMES,
)
def test_any_event_survives_the_wire(
    job: str, uri: str, size: int | None, key: UUID, index: int, time: datetime
) -> None:
    event = ImageDiscovered(
        time=time, job=job, image_key=key, dataset="d", original=Original(uri=uri, size=size), index=index, model="m"
    )
    again = decode(record_of(event))
    assert again == event
    assert again.id == event.id
    assert encode(again, "/s") == encode(event, "/s")
