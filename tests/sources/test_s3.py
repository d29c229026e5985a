from __future__ import annotations

import asyncio

import pytest

from tests.services import S3
from tests.sources.conftest import Put, listing, uris
from watson.errors import ReasonCode, Retriable, UserError
from watson.events import Source
from watson.settings import Settings
from watson.sources import Reader, open_source
from watson.storage.s3 import S3ObjectStore

pytestmark = pytest.mark.services

ODD = [
    "a b.jpg",
    "a%20b.jpg",
    "a+b.jpg",
    "ä/日本.jpg",
    "q?x#y.jpg",
    "quote'\".jpg",
    "x&y<z>.jpg",
    "~!$*().jpg",
    "tab\tx",
]


async def test_odd_keys_are_listed_and_can_be_read_by_their_uri(settings: Settings, bucket: str, put: Put) -> None:
    await put({key: key.encode() for key in ODD})
    found = await uris(Source(kind="s3", uri=f"s3://{bucket}"), settings)
    async with Reader(settings) as reader:
        assert [(await reader.read(uri, 100)).decode() for uri in found] == sorted(ODD, key=str.encode)


async def test_a_prefix_may_be_part_of_a_name_and_folder_keys_are_skipped(
    settings: Settings, bucket: str, put: Put
) -> None:
    await put({"train/": b"", "train/1": b"1", "training/2": b"22", "test/3": b""})
    [batch] = await listing(Source(kind="s3", uri=f"s3://{bucket}/train"), settings)
    assert [(entry.uri, entry.size) for entry in batch.entries] == [
        (f"s3://{bucket}/train/1", 1),
        (f"s3://{bucket}/training/2", 2),
    ]
    assert all(entry.etag and '"' not in entry.etag for entry in batch.entries)
    assert await uris(Source(kind="s3", uri=f"s3://{bucket}/train/"), settings) == [f"s3://{bucket}/train/1"]
    assert await uris(Source(kind="s3", uri=f"s3://{bucket}/nothing"), settings) == []


async def test_pages_of_nothing_but_folders_do_not_end_the_listing(settings: Settings, bucket: str, put: Put) -> None:
    await put({f"{name}/": b"" for name in "abcde"} | {"z": b"x"})
    source = Source(kind="s3", uri=f"s3://{bucket}/")
    assert [batch.entries[0].uri for batch in await listing(source, settings, page_size=2)] == [f"s3://{bucket}/z"]


async def test_a_missing_bucket_is_a_users_error_that_names_it(settings: Settings, bucket: str) -> None:
    with pytest.raises(UserError, match=f"bucket 'no-{bucket}' does not exist at http"):
        await listing(Source(kind="s3", uri=f"s3://no-{bucket}/x"), settings)


async def test_wrong_keys_are_a_users_error(settings: Settings, bucket: str) -> None:
    wrong = Settings(s3_endpoint=settings.s3_endpoint, s3_access_key="wrong", s3_secret_key="wrong")
    with pytest.raises(UserError, match=f"cannot list s3://{bucket}/: .*403"):
        await listing(Source(kind="s3", uri=f"s3://{bucket}"), wrong)


async def test_a_server_that_goes_away_in_the_middle_is_a_passing_cause_and_the_cursor_goes_on(own_s3: S3) -> None:
    s3 = own_s3.endpoint
    settings = Settings(
        s3_endpoint=s3.endpoint, s3_access_key=s3.access_key, s3_secret_key=s3.secret_key, s3_attempts=1
    )
    store = S3ObjectStore(settings, "photos")
    await store.ensure_bucket()
    await store.open()
    for number in range(6):
        await store.put(str(number), b"x")
    await store.close()
    source = Source(kind="s3", uri="s3://photos")
    entries, cursor = [], None
    async with open_source(source, settings) as lister:
        with pytest.raises(Retriable) as caught:  # noqa: PT012 - it breaks off somewhere in the loop
            async for batch in lister.batches(None, 2):
                entries += batch.entries
                cursor = batch.cursor
                await asyncio.to_thread(own_s3.stop)
    assert caught.value.code is ReasonCode.STORE_UNAVAILABLE
    await asyncio.to_thread(own_s3.start)
    entries += [entry for batch in await listing(source, settings, cursor, 2) for entry in batch.entries]
    assert [entry.uri for entry in entries] == [f"s3://photos/{number}" for number in range(6)]
