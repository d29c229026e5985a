from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.storage.events import NOON, catalogued, changed, quarantined, registered
from watson.errors import UserError
from watson.events import Event, ImageCatalogued, JobChanged
from watson.events.upcasts import UPCASTS
from watson.storage.stored import dump, from_micros, load, micros, revision

TIMES = st.integers(-(2**51), 2**51).map(lambda value: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value))


@given(TIMES)
def test_a_time_goes_to_microseconds_and_back_exactly(time: datetime) -> None:
    assert from_micros(micros(time)) == time
    assert micros(time.astimezone(timezone(timedelta(hours=-7)))) == micros(time)


@given(TIMES, TIMES, st.text(), st.text())
def test_revisions_sort_by_time_first(one: datetime, other: datetime, text: str, other_text: str) -> None:
    if one < other:
        assert revision(one, text) < revision(other, other_text)


def test_revisions_of_the_same_time_differ_by_content_alone() -> None:
    assert revision(NOON, "a") != revision(NOON, "b")
    assert revision(NOON, "a") == revision(NOON, "a")
    assert len(revision(NOON, "a")) == 16


@pytest.mark.parametrize(
    "event", [catalogued("j", "x"), quarantined(None, "x"), changed("j"), registered("m", "1")], ids=lambda e: e.kind
)
def test_an_event_comes_back_as_it_was_stored(event: Event) -> None:
    assert load(type(event), dump(event)) == event
    assert orjson.loads(dump(event))["version"] == event.version


def test_a_row_of_a_newer_watson_is_refused() -> None:
    text = dump(changed("j")).replace(f'{{"version":{JobChanged.version}', '{"version":7', 1)
    with pytest.raises(UserError, match=r"job-changed version 7.*upgrade Watson"):
        load(JobChanged, text)


def test_a_row_of_an_older_watson_is_brought_to_today(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(data: dict[str, Any]) -> dict[str, Any]:
        return {"rejected": data.pop("refused"), **data}

    event = catalogued("j", "x")
    old = dump(event).replace('"rejected"', '"refused"')
    monkeypatch.setattr(ImageCatalogued, "version", 2)
    monkeypatch.setitem(UPCASTS, ("image-catalogued", 1), step)
    assert load(ImageCatalogued, old) == event


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"version":1,"data":{}}', '{"version":"x","data":{}}', "\x00"]
)
def test_a_damaged_row_is_named_with_what_to_do(text: str) -> None:
    with pytest.raises(UserError, match="watson project rebuild"):
        load(JobChanged, text)
