"""The catalogue of the behaviour suites: SQLite and a real Cassandra."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from watson.settings import Settings
from watson.storage.catalogue import Catalogue
from watson.storage.connect_catalogue import catalogue


@pytest.fixture(scope="module", params=[pytest.param("sqlite"), pytest.param("cassandra", marks=pytest.mark.services)])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a migrated catalogue; tests keep apart by the names of their jobs."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("catalogue") / "catalogue.db"
        settings = Settings(catalogue=f"sqlite:{path}")
        asyncio.run(catalogue(settings).migrate())
        yield settings
        return
    from tests.conftest import _drop_keyspace

    node = request.getfixturevalue("cassandra")
    name = f"t{uuid.uuid4().hex[:10]}"
    settings = Settings(catalogue=f"cassandra://{node.host}:{node.port}/{name}")
    try:
        asyncio.run(catalogue(settings).migrate())
        yield settings
    finally:
        _drop_keyspace(node, name)


@pytest.fixture
async def store(place: Settings) -> AsyncIterator[Catalogue]:
    opened = catalogue(place)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def job() -> str:
    return f"job-{uuid.uuid4().hex[:12]}"
