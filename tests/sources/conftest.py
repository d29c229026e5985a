"""What tests of sources share: settings for the S3 server, a put, and a listing taken in one go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.services import S3Endpoint
from watson.events import Source
from watson.settings import Settings
from watson.sources import Batch, open_source
from watson.storage.s3_connection import S3Connection

Put = Callable[[dict[str, bytes]], Awaitable[None]]


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> Settings:
    """Of the S3 server where the test has one, else the defaults."""
    if "bucket" not in request.fixturenames:
        return Settings()
    s3: S3Endpoint = request.getfixturevalue("s3")
    return Settings(s3_endpoint=s3.endpoint, s3_access_key=s3.access_key, s3_secret_key=s3.secret_key, s3_attempts=2)


@pytest.fixture
def put(settings: Settings, bucket: str) -> Put:
    """Put objects into the test's bucket, whatever their keys."""

    async def put_all(objects: dict[str, bytes]) -> None:
        async with S3Connection(settings) as connection:
            for key, data in objects.items():
                await connection.call("put_object", bucket, Key=key, Body=data)

    return put_all


async def listing(source: Source, settings: Settings, cursor: str | None = None, page_size: int = 500) -> list[Batch]:
    """All batches from the cursor on."""
    async with open_source(source, settings) as lister:
        return [batch async for batch in lister.batches(cursor, page_size)]


async def uris(source: Source, settings: Settings) -> list[str]:
    """The URIs of all entries."""
    return [entry.uri for batch in await listing(source, settings) for entry in batch.entries]
