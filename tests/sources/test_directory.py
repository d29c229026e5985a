from __future__ import annotations

import inspect
import os
import sys
import tracemalloc
from pathlib import Path

import pytest

from tests.sources.conftest import listing, uris
from watson.errors import UserError
from watson.events import Source
from watson.settings import Settings
from watson.sources import Reader
from watson.sources.directory import DirectoryLister
from watson.storage.walk import Walk


def tree(root: Path, *names: str) -> Source:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return Source(kind="directory", uri=str(root))


async def test_files_are_listed_by_the_bytes_of_their_path_as_s3_lists_keys(tmp_path: Path) -> None:
    names = ["a-b", "a.b/x", "a/b", "a/b-c", "a/bb/c", "a0", "B", "z", "ß", "ü/x"]
    found = await uris(tree(tmp_path, *names), Settings())
    assert found == [(tmp_path / name).as_uri() for name in sorted(names, key=str.encode)]


async def test_size_and_time_of_change_are_told(tmp_path: Path) -> None:
    source = tree(tmp_path, "a")
    (tmp_path / "a").write_bytes(b"12345")
    [batch] = await listing(source, Settings())
    assert batch.entries[0].size == 5
    assert batch.entries[0].etag == str((tmp_path / "a").stat().st_mtime_ns)


async def test_every_regular_file_is_listed_whatever_its_name_but_no_hidden_one(tmp_path: Path) -> None:
    source = tree(tmp_path, "notes.txt", "no-suffix", "broken.jpg", ".hidden", ".git/config", "d/.DS_Store", "d/e.jpg")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    names = [uri.removeprefix(tmp_path.as_uri() + "/") for uri in await uris(source, Settings())]
    assert names == ["broken.jpg", "d/e.jpg", "no-suffix", "notes.txt"]


async def test_names_that_are_not_utf8_are_listed_and_can_be_read(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 %\n.jpg")
    [uri] = await uris(tree(tmp_path, name), Settings())
    assert uri.endswith("caf%E9%20%25%0A.jpg")
    async with Reader(Settings()) as reader:
        assert await reader.read(uri, 10) == b"x"


async def test_a_link_to_a_file_in_the_tree_is_listed_under_its_own_name(tmp_path: Path) -> None:
    source = tree(tmp_path, ".pool/1", "z")
    (tmp_path / "cat.jpg").symlink_to(tmp_path / ".pool/1")
    assert await uris(source, Settings()) == [(tmp_path / name).as_uri() for name in ("cat.jpg", "z")]


async def test_links_that_lead_out_or_to_directories_are_listed_and_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    root = tmp_path / "root"
    source = tree(root, "d/in.jpg")
    (root / "file").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    (root / "loop").symlink_to(root)
    (root / "self").symlink_to(root / "self")
    (root / "zero").symlink_to(root / "nothing")
    found = await uris(source, Settings())
    assert found[0] == (root / "d/in.jpg").as_uri()
    assert [uri.split(":")[1] for uri in found[1:4]] == [
        f"is a link to {tmp_path}/secret, outside the source's directory",
        f"is a link to {tmp_path}, outside the source's directory",
        f"is a link to the directory {root}; links to directories are not followed",
    ]
    async with Reader(Settings()) as reader:
        for uri, reason in zip(
            found[1:], ["outside", "outside", "directories", "Too many levels", "No such"], strict=True
        ):
            with pytest.raises(Exception, match=reason):
                await reader.read(uri, 100)


async def test_an_unreadable_directory_is_a_users_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tree(tmp_path, "a/x", "closed/x", "z")
    scandir = os.scandir

    def refuse(path: bytes) -> object:  # the tests may run as root, whom no mode bits hold
        if path.rstrip(b"/").endswith(b"closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=f"cannot list {tmp_path}/closed/: Permission denied"):
        await listing(source, Settings())


async def test_a_file_that_disappears_while_it_is_listed_is_listed(tmp_path: Path) -> None:
    source = tree(tmp_path, "a", "b", "c")
    lister = DirectoryLister(source.uri)
    pages = aiter(lister.batches(None, 1))
    await anext(pages)
    (tmp_path / "b").unlink()
    [entry] = (await anext(pages)).entries
    assert (entry.uri, entry.size) == ((tmp_path / "b").as_uri(), None)


@pytest.mark.parametrize("chunk", [1, 2, 5, 1000])
def test_a_directory_with_more_names_than_memory_holds_is_listed_in_the_same_order(tmp_path: Path, chunk: int) -> None:
    tree(tmp_path, *(f"{number:02}" for number in range(17)), "05x/1", "05x/2", "05x/3/4", "05-", "050")
    root = os.fsencode(tmp_path)
    whole = sorted(os.fsencode(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert list(Walk(root, chunk=chunk)) == whole
    for after in whole:
        assert list(Walk(root, chunk=chunk, after=after)) == [path for path in whole if path > after]


def test_a_tree_deeper_than_pythons_recursion_is_walked(tmp_path: Path) -> None:
    depth = 300  # with the limit lowered, not with a deep tree: pytest itself could not delete that
    leaf = tmp_path.joinpath(*["d"] * depth, "leaf")
    leaf.parent.mkdir(parents=True)
    leaf.touch()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + depth // 2)
    try:
        found = list(Walk(os.fsencode(tmp_path)))
    finally:
        sys.setrecursionlimit(limit)
    assert found == [b"d/" * depth + b"leaf"]


async def test_a_crowded_directory_is_listed_in_bounded_memory(tmp_path: Path) -> None:
    for number in range(5_000):
        (tmp_path / f"{number:08}-{'x' * 80}.jpg").touch()
    lister = DirectoryLister(str(tmp_path), chunk=250)
    tracemalloc.start()
    count = 0
    async for batch in lister.batches(None, 100):
        count += len(batch.entries)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 5_000
    assert peak < 300_000, "5,000 names alone are more than 600 kB"
