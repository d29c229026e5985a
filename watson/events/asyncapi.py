"""Topics and events as an AsyncAPI 3.0 document: ``python -m watson.events.asyncapi > docs/asyncapi.json``.

What `watson.events.reference` tells people, for machines. AsyncAPI's schemas are those of JSON Schema draft 7, and
pydantic's of a later one: what differs is rewritten.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from watson import __version__
from watson.events.event import Event
from watson.events.topics import TOPICS, TopicSpec

__all__ = ["asyncapi"]

_DESCRIPTION = """\
Watson's topics in Kafka, each with the prefix `WATSON_TOPIC_PREFIX` where that is set, and all with the same number of
partitions. Values are JSON; headers are those of CloudEvents 1.0 in binary mode. Only the newest version of each event
is written and described here; every earlier one is read too, and a newer one is refused."""

_HEADERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "ce_id": {"type": "string", "format": "uuid", "description": "The same fact has the same id."},
        "ce_source": {"type": "string"},
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_time": {"type": "string", "format": "date-time"},
        "traceparent": {"type": "string", "description": "W3C Trace Context, where pictures are traced."},
    },
}
_REFERENCE = "#/components/schemas/{model}"
_BINDING = "0.5.0"


def asyncapi() -> dict[str, Any]:
    """The document."""
    events = [event for spec in TOPICS.values() for event in spec.events]
    references, definitions = models_json_schema([(event, "validation") for event in events], ref_template=_REFERENCE)
    schemas = {name: _draft_7(schema) for name, schema in definitions["$defs"].items()}
    payloads = {model: dict(reference) for (model, _), reference in references.items()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Watson",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {spec.name: _channel(spec) for spec in TOPICS.values()},
        "operations": {f"{_action(spec)}-{spec.name}": _operation(spec) for spec in TOPICS.values()},
        "components": {
            "messages": {event.__name__: _message(event, payloads[event]) for event in events},
            "schemas": schemas,
        },
    }


def _channel(spec: TopicSpec) -> dict[str, Any]:
    kept = "the newest record of each key" if spec.cleanup == "compact" else "every record"
    return {
        "address": spec.name,
        "description": f"Written by {spec.written_by}. Kafka keeps {kept}.",
        "messages": {event.__name__: {"$ref": f"#/components/messages/{event.__name__}"} for event in spec.events},
        "bindings": {
            "kafka": {
                "topicConfiguration": {"cleanup.policy": [spec.cleanup], "retention.ms": spec.retention_ms},
                "bindingVersion": _BINDING,
            }
        },
    }


def _action(spec: TopicSpec) -> str:
    """What Watson does with a topic: people write some for it, it writes the others."""
    return "receive" if spec.written_by == "the user" else "send"


def _operation(spec: TopicSpec) -> dict[str, Any]:
    return {
        "action": _action(spec),
        "channel": {"$ref": f"#/channels/{spec.name}"},
        "summary": f"Written by {spec.written_by}.",
    }


def _message(event: type[Event], payload: dict[str, Any]) -> dict[str, Any]:
    name = f"watson.{event.kind}.v{event.version}"
    said = _docstring(event)
    return {
        "name": name,
        "title": event.__name__,
        "summary": said.partition("\n\n")[0],
        "description": said,
        "contentType": "application/json",
        "headers": {
            **_HEADERS,
            "properties": {"ce_type": {"type": "string", "const": name}, **_HEADERS["properties"]},
        },
        "payload": payload,
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": _docstring(event.key)},
                "bindingVersion": _BINDING,
            }
        },
    }


def _docstring(member: type[BaseModel] | object) -> str:
    return (inspect.getdoc(member) or "").replace("``", "`")


def _draft_7(schema: Any) -> Any:
    """Pydantic's schema as draft 7 has it: tuples by ``items``, and nothing beside a reference."""
    if isinstance(schema, list):
        return [_draft_7(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {name: _draft_7(value) for name, value in schema.items()}
    if "prefixItems" in made:
        made["items"] = made.pop("prefixItems")
    if "$ref" in made and len(made) > 1:
        made["allOf"] = [{"$ref": made.pop("$ref")}]
    if isinstance(made.get("description"), str):
        made["description"] = inspect.cleandoc(made["description"]).replace("``", "`")
    return made


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncapi(), indent=2, ensure_ascii=False) + "\n")
