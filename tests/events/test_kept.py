"""What tables keep of events outlives the code that wrote it, in both directions."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.events.examples import EXAMPLES, OLD
from tests.events.test_golden import FILES, kind_and_version, wire
from watson.errors import ReasonCode, Refused
from watson.events import Event, ImageDiscovered, ImageQuarantined, JobChanged, encode_value
from watson.events.kept import from_kept, kept

EVENT = EXAMPLES["image-quarantined"]


def changed(**changes: object) -> bytes:
    return orjson.dumps({**orjson.loads(kept(EVENT)), **changes})


def refusal(data: object, expected: type[Event] = Event) -> Refused:
    with pytest.raises(Refused) as caught:
        from_kept(data, expected)
    return caught.value


@pytest.mark.parametrize("kind", EXAMPLES)
def test_what_was_kept_comes_back_the_same(kind: str) -> None:
    event = EXAMPLES[kind]
    assert from_kept(kept(event), Event) == event
    assert from_kept(kept(event), type(event)) == event


def test_an_event_within_a_larger_mark_comes_back_from_the_parsed_object() -> None:
    mark = orjson.dumps({"end": "quarantined", "event": orjson.Fragment(kept(EVENT))})
    assert from_kept(orjson.loads(mark)["event"], ImageQuarantined) == EVENT


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_whatever_version_was_kept_is_brought_to_todays(path) -> None:
    kind, version = kind_and_version(path)
    topic = EXAMPLES[kind].topic
    stored = {"topic": topic, "kind": kind, "version": version, "event": json.loads(wire(path))}
    assert from_kept(orjson.dumps(stored), Event) == OLD.get((kind, version), EXAMPLES[kind])


def test_a_bare_event_as_it_was_kept_at_first_is_taken_for_version_one_and_upcast() -> None:
    (path,) = [path for path in FILES if path.stem == "job-changed.v1"]
    assert from_kept(wire(path), JobChanged) == OLD["job-changed", 1]


def test_a_bare_event_of_no_known_kind_is_refused() -> None:
    assert refusal(encode_value(EVENT)).code is ReasonCode.UNDECODABLE_EVENT


@pytest.mark.parametrize("change", [{"version": 99}, {"kind": "image-dreamt"}, {"topic": "dreams"}])
def test_what_a_newer_watson_kept_is_refused_as_that(change: dict[str, object]) -> None:
    refused = refusal(changed(**change))
    assert refused.code is ReasonCode.UNSUPPORTED_VERSION
    assert "upgrade Watson" in str(refused)


def test_an_event_of_another_kind_than_expected_is_refused() -> None:
    refused = refusal(kept(EVENT), ImageDiscovered)
    assert refused.code is ReasonCode.UNDECODABLE_EVENT
    assert "image-quarantined" in str(refused)


@pytest.mark.parametrize(
    "data",
    [b"", b"1", b"[]", b"\xff", changed(version="2"), changed(version=0), changed(version=None), changed(kind=[]),
     changed(event=[]), changed(event={}), changed(event=None)],
)  # fmt: skip
def test_what_is_damaged_is_refused_and_ends_nothing(data: bytes) -> None:
    assert refusal(data).code is ReasonCode.UNDECODABLE_EVENT


NAMES = st.sampled_from(["topic", "kind", "version", "event", "time", "job"])
VALUES = st.none() | st.integers() | st.sampled_from(["image-discovered", "job"])
JSON = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner), max_leaves=8)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=20) | st.dictionaries(NAMES, JSON).map(lambda value: json.dumps(value).encode()))
def test_whatever_stands_there_is_refused_where_it_is_no_event(data: bytes) -> None:
    with pytest.raises(Refused):
        from_kept(data, ImageDiscovered)
