"""One partition's storage: the same behaviour in memory and on disk; what is corrupt is moved aside."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.process import wait_until
from watson.agents.transport.parts import _WRITE_BUFFERS, MemoryPart, Part, RocksPart, StoreDamaged
from watson.errors import UserError

Open = Callable[[], Part]


@pytest.fixture(params=["memory", "rocksdb"])
def part(request: pytest.FixtureRequest, tmp_path: Path) -> Part:
    return MemoryPart() if request.param == "memory" else RocksPart(tmp_path / "marks-0.db")


def test_a_new_part_is_empty_and_at_the_beginning_of_the_changelog(part: Part) -> None:
    assert (part.offset, part.get(b"k"), list(part.items(b""))) == (-1, None, [])


def test_a_value_is_found_again_and_none_deletes_it(part: Part) -> None:
    part.write([(b"k", b"v"), (b"gone", b"x"), (b"gone", None), (b"never", None)], 3)
    assert (part.get(b"k"), part.get(b"gone"), part.offset) == (b"v", None, 3)
    part.write([(b"k", None)], 4)
    assert part.get(b"k") is None


def test_items_are_those_with_the_prefix_in_order_of_the_key(part: Part) -> None:
    part.write([(b"b2", b"2"), (b"a", b"0"), (b"b1", b"1"), (b"c", b"3")], 0)
    assert list(part.items(b"b")) == [(b"b1", b"1"), (b"b2", b"2")]
    assert [key for key, _ in part.items(b"")] == [b"a", b"b1", b"b2", b"c"]


def test_a_part_may_be_written_while_it_is_read(part: Part) -> None:
    part.write([(b"%d" % number, b"v") for number in range(9)], 8)
    for key, _ in part.items(b""):
        part.write([(key, None), (b"x" + key, b"new")], 9)
    assert not [key for key, _ in part.items(b"") if not key.startswith(b"x")]


def test_destroy_forgets_everything(part: Part) -> None:
    part.write([(b"k", b"v")], 7)
    part.destroy()
    assert (part.offset, part.get(b"k")) == (-1, None)
    part.write([(b"k", b"w")], 0)
    assert part.get(b"k") == b"w"


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=3), st.none() | st.binary(max_size=3)), max_size=30))
def test_memory_agrees_with_a_dictionary(changes: list[tuple[bytes, bytes | None]]) -> None:
    part, expected = MemoryPart(), dict[bytes, bytes]()
    for offset, (key, value) in enumerate(changes):
        part.write([(key, value)], offset)
        if value is None:
            expected.pop(key, None)
        else:
            expected[key] = value
    assert list(part.items(b"")) == sorted(expected.items())


def test_what_is_on_disk_is_there_after_closing(tmp_path: Path) -> None:
    part = RocksPart(tmp_path / "marks-0.db")
    part.write([(b"k", b"v")], 5)
    part.close()
    again = RocksPart(tmp_path / "marks-0.db")
    assert (again.get(b"k"), again.offset) == (b"v", 5)


def test_a_directory_in_use_is_named(tmp_path: Path) -> None:
    part = RocksPart(tmp_path / "marks-0.db")
    with pytest.raises(UserError, match=r"marks-0\.db is in use .* WATSON_STATE_DIR"):
        RocksPart(tmp_path / "marks-0.db")
    part.close()


def test_a_corrupt_database_is_moved_aside_and_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "marks-0.db"
    part = RocksPart(path)
    part.write([(b"k", b"v")], 5)
    part.close()
    (path / "CURRENT").write_bytes(b"nonsense\n")
    again = RocksPart(path)
    assert (again.offset, again.get(b"k")) == (-1, None)
    assert len(list(tmp_path.glob("marks-0.db.aside-*"))) == 1


def test_a_file_in_place_of_the_directory_is_moved_aside(tmp_path: Path) -> None:
    (tmp_path / "marks-0.db").write_text("no database")
    assert RocksPart(tmp_path / "marks-0.db").offset == -1


def test_corruption_that_shows_only_on_reading_is_healed_by_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "marks-0.db"
    part = RocksPart(path)
    for number in range(200):
        part.write([(b"%05d" % number, os.urandom(400))], number)
    part._database.flush()
    part.close()
    for table in path.glob("*.sst"):
        data = bytearray(table.read_bytes())
        data[200:4000] = b"\xff" * 3800  # the blocks of data; index and footer stay
        table.write_bytes(data)
    part = RocksPart(path)
    with pytest.raises(StoreDamaged, match="restart the worker"):
        list(part.items(b""))
    part.close()
    assert RocksPart(path).offset == -1
    assert not (tmp_path / "marks-0.db.damaged").exists()


def test_many_partitions_share_one_budget_of_write_buffers(tmp_path: Path) -> None:
    many = [RocksPart(tmp_path / f"{number}.db") for number in range(16)]
    value = b"x" * 6000
    for offset in range(1000):  # 96 MB, 6 MB of each: none fills a buffer of its own
        for part in many:
            part.write([(b"%d" % offset, value)], offset)

    def held() -> int:
        return sum(int(part._database.property_value("rocksdb.cur-size-all-mem-tables")) for part in many)

    try:
        assert wait_until(lambda: held() < 1.2 * _WRITE_BUFFERS, seconds=10), held()  # written out in the background
    finally:
        for part in many:
            part.close()
