"""Fixtures for the real servers, started when the first test asks for them.

Session: `kafka` (.brokers), `cassandra` (.host, .port), `s3` (.endpoint, .access_key, .secret_key, .region): the set of
`make services` where it runs, else servers of this session. A test leaves these running.
Function: `topic_prefix`, `keyspace`, `bucket` keep tests apart on them. `own_kafka`, `own_cassandra`, `own_s3` are
servers of one test alone, which it may kill, pause and restart (their address is in `.endpoint`).
"""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.services import (
    S3,
    Cassandra,
    CassandraEndpoint,
    Kafka,
    KafkaEndpoint,
    S3Endpoint,
    Service,
    make_bucket,
    shared,
)

Server = TypeVar("Server", bound=Service)


@contextmanager
def _running(server: type[Server]) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix=f"watson-{server.name}-", ignore_cleanup_errors=True) as directory:
        service = server(Path(directory))
        service.start()
        try:
            yield service
        finally:
            service.kill()  # its data goes next: nothing to save by an orderly stop


@contextmanager
def _shared_or_own(server: type[Service]) -> Iterator[Any]:
    endpoint = shared.endpoint(server.name)
    if endpoint is not None:
        yield endpoint
        return
    with _running(server) as service:
        yield service.endpoint


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaEndpoint]:
    """A broker that makes no topics by itself."""
    with _shared_or_own(Kafka) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def cassandra() -> Iterator[CassandraEndpoint]:
    """A node without authentication."""
    with _shared_or_own(Cassandra) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Endpoint]:
    """An S3 server that checks signatures and checksums."""
    with _shared_or_own(S3) as endpoint:
        yield endpoint


@pytest.fixture
def own_kafka() -> Iterator[Kafka]:
    """A broker for this test alone, to kill, pause and restart."""
    with _running(Kafka) as service:
        yield service


@pytest.fixture
def own_cassandra() -> Iterator[Cassandra]:
    """A node for this test alone, to kill, pause and restart."""
    with _running(Cassandra) as service:
        yield service


@pytest.fixture
def own_s3() -> Iterator[S3]:
    """An S3 server for this test alone, to kill, pause and restart."""
    with _running(S3) as service:
        yield service


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> Iterator[str]:
    """Put before the names of topics, groups and tables; the topics that have it are deleted at the end."""
    prefix = f"t{uuid.uuid4().hex[:10]}-"
    broker = request.getfixturevalue("kafka") if "kafka" in request.fixturenames else None
    yield prefix
    if broker is not None:
        _in_thread(lambda: asyncio.run(_delete_topics(broker.brokers, prefix)))


@pytest.fixture
def keyspace(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a keyspace that does not exist yet. Dropped at the end."""
    name = f"t{uuid.uuid4().hex[:10]}"
    node = request.getfixturevalue("cassandra") if "cassandra" in request.fixturenames else None
    yield name
    if node is not None:
        _drop_keyspace(node, name)


@pytest.fixture
def bucket(s3: S3Endpoint) -> str:
    """The name of a bucket made for this test."""
    name = f"t{uuid.uuid4().hex[:10]}"
    make_bucket(s3, name)
    return name


def _in_thread(call: Callable[[], None]) -> None:
    """Run `call` where no event loop of pytest-asyncio is disturbed by it."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(call).result(timeout=60)


async def _delete_topics(brokers: str, prefix: str) -> None:
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(bootstrap_servers=brokers, request_timeout_ms=15_000)
    await admin.start()
    try:
        topics = [topic for topic in await admin.list_topics() if topic.startswith(prefix)]
        if topics:
            await admin.delete_topics(topics)
    finally:
        await admin.close()


def _drop_keyspace(node: CassandraEndpoint, name: str) -> None:
    from cassandra.cluster import Cluster

    with Cluster([node.host], port=node.port) as cluster, cluster.connect() as session:
        session.execute(f"DROP KEYSPACE IF EXISTS {name}", timeout=30)
