"""Ids are on the wire, in the catalogue and in object keys: pinned here, they can never change."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.events.examples import EXAMPLES, KEY, OLD, SEGMENTATION, TIME
from watson.events import event_id, image_key, mask_id, name_id, now, segmentation_id


def test_ids_are_pinned() -> None:
    assert image_key("s3://photos/a.jpg") == UUID("a9313d14-af42-5739-a189-266dc1abcdbf")
    assert event_id("j", KEY, "preprocessed", "1-1024") == UUID("a8c8aa85-58b0-5a67-832f-c153fa0d3477")
    assert UUID("0bcca45f-cebe-5a6c-be7b-72b51c41302b") == SEGMENTATION
    assert mask_id(SEGMENTATION, 0) == UUID("ebe9e3e8-c6ef-54fd-9a64-b703a2bd149d")
    assert mask_id(SEGMENTATION, 1) == UUID("f560eb9a-3804-588e-9571-5f2e1935d5a9")


@pytest.mark.parametrize(
    ("kind", "pinned"),
    [
        ("manifest-submitted", "4b55c9b2-380f-54f9-9d04-d6cbbbf2e237"),
        ("job-cancelled", "95fa290c-2db4-5050-bf96-9675512194e1"),
        ("job-paused", "59e29c90-3308-501a-8d04-a53689bca775"),
        ("job-resumed", "bf387f81-2471-55d4-9596-685615922e8b"),
        ("job-changed", "3ccb194d-3644-5914-a92b-188f960bd405"),
        ("partition-progressed", "8c58ce4a-4e7e-5212-a7e0-3ef8e4a96ab9"),
        ("retry-requested", "4175e4e7-5d4a-5578-8479-4248453649d5"),
        ("image-discovered", "17cd44ca-d081-5017-b169-5d1d6a96aba7"),
        ("image-preprocessed", "f66c044b-14b7-5907-af3e-e9b1647b3179"),
        ("image-segmented", "db2159c8-85b1-5075-a279-00cf9a03102b"),
        ("image-catalogued", "45b4d5cf-8ed6-5147-b56f-c82bd3de34f6"),
        ("image-quarantined", "7f572d77-6a7a-53fc-86a9-0271b0763e90"),
        ("model-registered", "955d23df-e210-508d-b14a-fcc962d20d16"),
    ],
)
def test_the_id_of_each_event_is_pinned(kind: str, pinned: str) -> None:
    assert EXAMPLES[kind].id == UUID(pinned)


@pytest.mark.parametrize(
    ("kind", "version", "pinned"),
    [
        ("job-changed", 1, "c5937bfc-77a3-5f8f-9559-13caab47ad3d"),
        ("partition-progressed", 1, "6078d48c-d6a4-558d-8536-54a74dd49380"),
        ("partition-progressed", 2, "45761c0f-ccc4-5f97-80a4-5ca75a9f0e70"),
    ],
)
def test_an_event_of_an_earlier_version_has_the_id_that_it_had_then(kind: str, version: int, pinned: str) -> None:
    assert OLD[kind, version].id == UUID(pinned)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_id_does_not_depend_on_when_it_is_said(kind: str) -> None:
    event = EXAMPLES[kind]
    later = event.model_copy(update={"time": now()})
    assert later.time != TIME
    assert later.id == event.id


def test_all_examples_have_different_ids() -> None:
    assert len({event.id for event in EXAMPLES.values()}) == len(EXAMPLES)


def test_an_undecodable_event_is_named_by_its_place_in_the_log() -> None:
    letter = EXAMPLES["image-quarantined"].model_copy(update={"job": None, "image_key": None})
    other = letter.model_copy(update={"failed": letter.failed.model_copy(update={"offset": 4712})})
    assert letter.key == "image-discovered/3/4711"
    assert letter.id != other.id


def test_a_segmentation_depends_on_everything_that_makes_its_masks() -> None:
    base = ("a" * 64, "1-1024", "m@1")
    ids = {
        segmentation_id(KEY, *base),
        segmentation_id(image_key("elsewhere"), *base),
        segmentation_id(KEY, "b" * 64, *base[1:]),
        segmentation_id(KEY, base[0], "1-512", base[2]),
        segmentation_id(KEY, *base[:2], "m@2"),
    }
    assert len(ids) == 5


PARTS = st.lists(st.text(alphabet=st.sampled_from("ab\\u\x1f") | st.characters(codec="utf-8")), max_size=4)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(PARTS, PARTS)
def test_ids_are_equal_exactly_where_their_parts_are(left: list[str], right: list[str]) -> None:
    assert (name_id("k", *left) == name_id("k", *right)) == (left == right)


def test_parts_that_only_join_to_the_same_text_are_told_apart() -> None:
    lists = (["a", "b"], ["a\x1fb"], ["a\\ub"], ["a\\", "b"], ["a\\\x1fb"], ["ab"], ["ab", ""], ["", "ab"])
    assert len({name_id("k", *parts) for parts in lists}) == len(lists)


def test_ids_are_version_five() -> None:
    assert {event.id.version for event in EXAMPLES.values()} == {5}
