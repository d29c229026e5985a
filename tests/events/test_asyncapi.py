from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, FormatChecker, ValidationError

from watson.events.asyncapi import asyncapi
from watson.events.topics import TOPICS

HERE = Path(__file__).parent
DOCUMENT = json.loads(json.dumps(asyncapi()))
EVENTS = {f"{event.kind}.v{event.version}": event for spec in TOPICS.values() for event in spec.events}


def test_the_document_is_up_to_date() -> None:
    written = json.loads((HERE.parents[1] / "docs" / "asyncapi.json").read_text())
    assert written == DOCUMENT, "run: python -m watson.events.asyncapi > docs/asyncapi.json"


def test_it_is_valid_by_the_standards_own_schema() -> None:
    """The schema is that of the package @asyncapi/specs 6.11.1, © AsyncAPI Initiative, Apache-2.0."""
    schema = json.loads(gzip.decompress((HERE / "asyncapi-3.0.0.json.gz").read_bytes()))
    validator = Draft7Validator(schema)
    validator.validate(DOCUMENT)
    for broken in ({**DOCUMENT, "asyncapi": "2.6.0"}, {**DOCUMENT, "channels": {"x": {"messages": 3}}}):
        with pytest.raises(ValidationError):
            validator.validate(broken)


def test_each_topic_and_event_is_described_once() -> None:
    assert list(DOCUMENT["channels"]) == list(TOPICS)
    for spec in TOPICS.values():
        channel = DOCUMENT["channels"][spec.name]
        assert list(channel["messages"]) == [event.__name__ for event in spec.events]
        assert channel["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"] == [spec.cleanup]
    assert DOCUMENT["components"]["messages"].keys() == {event.__name__ for event in EVENTS.values()}
    assert {operation["action"] for operation in DOCUMENT["operations"].values()} == {"send", "receive"}
    assert [name for name in DOCUMENT["operations"] if name.startswith("receive-")] == ["receive-manifests"]


def test_every_reference_leads_somewhere() -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [one for part in value.values() for one in references(part)]
        return [one for part in value for one in references(part)] if isinstance(value, list) else []

    found = references(DOCUMENT)
    assert len(found) > 40
    for reference in found:
        place: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert isinstance(place, dict)


@pytest.mark.parametrize("name", EVENTS)
def test_the_newest_golden_example_of_each_event_is_as_described_and_a_changed_one_is_not(name: str) -> None:
    example = json.loads((HERE / "golden" / f"{name}.json").read_text())
    message = DOCUMENT["components"]["messages"][EVENTS[name].__name__]
    assert message["headers"]["properties"]["ce_type"]["const"] == f"watson.{name}"
    validator = Draft7Validator({**DOCUMENT, **message["payload"]}, format_checker=FormatChecker())
    validator.validate(example)
    with pytest.raises(ValidationError):
        validator.validate({**example, "more": 1})
