"""What an oracle says, and how it reads events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.chaos.evidence import Evidence

__all__ = ["Event", "Finding", "events", "uri_of"]

Event = dict[str, Any]


@dataclass(frozen=True)
class Finding:
    """One thing that is off."""

    kind: str
    job: str
    what: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}  {self.job}  {self.what}  {self.detail}".rstrip()


def events(evidence: Evidence, topic: str, job: str) -> Iterator[Event]:
    """One job's events of a topic."""
    return (event for record in evidence.of(topic) if (event := record.event)["job"] == job)


def uri_of(event: Event) -> str:
    """Which picture an event of the chain is about."""
    return str(event["original"]["uri"])
