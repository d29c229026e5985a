"""Marks as other versions of Watson keep them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from watson.events import Event
from watson.events.upcasts import UPCASTS

__all__ = ["as_kept_before", "as_kept_later", "renamed_since"]


def renamed_since(monkeypatch: pytest.MonkeyPatch, event_type: type[Event], old: str, new: str) -> None:
    """Today's wire form of an event is its second version: in the first, a field had another name."""

    def step(data: dict[str, Any]) -> dict[str, Any]:
        return {new: data[old], **{name: value for name, value in data.items() if name != old}}

    monkeypatch.setattr(event_type, "version", 2)
    monkeypatch.setitem(UPCASTS, (event_type.kind, 1), step)


def as_kept_before(mark: bytes, field: str, old: str, new: str, *, bare: bool) -> bytes:
    """The mark as it was before `renamed_since`, and, where ``bare``, before events were kept with their version."""
    stored = orjson.loads(mark)
    event = {old if name == new else name: value for name, value in stored[field]["event"].items()}
    stored[field] = event if bare else {**stored[field], "version": 1, "event": event}
    return orjson.dumps(stored)


def as_kept_later(mark: bytes, field: str) -> bytes:
    """The mark as a newer Watson keeps it, whose event has a field more."""
    stored = orjson.loads(mark)
    kept = stored[field]
    stored[field] = {**kept, "version": kept["version"] + 1, "event": {**kept["event"], "lane": "fast"}}
    return orjson.dumps(stored)
