"""What holds for every event whatever is in it, and for every version ever written."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.events.strategies import events
from watson.errors import Refused
from watson.events import EVENT_TYPES, Event, Record, decode, encode, event_id, image_key, mask_id, segmentation_id
from watson.storage.stored import dump, load, micros, revision

KINDS = sorted(EVENT_TYPES.values(), key=lambda kind: kind.kind)
GOLDENS = sorted(Path(__file__).with_name("golden").glob("*.json"))


def on_the_wire(event: Event) -> Record:
    key, value, headers = encode(event, "/test")
    return Record(event.topic, 0, 0, key, value, tuple(headers))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_event_comes_back_from_the_wire_and_from_the_catalogue_with_its_id_and_its_bytes(
    kind: type[Event],
) -> None:
    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(events(kind))
    def holds(event: Event) -> None:
        record = on_the_wire(event)
        again = decode(record)
        assert again == event
        assert (again.id, again.key) == (event.id, event.key)
        assert on_the_wire(again) == record
        assert load(kind, dump(event)) == event
        assert len(revision(event.time, dump(event))) == 16
        assert -(2**63) < micros(event.time) < 2**63  # what databases keep

    holds()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.sampled_from(GOLDENS), st.data())
def test_a_golden_example_with_a_part_of_it_changed_is_an_event_or_refused(golden: Path, data: st.DataObject) -> None:
    """Upcasts meet whatever is in an old event: they must end in an event or a refusal, never in another exception."""
    kind, version = golden.name.removesuffix(".json").split(".v")
    topic = next(topic for topic, name in EVENT_TYPES if name == kind)
    value = json.loads(golden.read_text())
    name = data.draw(st.sampled_from(sorted(value)))
    value[name] = data.draw(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just([]) | st.just({}) | st.just([{}])
    )
    if data.draw(st.booleans()):
        del value[name]
    headers = (("ce_type", f"watson.{kind}.v{version}".encode()),)
    try:
        event = decode(Record(topic, 0, 0, b"k", json.dumps(value).encode(), headers))
    except Refused:
        return
    assert isinstance(event, EVENT_TYPES[topic, kind])


TEXT = st.text(max_size=12)
HASH = st.text("0123456789abcdef", min_size=4, max_size=4)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(TEXT, TEXT, HASH, HASH, st.integers(0, 3)), min_size=2, max_size=6))
def test_ids_of_different_things_differ_and_of_the_same_thing_are_the_same(things: list) -> None:
    def ids(uri: str, job: str, sha256: str, version: str, index: int) -> dict[str, UUID]:
        image = image_key(uri)
        segmentation = segmentation_id(image, sha256, version, "m@1")
        return {
            "image": image,
            "segmentation": segmentation,
            "mask": mask_id(segmentation, index),
            "event": event_id(job, image, "preprocessed", version),
        }

    depends_on = {
        "image": lambda uri, job, sha, version, index: (uri,),
        "segmentation": lambda uri, job, sha, version, index: (uri, sha, version),
        "mask": lambda uri, job, sha, version, index: (uri, sha, version, index),
        "event": lambda uri, job, sha, version, index: (uri, job, version),
    }
    for name, parts in depends_on.items():
        found = {parts(*thing): ids(*thing)[name] for thing in things}
        assert len(set(found.values())) == len(found), name
        assert all(ids(*thing)[name] == found[parts(*thing)] for thing in things)
    everything = {value for thing in things for value in ids(*thing).values()}
    assert len(everything) == sum(len({parts(*thing) for thing in things}) for parts in depends_on.values())
