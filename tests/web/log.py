"""Stands in for the log: what the site sends is taken down, and nothing else happens."""

from __future__ import annotations

from typing import Any

import pytest

from watson.errors import BrokerUnavailable
from watson.events import Event, FailedRecord
from watson.settings import Settings

__all__ = ["Log"]


class Log:
    """What was sent: events, and failed records once more. ``away`` makes the broker one that does not answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[Event] = []
        self.records: list[FailedRecord] = []
        self.models: dict[str, Any] = {}
        self.away = False
        for place in ("sending", "retry", "submit"):
            monkeypatch.setattr(f"watson.actions.{place}.verify_topics", self._verify)
        monkeypatch.setattr("watson.actions.sending.publish", self._publish)
        monkeypatch.setattr("watson.actions.retry.resend", self._resend)
        monkeypatch.setattr("watson.actions.submit.registered_models", self._models)

    async def _verify(self, *_: Any) -> None:
        if self.away:
            raise BrokerUnavailable("no Kafka broker answers at 127.0.0.1:1")

    async def _publish(self, _settings: Settings, events: list[Event]) -> None:
        self.events += events

    async def _resend(self, _settings: Settings, records: list[FailedRecord], extra: dict[str, str]) -> None:
        assert extra == {"redrive": "retry"}
        self.records += records

    async def _models(self, _settings: Settings) -> dict[str, Any]:
        return self.models
