"""What holds for every kind of source: cut it where you like, go on in a new connection, and nothing is lost."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.sources.conftest import Put, listing
from watson.errors import UserError
from watson.events import Original, Source
from watson.settings import Settings
from watson.sources import open_source

NAMES = ["a.jpg", "a/b.jpg", "a/b/c", "a-b.png", "a0", "ä.jpg", "b c/d%20e.jpg", "z/y/x/w.gif", "z/y/x0", "日本/語.jpg"]
NAMES += [f"many/{number:03}.jpg" for number in range(23)]
NAMES.remove("a/b/c")  # a file and a directory cannot share the name, a/b.jpg and a/b can
NAMES += ["a/b/c.jpg"]

TEXT = "\n".join(["# a list", "", *NAMES, "  ", "https://x/y", "# end"])
CSV = "\r\n".join(["title,uri,n", *(f'"a ""{n}"",\r\nb",{name},{n}' for n, name in enumerate(NAMES)), '"open,,', "x,,"])
JSONL = "\n".join([*(f'{{"uri": "{name}", "x": 1}}' for name in NAMES), "", "{broken", "[1]", '{"uri": " "}'])
IDS = "\n".join(
    ["ImageID,Subset,OriginalURL", *(f"{n:016x},train,https://x" for n in range(30)), "../x,test,", "f,test"]
)

MakeSource = Callable[[pytest.FixtureRequest, Path], Awaitable[Source]]


async def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return Source(kind="directory", uri=str(tmp_path))


async def prefix(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    put: Put = request.getfixturevalue("put")
    await put({f"photos/{name}": name.encode() for name in NAMES} | {"other": b"", "photos/many/": b"", "z": b""})
    return Source(kind="s3", uri=f"s3://{request.getfixturevalue('bucket')}/photos/")


def local_list(name: str, text: str) -> MakeSource:
    async def make(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
        (tmp_path / name).write_text(text, newline="")
        return Source(kind="open-images" if name == "ids.csv" else "list", uri=(tmp_path / name).as_uri())

    return make


def s3_list(name: str, text: str) -> MakeSource:
    async def make(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
        put: Put = request.getfixturevalue("put")
        await put({f"lists/{name}": text.encode()})
        uri = f"s3://{request.getfixturevalue('bucket')}/lists/{name}"
        return Source(kind="open-images" if name == "ids.csv" else "list", uri=uri)

    return make


LISTS = {"list.txt": TEXT, "list.csv": CSV, "list.jsonl": JSONL, "ids.csv": IDS}
KINDS = [
    pytest.param(directory, len(NAMES), id="directory"),
    pytest.param(prefix, len(NAMES), id="s3", marks=pytest.mark.services),
    *(
        pytest.param(make(name, text), count, id=f"{where}-{name}", marks=marks)
        for where, make, marks in (("local", local_list, ()), ("s3", s3_list, pytest.mark.services))
        for (name, text), count in zip(LISTS.items(), (len(NAMES) + 1, len(NAMES) + 2, len(NAMES) + 3, 32), strict=True)
    ),
]


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> Settings:
    """With the S3 server only for the kinds that need one."""
    if request.node.get_closest_marker("services") is None:
        return Settings()
    s3, _ = request.getfixturevalue("s3"), request.getfixturevalue("bucket")
    return Settings(s3_endpoint=s3.endpoint, s3_access_key=s3.access_key, s3_secret_key=s3.secret_key, s3_attempts=2)


@pytest.mark.parametrize("page_size", [1, 3, 7, 500])
@pytest.mark.parametrize(("make", "count"), KINDS)
async def test_after_any_batch_the_cursor_goes_on_with_exactly_the_rest(
    request: pytest.FixtureRequest, settings: Settings, tmp_path: Path, make: MakeSource, count: int, page_size: int
) -> None:
    source = await make(request, tmp_path)
    whole = [entry for batch in await listing(source, settings) for entry in batch.entries]
    assert len(whole) == count
    assert len({entry.uri for entry in whole}) == count
    for entry in whole:
        Original(uri=entry.uri, size=entry.size, etag=entry.etag)

    async with open_source(source, settings) as lister:
        batches = [batch async for batch in lister.batches(None, page_size)]
        assert [entry for batch in batches for entry in batch.entries] == whole
        assert all(0 < len(batch.entries) <= page_size for batch in batches)
        done = 0
        for batch in batches:
            done += len(batch.entries)
            rest = [entry async for page in lister.batches(batch.cursor, 5) for entry in page.entries]
            assert rest == whole[done:]


@pytest.mark.parametrize(("make", "count"), KINDS)
async def test_a_listing_opened_anew_for_each_single_batch_gives_the_same(
    request: pytest.FixtureRequest, settings: Settings, tmp_path: Path, make: MakeSource, count: int
) -> None:
    source = await make(request, tmp_path)
    entries, cursor = [], None
    while True:
        async with open_source(source, settings) as lister:
            batch = await anext(aiter(lister.batches(cursor, 4)), None)
        if batch is None:
            break
        entries += batch.entries
        cursor = batch.cursor
    assert entries == [entry for batch in await listing(source, settings) for entry in batch.entries]
    assert len(entries) == count


@pytest.mark.parametrize("kind", ["directory", "list", "open-images"])
@pytest.mark.parametrize("uri", ["/does/not/exist", "file:///does/not/exist", "no/such/thing", "://", "http://x/y"])
async def test_a_source_that_is_not_there_is_a_users_error_that_names_it(kind: str, uri: str) -> None:
    with pytest.raises(UserError, match=re.escape(uri.removeprefix("file://"))):
        await listing(Source(kind=kind, uri=uri), Settings())  # type: ignore[arg-type]  # of the parameters above


@pytest.mark.parametrize(("kind", "uri"), [("directory", "s3://b/k"), ("s3", "/tmp"), ("s3", "file:///tmp")])
async def test_a_place_of_another_kind_is_a_users_error_that_names_the_right_kind(kind: str, uri: str) -> None:
    with pytest.raises(UserError, match=f"{uri}.*kind is"):
        await listing(Source(kind=kind, uri=uri), Settings())  # type: ignore[arg-type]  # of the parameters above
