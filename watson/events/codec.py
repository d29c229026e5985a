"""Events on the wire: JSON values, CloudEvents 1.0 headers in binary mode.

Source: CloudEvents Kafka protocol binding 1.0.2, section 3.2 (binary content mode).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError

from watson.errors import ReasonCode, Refused
from watson.events.event import Event
from watson.events.topics import EVENT_TYPES, TOPICS
from watson.events.upcasts import upcast

__all__ = [
    "FIRST_OFFSET",
    "REDRIVE",
    "REPAIR",
    "RETRY",
    "Record",
    "decode",
    "encode",
    "encode_value",
    "headers_of",
    "of_version",
]

StoredEvent = TypeVar("StoredEvent", bound=Event)

REDRIVE = "redrive"
"""Header of an event that discover sent again: a stage that did it already emits its stored outcome again."""

RETRY = "retry"
"""Value of the header `REDRIVE` for an image that was quarantined and is to be tried again."""

REPAIR = "repair"
"""Value of the header `REDRIVE` for what was lost after it was done: a stage does its work anew even where it did it
well, and the projection writes the rows again at the record's time, later than whatever deleted them."""

LISTED = "listed"
"""Header of an `ImageDiscovered` that says how often its source can list a picture: see `ONCE`."""

ONCE = "once"
"""Value of the header `LISTED`: a picture has one place in the listing, but that place changes as others come and go
(a directory, a bucket). Without the header it may have several, and each keeps its index (lines of a list)."""

FIRST_OFFSET = "first-offset"
"""Header of a failed record that is sent again: the offset where it stood at first, in the same partition."""

_TYPE = re.compile(r"^watson\.(?P<kind>[a-z-]+)\.v(?P<version>[1-9][0-9]{0,3})\Z")
_MAX_EVENT_BYTES = 1_000_000
_MOST_ERRORS = 1000
_SPEC_VERSION = b"1.0"


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record, raw. ``topic`` is without prefix; ``timestamp`` is in seconds since 1970."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: float = 0.0

    def header(self, name: str) -> str | None:
        """The last header of that name, as text; None where there is none."""
        for key, value in reversed(self.headers):
            if key == name:
                return value.decode("utf-8", "replace")
        return None


def encode_value(event: Event) -> bytes:
    """The event's JSON, without whitespace, in the order of its fields."""
    return event.model_dump_json().encode()


def headers_of(event: Event, source: str, extra: Mapping[str, str] | None = None) -> list[tuple[str, bytes]]:
    """CloudEvents headers. ``source`` is a URI reference of the producer, for example ``/watson/segment``."""
    return [
        ("ce_specversion", _SPEC_VERSION),
        ("ce_id", str(event.id).encode()),
        ("ce_source", source.encode()),
        ("ce_type", f"watson.{event.kind}.v{event.version}".encode()),
        ("ce_time", event.time.isoformat().encode()),
        ("content-type", b"application/json"),
        *((name, value.encode()) for name, value in (extra or {}).items()),
    ]


def encode(
    event: Event, source: str, extra: Mapping[str, str] | None = None
) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers of an event on the wire."""
    return event.key.encode(), encode_value(event), headers_of(event, source, extra)


def decode(record: Record) -> Event:
    """The event in a record, brought to today's version.

    A record without ``ce_type`` (from a producer that knows nothing of CloudEvents) is taken for the newest version of
    its topic's first event type. Where the body has no ``time``, ``ce_time`` or the record's timestamp stands in.

    Raises:
        Refused: with `ReasonCode.UNSUPPORTED_VERSION` for a version newer than this code, else with
            `ReasonCode.UNDECODABLE_EVENT`; the message says what is wrong and where.
    """
    event_type, version = _type_of(record)
    data = _json(record)
    if "time" not in data:
        data = {**data, "time": _time_of(record)}
    return of_version(event_type, version, data, _place(record))


def of_version(event_type: type[StoredEvent], version: int, data: dict[str, Any], place: str) -> StoredEvent:
    """Today's event of what was written in a version of its wire form.

    Args:
        event_type: today's class.
        version: of ``data``.
        data: the JSON object that was written.
        place: where it stands, for the message.

    Raises:
        Refused: as `decode`.
    """
    if version > event_type.version:
        raise Refused(
            ReasonCode.UNSUPPORTED_VERSION,
            f"{event_type.kind} version {version} is newer than this code, which knows up to {event_type.version}: "
            "upgrade Watson, then retry the dead letter",
        )
    try:
        return event_type.model_validate_json(orjson.dumps(upcast(event_type.kind, version, event_type.version, data)))
    except ValidationError as exc:
        raise _undecodable(place, _first_errors(exc)) from exc
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as exc:
        raise _undecodable(place, str(exc)) from exc


def _type_of(record: Record) -> tuple[type[Event], int]:
    spec = TOPICS.get(record.topic)
    if spec is None:
        raise _undecodable(_place(record), "no event is known for this topic")
    stated = record.header("ce_type")
    if stated is None:
        return spec.events[0], spec.events[0].version
    match = _TYPE.match(stated)
    event_type = EVENT_TYPES.get((record.topic, match["kind"])) if match else None
    if match is None or event_type is None:
        known = ", ".join(f"watson.{event.kind}.v{event.version}" for event in spec.events)
        raise _undecodable(_place(record), f"ce_type {stated[:200]!r} is unknown here; known: {known}")
    return event_type, int(match["version"])


def _json(record: Record) -> dict[str, Any]:
    if record.value is None:
        raise _undecodable(_place(record), "the record has no value")
    if len(record.value) > _MAX_EVENT_BYTES:
        raise _undecodable(
            _place(record), f"the value has {len(record.value)} bytes; at most {_MAX_EVENT_BYTES} are taken"
        )
    try:
        data = orjson.loads(record.value)
    except orjson.JSONDecodeError as exc:
        raise _undecodable(_place(record), f"the value is not JSON: {exc}") from exc
    if not isinstance(data, dict):
        raise _undecodable(_place(record), f"the value is a JSON {type(data).__name__}, an object is wanted")
    return data


def _time_of(record: Record) -> str:
    try:
        return record.header("ce_time") or datetime.fromtimestamp(record.timestamp, UTC).isoformat()
    except (OverflowError, OSError, ValueError) as exc:  # a producer can set any 64 bits
        raise _undecodable(_place(record), f"no time is stated, and the record's timestamp is none: {exc}") from exc


def _first_errors(exc: ValidationError) -> str:
    if exc.error_count() > _MOST_ERRORS:  # to spell out a hundred thousand takes seconds, which others wait
        return f"{exc.error_count()} fields are unknown or wrong"
    errors: Iterable[Any] = exc.errors(include_url=False, include_input=False)[:3]
    return "; ".join(f"{_path(error['loc']) or 'event'}: {error['msg'][:200]}" for error in errors)


def _path(path: Iterable[object]) -> str:
    """Where in the event; a name that the producer made up may be of any length."""
    return ".".join(str(part)[:100] for part in path)


def _place(record: Record) -> str:
    return f"{record.topic}[{record.partition}]@{record.offset}"


def _undecodable(place: str, why: str) -> Refused:
    return Refused(ReasonCode.UNDECODABLE_EVENT, f"{place}: {why}")
