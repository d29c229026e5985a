"""The reference of events, made from the models: ``python -m watson.events.reference > docs/events.md``."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from watson.events.event import Event
from watson.events.topics import TOPICS, TopicSpec

__all__ = ["reference"]

_HEAD = """\
# Events

Made from the models in `watson/events/` by `python -m watson.events.reference > docs/events.md`; a test fails where
this page and the models differ.

Every value is a JSON object in UTF-8. Headers follow CloudEvents 1.0, binary mode: `ce_id`, `ce_type`
(`watson.<kind>.v<version>`), `ce_source`, `ce_specversion`, `ce_time`. A record without `ce_type` is taken for the
newest version of its topic's first event; where the body has no `time`, `ce_time` or the record's timestamp stands in.
So any Kafka producer can submit a manifest. A version newer than the code that reads it is refused, never guessed.
`traceparent` and `tracestate` (W3C Trace Context) are passed on with what is sent because of a record; see
[Traces](operations.md#traces).
Examples of every version are in `tests/events/golden/`. The same for machines, in AsyncAPI 3.0's words, is in
[asyncapi.json](asyncapi.json).

Topic names carry the prefix `WATSON_TOPIC_PREFIX` where that is set.
"""

_FORMATS = {"uuid": "UUID", "date-time": "date and time, ISO 8601 with zone", "binary": "base64", "base64url": "base64"}

_ANY = "JsonValue"
"""Pydantic's name for whatever JSON can say."""


def reference() -> str:
    """The whole page, Markdown."""
    parts = [_HEAD, _topic_table()]
    nested: dict[str, dict[str, Any]] = {}
    for spec in TOPICS.values():
        for event in spec.events:
            schema = event.model_json_schema()
            nested.update(schema.get("$defs", {}))
            parts.append(_event_section(event, schema))
    parts.append("## Parts of events\n")
    parts.extend(_part_section(name, nested[name]) for name in sorted(nested.keys() - {_ANY}))
    return "\n".join(parts)


def _topic_table() -> str:
    rows = "\n".join(_topic_row(spec) for spec in TOPICS.values())
    return f"## Topics\n\n| topic | events | key | written by | kept |\n|---|---|---|---|---|\n{rows}\n"


def _topic_row(spec: TopicSpec) -> str:
    events = ", ".join(f"[`{event.__name__}`](#{event.__name__.lower()})" for event in spec.events)
    keys = " ".join(dict.fromkeys(_first_line(event.key) for event in spec.events))
    kept = "newest of each key" if spec.cleanup == "compact" else "for ever" if spec.retention_ms < 0 else "for a time"
    return f"| `{spec.name}` | {events} | {keys} | {spec.written_by} | {kept} |"


def _event_section(event: type[Event], schema: dict[str, Any]) -> str:
    return (
        f"## {event.__name__}\n\n"
        f"`watson.{event.kind}.v{event.version}` in topic `{event.topic}`\n\n{_described(event)}\n\n"
        f"**Key:** {_first_line(event.key)} **Id:** {_first_line(event.id)}\n\n{_field_table(schema)}\n"
    )


def _part_section(name: str, schema: dict[str, Any]) -> str:
    text = inspect.cleandoc(schema.get("description", ""))
    if "enum" in schema:
        values = ", ".join(f"`{value}`" for value in schema["enum"])
        return f"### {name}\n\n{_markdown(text)}\n\nOne of {values}.\n"
    return f"### {name}\n\n{_markdown(text)}\n\n{_field_table(schema)}\n"


def _field_table(schema: dict[str, Any]) -> str:
    rows = "\n".join(_field_rows(schema))
    return f"| field | type | default | |\n|---|---|---|---|\n{rows}"


def _field_rows(schema: dict[str, Any]) -> Iterator[str]:
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        default = (
            "required" if name in required else f"`{_json(field['default'])}`" if "default" in field else "optional"
        )
        yield f"| `{name}` | {_type(field)} | {default} | {_cell(field.get('description', ''))} |"


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[1]
        return "any JSON value" if name == _ANY else f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        return " or ".join(_type(option) for option in field["anyOf"])
    if "enum" in field:
        return " or ".join(f"`{_json(value)}`" for value in field["enum"])
    return _container(field) or _FORMATS.get(field.get("format", ""), field.get("type", "anything")) + _bounds(field)


def _container(field: dict[str, Any]) -> str | None:
    if "prefixItems" in field:
        return f"[{', '.join(_type(item) for item in field['prefixItems'])}]"
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    if field.get("type") == "object":
        return f"object of {_type(field.get('additionalProperties', {}))}"
    return None


def _bounds(field: dict[str, Any]) -> str:
    words = {
        "minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}",
        "minLength": "at least {} characters", "maxLength": "at most {} characters", "pattern": "`{}`",
    }  # fmt: skip
    said = [text.format(field[word]) for word, text in words.items() if word in field]
    return f", {', '.join(said)}" if said else ""


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _described(event: type[BaseModel]) -> str:
    return _markdown(inspect.cleandoc(event.__doc__ or ""))


def _first_line(member: object) -> str:
    return _markdown((inspect.getdoc(member) or "").splitlines()[0])


def _markdown(text: str) -> str:
    return text.replace("``", "`")


def _cell(text: str) -> str:
    return _markdown(" ".join(text.split())).replace("|", r"\|").replace("<", "&lt;")


if __name__ == "__main__":
    sys.stdout.write(reference())
