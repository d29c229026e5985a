"""One behaviour for both object stores: a directory, and a real S3 server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.services import S3, S3Endpoint
from watson.errors import ReasonCode, Refused, Retriable, UserError
from watson.settings import Settings
from watson.storage.connect_objects import object_store
from watson.storage.directory import DirectoryObjectStore
from watson.storage.keys import TEMPORARY
from watson.storage.objects import ObjectStore
from watson.storage.s3 import S3ObjectStore


def s3_settings(server: S3Endpoint, **more: object) -> Settings:
    values = {"s3_endpoint": server.endpoint, "s3_access_key": server.access_key, "s3_secret_key": server.secret_key}
    return Settings(**{**values, **more})


@pytest.fixture(params=["directory", pytest.param("s3", marks=pytest.mark.services)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ObjectStore]:
    if request.param == "directory":
        made = object_store(Settings(objects=f"file:{tmp_path}/objects"))
        assert isinstance(made, DirectoryObjectStore)
    else:
        bucket = request.getfixturevalue("bucket")
        made = object_store(s3_settings(request.getfixturevalue("s3"), objects=f"s3://{bucket}/some/prefix/"))
        assert isinstance(made, S3ObjectStore)
    await made.open()
    yield made
    await made.close()


async def keys(store: ObjectStore, prefix: str = "", after: str = "") -> list[str]:
    return [stat.key async for page in store.list(prefix, after) for stat in page]


async def test_what_was_put_is_got_back_byte_for_byte(store: ObjectStore) -> None:
    data = os.urandom(300_000)
    await store.put("masks/a.json.gz", data, "application/gzip")
    assert await store.get("masks/a.json.gz") == data


async def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    await store.put("empty", b"")
    assert await store.get("empty") == b""
    stat = await store.stat("empty")
    assert stat is not None
    assert stat.size == 0


async def test_a_put_replaces_what_was_there(store: ObjectStore) -> None:
    await store.put("k", b"a longer first version")
    before = await store.stat("k")
    await store.put("k", b"second")
    after = await store.stat("k")
    assert await store.get("k") == b"second"
    assert before is not None
    assert after is not None
    assert (before.size, after.size) == (22, 6)
    assert before.etag != after.etag


async def test_a_missing_object_is_refused_as_missing(store: ObjectStore) -> None:
    await store.put("there/is", b"x")
    for key in ("nothing", "there", "there/is not", "there/is/below"):
        with pytest.raises(Refused, match=key) as caught:
            await store.get(key)
        assert caught.value.code is ReasonCode.OBJECT_MISSING
        assert await store.stat(key) is None


async def test_an_object_over_the_limit_is_refused_and_one_at_the_limit_is_not(store: ObjectStore) -> None:
    await store.put("k", b"12345")
    assert await store.get("k", limit=5) == b"12345"
    with pytest.raises(Refused, match="5 bytes, more than 4") as caught:
        await store.get("k", limit=4)
    assert caught.value.code is ReasonCode.TOO_LARGE
    assert await store.get("k") == b"12345", "the connection must be fit for use after an unread answer"


async def test_deleting_twice_does_no_harm(store: ObjectStore) -> None:
    await store.put("a/b", b"x")
    await store.delete("a/b")
    await store.delete("a/b")
    await store.delete("never/was")
    assert await store.stat("a/b") is None
    assert await keys(store) == []


ODD_KEYS = [
    "a b",
    "a%20b",
    "a+b",
    "ä/ö.jpg",
    "image (1).jpg",
    "q?x=1#y",
    "x&y",
    "quote'\"",
    ".hidden",
    "日本/語",
    "…~!$@",
]


@pytest.mark.parametrize("key", [*ODD_KEYS, "n" * 255, "/".join(["d" * 100] * 8)])
async def test_odd_and_long_keys_round_trip(store: ObjectStore, key: str) -> None:
    await store.put(key, key.encode())
    assert await store.get(key) == key.encode()
    assert await keys(store) == [key]
    stat = await store.stat(key)
    assert stat is not None
    assert stat.size == len(key.encode())


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "..",
        "a/../b",
        "a/./b",
        "a\0b",
        "a\nb",
        "\udcff",
        "é" * 128,
        "a/" * 511 + "abc",
        "/etc/passwd",
        f"a/{TEMPORARY}b",
    ],
)
async def test_a_key_that_is_not_relative_and_clean_is_refused_by_every_operation(store: ObjectStore, key: str) -> None:
    for operation in (store.put(key, b"x"), store.get(key), store.stat(key), store.delete(key)):
        with pytest.raises(Refused, match="object key") as caught:
            await operation
        assert caught.value.code is ReasonCode.SOURCE_INVALID
    assert await keys(store) == []


async def test_a_key_and_keys_below_it_never_shadow_each_other_silently(store: ObjectStore) -> None:
    await store.put("a/b", b"below")
    with pytest.raises(Refused):
        await store.put("a", b"above")
    with pytest.raises(Refused):
        await store.put("a/b/c", b"deeper")
    assert await store.get("a/b") == b"below"


SORTING = ["a", "a!", "a-b", "a.b/x", "a/b", "a/b-", "a/b0", "a0", "B/c", "b/d/e/f", "z", "é", "ﬀ", "😀", "a é/ü"]


async def test_keys_are_listed_by_their_bytes(store: ObjectStore) -> None:
    names = [name for name in SORTING if name != "a"]
    await asyncio.gather(*(store.put(name, b"x") for name in names))
    assert await keys(store) == sorted(names, key=str.encode)


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "a/b0", "a.b/x", "b/d/", "nothing", "b/d/e/f/g", "../", "/"])
async def test_a_listing_is_of_the_prefix_alone_and_goes_on_after_any_key(store: ObjectStore, prefix: str) -> None:
    names = sorted((name for name in SORTING if name != "a"), key=str.encode)
    await asyncio.gather(*(store.put(name, b"x") for name in names))
    wanted = [name for name in names if name.startswith(prefix)]
    assert await keys(store, prefix) == wanted
    for after in [*names, "a/", "a/b/zzz", "0", "~"]:
        assert await keys(store, prefix, after) == [name for name in wanted if name.encode() > after.encode()]


async def test_many_objects_are_listed_in_several_pages_without_gap_or_repeat(store: ObjectStore) -> None:
    names = [f"p/{n:05}" for n in range(1203)]
    for start in range(0, len(names), 100):
        await asyncio.gather(*(store.put(name, name.encode()) for name in names[start : start + 100]))
    pages = [[stat.key for stat in page] async for page in store.list("p/")]
    assert len(pages) > 1
    assert [key for page in pages for key in page] == names


async def test_readers_see_the_old_object_or_the_new_one_and_nothing_else(store: ObjectStore) -> None:
    versions = [bytes([n]) * 200_000 for n in range(12)]
    await store.put("k", versions[0])

    async def write() -> None:
        for version in versions:
            await store.put("k", version)

    writing = asyncio.create_task(write())
    reads = 0
    while not writing.done():
        assert await store.get("k") in versions
        reads += 1
    await writing
    assert reads > 3


async def test_many_puts_of_one_key_at_once_all_succeed(store: ObjectStore) -> None:
    await asyncio.gather(*(store.put("deep/er/k", b"same") for _ in range(20)))
    assert await store.get("deep/er/k") == b"same"
    assert await keys(store) == ["deep/er/k"]


@pytest.mark.parametrize("place", ["", "file:", "s3://", "s3:///prefix", "http://x/y", "/plain/path", "s3://b/a/../c"])
def test_a_place_that_is_no_object_store_is_a_users_error_that_shows_how(place: str) -> None:
    with pytest.raises(UserError, match=r"WATSON_OBJECTS is .*file:PATH"):
        object_store(Settings(objects=place))


async def test_a_tilde_means_the_home_of_who_runs_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    store = object_store(Settings(objects="file:~/objects"))
    await store.open()
    await store.put("key", b"bytes", "text/plain")
    assert (tmp_path / "objects" / "key").read_bytes() == b"bytes"
    await store.close()


def test_the_home_of_an_unknown_user_is_refused():
    with pytest.raises(UserError, match="WATSON_OBJECTS is 'file:~nobody-has-this-name/x'"):
        object_store(Settings(objects="file:~nobody-has-this-name/x"))


class TestDirectory:
    """What only files can do wrong."""

    @pytest.fixture
    async def root(self, tmp_path: Path) -> Path:
        root = tmp_path / "objects"
        await DirectoryObjectStore(root).open()
        return root

    @pytest.mark.parametrize("spelled", ["file:{}/x", "file://{}/x"])
    async def test_both_spellings_of_a_file_place_work(self, tmp_path: Path, spelled: str) -> None:
        store = object_store(Settings(objects=spelled.format(tmp_path)))
        await store.open()
        await store.put("k", b"x")
        assert (tmp_path / "x" / "k").read_bytes() == b"x"

    async def test_half_written_files_are_not_listed(self, root: Path) -> None:
        store = DirectoryObjectStore(root)
        await store.put("a/k", b"x")
        (root / "a" / f"{TEMPORARY}123").write_bytes(b"half")
        assert await keys(store) == ["a/k"]

    async def test_a_failed_put_leaves_the_old_object_and_no_temporary_file(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = DirectoryObjectStore(root)
        await store.put("a/k", b"old")

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(Retriable, match="No space left") as caught:
            await store.put("a/k", b"new")
        assert caught.value.code is ReasonCode.STORE_UNAVAILABLE
        assert await store.get("a/k") == b"old"
        assert [path.name for path in (root / "a").iterdir()] == ["k"]

    async def test_a_link_does_not_lead_out_of_the_store(self, root: Path, tmp_path: Path) -> None:
        store = DirectoryObjectStore(root)
        (tmp_path / "secret").write_bytes(b"secret")
        (root / "out").symlink_to(tmp_path)
        (root / "file").symlink_to(tmp_path / "secret")
        for key in ("out/secret", "file"):
            with pytest.raises(Refused, match="symbolic link") as caught:
                await store.get(key)
            assert caught.value.code is ReasonCode.ACCESS_DENIED
        with pytest.raises(Refused):
            await store.put("out/new", b"x")
        assert await keys(store) == []
        assert not (tmp_path / "new").exists()

    async def test_foreign_files_are_not_objects(self, root: Path) -> None:
        (root / os.fsdecode(b"not-utf8-\xff")).write_bytes(b"x")
        os.mkfifo(root / "pipe")
        store = DirectoryObjectStore(root)
        await store.put("k", b"x")
        assert await keys(store) == ["k"]

    async def test_a_path_that_is_a_file_cannot_be_opened_as_a_store(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(UserError, match="name another directory"):
            await DirectoryObjectStore(tmp_path / "file").open()


@pytest.mark.services
class TestS3:
    """What only a server can do wrong."""

    async def test_a_missing_bucket_is_named_at_open_and_can_be_made(self, s3: S3Endpoint, bucket: str) -> None:
        store = S3ObjectStore(s3_settings(s3), f"{bucket}-other", "p")
        with pytest.raises(UserError, match=f"bucket '{bucket}-other' does not exist at {s3.endpoint}"):
            await store.open()
        await store.ensure_bucket()
        await store.ensure_bucket()
        await store.open()
        await store.put("k", b"x")
        assert await store.get("k") == b"x"
        await store.close()

    async def test_a_bucket_lost_at_work_is_a_passing_cause(self, s3: S3Endpoint, bucket: str) -> None:
        store = S3ObjectStore(s3_settings(s3), f"{bucket}-lost")
        await store.ensure_bucket()
        await store.open()
        await store._connection.call("delete_bucket", f"{bucket}-lost")
        for operation in (store.put("k", b"x"), store.get("k"), keys(store)):
            with pytest.raises(Retriable, match="does not exist") as caught:
                await operation
            assert caught.value.code is ReasonCode.STORE_UNAVAILABLE
        await store.close()

    async def test_wrong_keys_are_denied_at_open(self, s3: S3Endpoint, bucket: str) -> None:
        with pytest.raises(UserError, match=r"403.*WATSON_OBJECTS"):
            await S3ObjectStore(s3_settings(s3, s3_secret_key="wrong"), bucket).open()

    async def test_a_server_that_is_gone_is_a_passing_cause_and_its_return_is_noticed(self, own_s3: S3) -> None:
        settings = s3_settings(own_s3.endpoint, s3_attempts=1)
        store = S3ObjectStore(settings, "there")
        await store.ensure_bucket()
        await store.open()
        await store.put("k", b"x")
        await asyncio.to_thread(own_s3.stop)
        with pytest.raises(Retriable) as caught:
            await store.get("k")
        assert caught.value.code is ReasonCode.STORE_UNAVAILABLE
        await asyncio.to_thread(own_s3.start)
        assert await store.get("k") == b"x"
        await store.close()

    async def test_a_server_that_hangs_is_a_passing_cause_within_the_time_limit(self) -> None:
        async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(30)
            writer.close()

        server = await asyncio.start_server(hang, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        settings = Settings(
            s3_endpoint=f"http://127.0.0.1:{port}",
            s3_access_key="k",
            s3_secret_key="s",
            s3_read_timeout=0.2,
            s3_attempts=2,
        )
        with pytest.raises(Retriable):
            async with asyncio.timeout(10):
                await S3ObjectStore(settings, "bucket").open()
        server.close()
