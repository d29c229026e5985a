"""Every version of every event that was ever written decodes to today's event.

A golden file is never changed. A new version gets a new file; `python -m tests.events.write_golden` writes the missing.
"""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.events.examples import EXAMPLES, OLD
from watson.events import EVENT_TYPES, Event, Record, decode, encode_value

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*.json"))


def kind_and_version(path: Path) -> tuple[str, int]:
    kind, version = path.stem.rsplit(".v", 1)
    return kind, int(version)


def wire(path: Path) -> bytes:
    return path.read_bytes().removesuffix(b"\n")


def record(event_type: type[Event], version: int, value: bytes) -> Record:
    ce_type = f"watson.{event_type.kind}.v{version}".encode()
    return Record(event_type.topic, 0, 0, None, value, (("ce_type", ce_type),))


def test_each_version_of_each_event_has_a_golden_example() -> None:
    wanted = {(event.kind, version) for event in EVENT_TYPES.values() for version in range(1, event.version + 1)}
    assert {kind_and_version(path) for path in FILES} == wanted


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_example_decodes_to_todays_event(path: Path) -> None:
    kind, version = kind_and_version(path)
    example = OLD.get((kind, version), EXAMPLES[kind])
    assert decode(record(type(example), version, wire(path))) == example


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_newest_golden_example_is_what_is_written_today(path: Path) -> None:
    kind, version = kind_and_version(path)
    example = EXAMPLES[kind]
    if version == example.version:
        assert encode_value(example) == wire(path)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_example_fills_every_field(kind: str) -> None:
    """So that a field that is renamed or dropped cannot hide behind its default."""
    event = EXAMPLES[kind]
    assert set(orjson.loads(encode_value(event))) == set(type(event).model_fields)
    empty = [name for name in type(event).model_fields if getattr(event, name) in (None, "", (), {})]
    assert empty == []
