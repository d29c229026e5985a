from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from tests.cli.shell import Shell
from tests.services import KafkaEndpoint
from watson.agents.replay import replay
from watson.embedded.broker import free_ports
from watson.events import Event, Record, decode
from watson.settings import Settings

LIBRARIES = ("aiokafka", "cassandra", "aiobotocore", "botocore")


@pytest.fixture
def watson(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Shell]:
    """Run commands in an empty folder, with nothing of the developer's environment; no broker answers."""
    for name in list(os.environ):
        if name.startswith(("WATSON_", "FORCE_COLOR", "TTY_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WATSON_CATALOGUE", f"sqlite:{tmp_path / 'catalogue.db'}")
    monkeypatch.setenv("WATSON_OBJECTS", f"file:{tmp_path / 'objects'}")
    monkeypatch.setenv("WATSON_BROKERS", f"127.0.0.1:{free_ports(1)[0]}")
    monkeypatch.setenv("WATSON_BROKER_WAIT", "0.5")
    before, handlers = structlog.get_config(), {name: logging.getLogger(name).handlers[:] for name in LIBRARIES}
    yield Shell(monkeypatch, tmp_path)
    structlog.configure(**before)  # a command makes its process quiet; this one goes on with other tests
    for name, kept in handlers.items():
        logging.getLogger(name).handlers[:] = kept


@dataclass
class Cluster:
    """A broker with Watson's topics."""

    settings: Settings

    def records(self, topic: str) -> list[Record]:
        """All records of a topic."""

        async def read() -> list[Record]:
            return [record async for record in replay(self.settings, [topic])]

        return asyncio.run(read())

    def events(self, topic: str) -> list[Event]:
        """All events of a topic."""
        return [decode(record) for record in self.records(topic)]


@pytest.fixture
def cluster(watson: Shell, kafka: KafkaEndpoint, topic_prefix: str) -> Cluster:
    """A real broker with Watson's topics, which the commands of this test use."""
    watson.set(WATSON_BROKERS=kafka.brokers, WATSON_TOPIC_PREFIX=topic_prefix, WATSON_PARTITIONS="2")
    assert watson("topics", "create").code == 0
    return Cluster(watson.settings)
