"""Watson as it may be tomorrow: two events of the chain have a further field, and a step from today's form to that.

The field is required: what was kept of today's form can be read by way of that step alone.

Run as tomorrow's ``watson`` command: ``python -m tests.upgrades.tomorrow worker ROLE``. Nothing of this is in
``watson/``.
"""

from __future__ import annotations

from typing import Any

import orjson
from pydantic.fields import FieldInfo

from watson.cli import main
from watson.events import Event, ImageDiscovered, ImagePreprocessed, encode
from watson.events.upcasts import UPCASTS

CHANGED: tuple[type[Event], ...] = (ImageDiscovered, ImagePreprocessed)
FIELD = "lane"


def as_tomorrow(event: Event) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers of an event as tomorrow's producers write it; made of today's, without today's classes."""
    key, value, headers = encode(event, "/tomorrow")
    changed = {**orjson.loads(value), FIELD: "fast"}
    stated = f"watson.{event.kind}.v{event.version + 1}".encode()
    return key, orjson.dumps(changed), [(name, stated if name == "ce_type" else text) for name, text in headers]


def _add_field(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, FIELD: "as before"}


def _make_with_field(event_type: type[Event]) -> None:
    """Tomorrow's code names the field wherever it makes such an event; what is read from JSON has it or has not."""
    made = event_type.__init__

    def make(event: Event, **fields: Any) -> None:
        made(event, **{FIELD: "fast", **fields})

    event_type.__init__ = make  # type: ignore[method-assign]


def become_tomorrow() -> None:
    """Change the classes of this process."""
    for event_type in CHANGED:
        _make_with_field(event_type)
        UPCASTS[event_type.kind, event_type.version] = _add_field
        event_type.version += 1
        event_type.__pydantic_fields__[FIELD] = FieldInfo(annotation=str)
        event_type.model_rebuild(force=True)


if __name__ == "__main__":
    become_tomorrow()
    main()
