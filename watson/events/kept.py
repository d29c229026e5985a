"""Events as tables keep them: JSON that names kind and version, so that a later Watson reads what an earlier one kept.

``{"topic":"dead-letters","kind":"image-quarantined","version":2,"event":{…}}``. A part of a larger mark keeps its event
the same way: ``orjson.Fragment(kept(event))`` in, and the parsed object out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson

from watson.errors import ReasonCode, Refused
from watson.events.codec import encode_value, of_version
from watson.events.event import Event
from watson.events.topics import EVENT_TYPES

__all__ = ["from_kept", "kept"]

KeptEvent = TypeVar("KeptEvent", bound=Event)

_WITHOUT_VERSION = 1
"""Tables kept bare events, without kind and version, while there was no other version of them."""


def kept(event: Event) -> bytes:
    """The event with its kind and version, as JSON."""
    head = {"topic": event.topic, "kind": event.kind, "version": event.version}
    return orjson.dumps({**head, "event": orjson.Fragment(encode_value(event))})


def from_kept(data: bytes | Mapping[str, Any], expected: type[KeptEvent]) -> KeptEvent:
    """The inverse of `kept`; an older version is brought to today's.

    Args:
        data: what `kept` gave, or the same parsed. An event that was kept bare is taken for version 1 of ``expected``.
        expected: what it must be; `Event` takes any.

    Raises:
        Refused: with `ReasonCode.UNSUPPORTED_VERSION` where a newer Watson kept it, else with
            `ReasonCode.UNDECODABLE_EVENT`. Whoever keeps marks decides what a mark is worth that cannot be read; to let
            this end a worker would end it again and again.
    """
    stored = _parsed(data)
    if not stored.keys() >= {"kind", "event"}:
        if expected is Event:
            raise _damaged("it names no kind of event")
        return of_version(expected, _WITHOUT_VERSION, dict(stored), _place(expected.kind))
    event_type, version = _stated(stored)
    if not issubclass(event_type, expected):
        raise _damaged(f"it is {event_type.kind}, and not what was looked for")
    if not isinstance(stored["event"], dict):
        raise _damaged("the event is not a JSON object")
    return of_version(event_type, version, stored["event"], _place(event_type.kind))


def _parsed(data: bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        stored = orjson.loads(data) if isinstance(data, bytes) else data
    except orjson.JSONDecodeError as exc:
        raise _damaged(f"it is not JSON: {exc}") from exc
    if not isinstance(stored, Mapping):
        raise _damaged("it is not a JSON object")
    return stored


def _stated(stored: Mapping[str, Any]) -> tuple[type[Event], int]:
    topic, kind, version = (stored.get(name) for name in ("topic", "kind", "version"))
    if not isinstance(topic, str) or not isinstance(kind, str) or not isinstance(version, int) or version < 1:
        raise _damaged("it does not say which version of which event it is")
    event_type = EVENT_TYPES.get((topic, kind))
    if event_type is None:
        raise Refused(ReasonCode.UNSUPPORTED_VERSION, f"this code knows no event {kind[:200]!r}: upgrade Watson")
    return event_type, version


def _place(kind: str) -> str:
    return f"the {kind} in a table"


def _damaged(why: str) -> Refused:
    return Refused(ReasonCode.UNDECODABLE_EVENT, f"what a table kept cannot be read: {why}")
