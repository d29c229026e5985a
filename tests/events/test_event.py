"""Free text in events comes from anywhere: exceptions, hosts, names of columns. It ends no worker."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from tests.events.examples import EXAMPLES
from tests.events.test_properties import on_the_wire
from watson.events import EVENT_TYPES, Event, decode
from watson.storage.stored import dump, load

MESSAGES = {
    ("image-quarantined", "message"): 4000,
    ("job-changed", "message"): 4000,
    ("partition-progressed", "accusation"): 1000,
    ("training-ended", "message"): 4000,
}
"""Kind and field of every free text that says why something failed, with its limit in characters."""

ANY = st.text(st.characters(), max_size=20)  # lone surrogates too, of which st.text() makes none


def saying(kind: str, field: str, text: str) -> Event:
    event = EXAMPLES[kind]
    said: dict[str, Any] = {name: getattr(event, name) for name in type(event).model_fields}
    return type(event)(**{**said, field: text})


@pytest.mark.parametrize(("kind", "field"), MESSAGES)
def test_whatever_is_said_makes_an_event_that_comes_back_from_the_wire(kind: str, field: str) -> None:
    @settings(max_examples=100, deadline=None, derandomize=True)
    @given(ANY, st.sampled_from([1, 400]))
    @example("404 \udcff\udcfe", 1)
    @example("\ud800" * 5000, 1)
    def holds(text: str, times: int) -> None:
        event = saying(kind, field, text * times)
        assert decode(on_the_wire(event)) == event
        assert load(type(event), dump(event)) == event
        assert len(getattr(event, field)) <= MESSAGES[kind, field]

    holds()


@pytest.mark.parametrize(("kind", "field"), MESSAGES)
def test_what_is_unicode_and_short_enough_is_said_letter_by_letter(kind: str, field: str) -> None:
    for text in ("", "Größe \N{GRINNING FACE}\0\n", "x" * MESSAGES[kind, field]):
        assert getattr(saying(kind, field, text), field) == text


@pytest.mark.parametrize(("kind", "field"), MESSAGES)
def test_a_character_that_is_none_is_shown_as_its_escape_and_a_cut_text_says_so(kind: str, field: str) -> None:
    assert getattr(saying(kind, field, "Gr\udcf6\udcdfe"), field) == r"Gr\udcf6\udcdfe"
    assert getattr(saying(kind, field, "x" * 9999), field).endswith("x…")


def test_no_other_event_has_a_field_of_that_name_that_is_treated_otherwise() -> None:
    named = {
        (event.kind, field)
        for event in EVENT_TYPES.values()
        for field in event.model_fields
        if field in ("message", "accusation", "why")
    }
    assert named == set(MESSAGES)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_names_and_references_that_are_not_unicode_are_refused(kind: str) -> None:
    event = EXAMPLES[kind]
    for field, value in event:
        if isinstance(value, str) and (kind, field) not in MESSAGES:
            with pytest.raises(ValidationError):
                saying(kind, field, "\ud800")


def test_the_address_of_a_picture_that_is_not_unicode_is_refused() -> None:
    original: BaseModel = EXAMPLES["image-discovered"].original  # type: ignore[attr-defined]
    with pytest.raises(ValidationError):
        type(original)(uri="s3://bucket/\udcff.jpg")
    with pytest.raises(ValidationError):
        saying("image-quarantined", "uri", "s3://bucket/\udcff.jpg")
