"""What a manifest may name on the workers' own disks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.sources.conftest import listing
from watson.errors import ReasonCode, Refused, UserError
from watson.events import Source
from watson.settings import Settings, load_settings
from watson.sources import Reader
from watson.sources.listing import Entry
from watson.sources.roots import check_opened


async def read(path: str | Path, settings: Settings) -> bytes:
    async with Reader(settings) as reader:
        return await reader.read(str(path), 100_000)


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """A root with a picture, a secret beside it, and ways from the one to the other."""
    root, other = tmp_path / "root", tmp_path / "root-other"
    root.mkdir()
    other.mkdir()
    (root / "a.jpg").write_bytes(b"picture")
    (other / "secret").write_bytes(b"token")
    (root / "link").symlink_to(other / "secret")
    (root / "folder").symlink_to(other)
    (tmp_path / "alias").symlink_to(root)
    return tmp_path


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/../etc/passwd", "/proc/self/environ", "/sys/kernel/notes"])
@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}"])
async def test_the_systems_own_files_are_never_read_even_where_nothing_is_set(path: str, form: str) -> None:
    with pytest.raises(Refused, match="system's own files") as caught:
        await read(form.format(path), Settings())
    assert caught.value.code is ReasonCode.ACCESS_DENIED


async def test_a_link_to_the_systems_own_files_is_no_way_to_them(tmp_path: Path) -> None:
    (tmp_path / "innocent.jpg").symlink_to("/etc/passwd")
    with pytest.raises(Refused, match="system's own files"):
        await read(tmp_path / "innocent.jpg", Settings())


@pytest.mark.parametrize(
    ("kind", "uri"),
    [
        ("list", "/etc/passwd"),
        ("list", "file:///proc/self/environ"),
        ("directory", "/etc"),
        ("open-images", "/etc/hosts"),
        ("directory", "/proc/self/../self/root/etc"),
    ],
)
async def test_the_systems_own_files_are_neither_listed_nor_read_as_a_list(kind: str, uri: str) -> None:
    """A list's lines become addresses, which stand in events and on pages: to read a file as a list is to show it."""
    with pytest.raises(UserError, match="system's own files") as caught:
        await listing(Source(kind=kind, uri=uri), Settings())
    assert "root:" not in str(caught.value)


async def test_what_is_below_a_root_is_read_also_by_way_of_a_link_to_it(places: Path) -> None:
    settings = Settings(source_roots=f"/nowhere{os.pathsep}{places / 'root'}")
    assert await read(places / "root" / "a.jpg", settings) == b"picture"
    assert await read(places / "alias" / "a.jpg", settings) == b"picture"
    (batch,) = await listing(Source(kind="directory", uri=str(places / "alias")), settings)
    assert len(batch.entries) == 3


@pytest.mark.parametrize(
    "path",
    [
        *("root/link", "root/folder/secret", "root/../root-other/secret", "root-other/secret", "root-other/missing"),
        *("root-other", "", "root/folder/missing"),
    ],
)
async def test_what_is_not_below_a_root_is_denied_whether_it_is_there_or_not(places: Path, path: str) -> None:
    with pytest.raises(Refused, match="WATSON_SOURCE_ROOTS") as caught:
        await read(f"{places}/{path}", Settings(source_roots=str(places / "root")))
    assert caught.value.code is ReasonCode.ACCESS_DENIED


@pytest.mark.parametrize("kind", ["directory", "list", "open-images"])
@pytest.mark.parametrize("path", ["root-other", "root/folder", "root/link", "root/../root-other/secret"])
async def test_no_source_is_listed_that_is_not_below_a_root(places: Path, kind: str, path: str) -> None:
    with pytest.raises(UserError, match="WATSON_SOURCE_ROOTS"):
        await listing(Source(kind=kind, uri=f"{places}/{path}"), Settings(source_roots=str(places / "root")))


async def test_a_list_below_a_root_reads_nothing_from_outside_it(places: Path) -> None:
    (places / "root" / "list.txt").write_text("../root-other/secret\na.jpg\nfile:///etc/passwd\n")
    settings = Settings(source_roots=str(places / "root"))
    (batch,) = await listing(Source(kind="list", uri=str(places / "root" / "list.txt")), settings)
    secret, picture, passwd = (entry.uri for entry in batch.entries)
    assert await read(picture, settings) == b"picture"
    for uri in (secret, passwd):
        with pytest.raises(Refused, match="WATSON_SOURCE_ROOTS"):
            await read(uri, settings)


class Swap:
    """Lets the look pass and then swaps what was looked at for a link, before it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: str, place: Path, target: Path) -> None:
        self._place, self._target = place, target
        self._open = os.open
        monkeypatch.setattr(f"watson.sources.{module}.os.open", self)

    def __call__(self, path: str, flags: int, **options: Any) -> int:
        if not self._place.is_symlink():
            self._place.rename(self._place.with_name("former"))
            self._place.symlink_to(self._target)
        return self._open(path, flags, **options)


@pytest.mark.parametrize("roots", [None, "root"])
async def test_a_folder_that_is_swapped_for_a_link_between_the_look_and_the_opening_is_no_way_out(
    places: Path, monkeypatch: pytest.MonkeyPatch, roots: str | None
) -> None:
    (places / "root" / "d").mkdir()
    (places / "root" / "d" / "passwd").write_bytes(b"picture")
    target = Path("/etc") if roots is None else places / "root-other"
    (places / "root-other" / "passwd").write_bytes(b"token")
    Swap(monkeypatch, "reader", places / "root" / "d", target)
    settings = Settings(source_roots=roots and str(places / roots))
    with pytest.raises(Refused) as caught:
        await read(places / "root" / "d" / "passwd", settings)
    assert caught.value.code is ReasonCode.ACCESS_DENIED


async def test_a_list_that_is_swapped_for_a_link_between_the_look_and_the_opening_is_not_read(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (places / "root" / "list.txt").write_text("a.jpg\n")
    Swap(monkeypatch, "listfile", places / "root" / "list.txt", places / "root-other" / "secret")
    with pytest.raises(UserError, match="WATSON_SOURCE_ROOTS"):
        await listing(
            Source(kind="list", uri=str(places / "root" / "list.txt")), Settings(source_roots=str(places / "root"))
        )


async def test_a_file_that_is_deleted_while_it_is_open_is_still_read(places: Path) -> None:
    with (places / "root" / "a.jpg").open("rb") as file:
        (places / "root" / "a.jpg").unlink()
        check_opened("a.jpg", file.fileno(), Settings(source_roots=str(places / "root")), str(places / "root"))


@pytest.fixture
def listed(places: Path) -> Path:
    """A source directory with a file in a folder, an inner link to it, and a secret outside."""
    source = places / "source"
    (source / "d").mkdir(parents=True)
    (source / "d" / "a.jpg").write_bytes(b"picture")
    (source / "inner").symlink_to(source / "d" / "a.jpg")
    (places / "root-other" / "a.jpg").write_bytes(b"token")
    (places / "way").symlink_to(source)
    return source


async def entries(source: Path) -> list[Entry]:
    return [
        entry
        for batch in await listing(Source(kind="directory", uri=str(source)), Settings())
        for entry in batch.entries
    ]


async def read_entry(entry: Entry) -> bytes:
    async with Reader(Settings()) as reader:
        return await reader.read(entry.uri, 1000, entry.within)


@pytest.mark.parametrize("by_link", [False, True])
async def test_what_a_directory_lists_is_read_also_by_way_of_links_that_stay_in_it(listed: Path, by_link: bool) -> None:
    found = await entries(listed.parent / "way" if by_link else listed)
    assert [await read_entry(entry) for entry in found] == [b"picture", b"picture"]


@pytest.mark.parametrize("what", ["d/a.jpg", "d"])
async def test_what_is_swapped_for_a_link_out_of_the_directory_after_it_was_listed_is_denied(
    listed: Path, what: str
) -> None:
    found = await entries(listed)
    other = listed.parent / "root-other"
    (listed / what).rename(listed / "former")
    (listed / what).symlink_to(other / "a.jpg" if what.endswith("jpg") else other)
    for entry in found:
        with pytest.raises(Refused, match="out of the source's directory") as caught:
            await read_entry(entry)
        assert caught.value.code is ReasonCode.ACCESS_DENIED


async def test_a_path_in_a_list_may_be_a_link_to_anywhere_that_sources_may_be(listed: Path) -> None:
    (listed / "list.txt").write_text("../root/folder/secret\n")
    (batch,) = await listing(Source(kind="list", uri=str(listed / "list.txt")), Settings())
    (entry,) = batch.entries
    assert await read_entry(entry) == b"token"


async def test_no_root_means_no_file(places: Path) -> None:
    with pytest.raises(Refused, match="WATSON_SOURCE_ROOTS"):
        await read(places / "root" / "a.jpg", Settings(source_roots=""))


def test_a_root_that_is_no_absolute_path_is_a_users_error() -> None:
    with pytest.raises(UserError, match=r"WATSON_SOURCE_ROOTS: .*'photos' is not an absolute path"):
        load_settings(source_roots="/data:photos")


def test_a_network_that_is_none_is_a_users_error() -> None:
    with pytest.raises(UserError, match="WATSON_HTTP_NETWORKS"):
        load_settings(http_networks="10.0.0.0/8, everywhere")
