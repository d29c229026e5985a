"""A line of workers on real Kafka with objects in a directory and a SQLite catalogue, and a voice for measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.line import Line
from tests.services import KafkaEndpoint
from watson.settings import Settings

PARTITIONS = 8  # as by default


@pytest.fixture
def settings(kafka: KafkaEndpoint, topic_prefix: str, tmp_path: Path) -> Settings:
    """Watson's own defaults, but for where things are."""
    return Settings(
        brokers=kafka.brokers,
        topic_prefix=topic_prefix,
        partitions=PARTITIONS,
        objects=f"file:{tmp_path / 'objects'}",
        catalogue=f"sqlite:{tmp_path / 'catalogue.db'}",
    )


@pytest.fixture
def line(settings: Settings, tmp_path: Path) -> Iterator[Line]:
    environment = {
        "WATSON_BROKERS": settings.brokers,
        "WATSON_TOPIC_PREFIX": settings.topic_prefix,
        "WATSON_PARTITIONS": str(settings.partitions),
        "WATSON_OBJECTS": settings.objects,
        "WATSON_CATALOGUE": settings.catalogue,
    }
    with Line(environment, tmp_path) as made:
        yield made


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a measurement, whatever pytest captures."""

    def speak(text: str) -> None:
        with capsys.disabled():
            print(f"\n  {text}", flush=True)  # noqa: T201 - what `make limits` is run for

    return speak
