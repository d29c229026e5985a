"""Lists made to do harm: bounded memory, turns for others, and an entry of its own for whatever is wrong."""

from __future__ import annotations

import asyncio
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.sources.conftest import listing, uris
from watson.errors import Refused, UserError
from watson.events import ImageDiscovered, Original, Source, image_key
from watson.settings import Settings
from watson.sources.formats import CsvRows
from watson.sources.listfile import lines
from watson.sources.uris import parse_uri


@dataclass
class InMemory:
    """A list that is there at once, so that nothing but the code itself gives others a turn."""

    data: bytes
    name: str = "file:///list"

    async def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]


async def turns_during(work: asyncio.Future) -> int:
    turns = 0
    while not work.done():
        turns += 1
        await asyncio.sleep(0)
    await work
    return turns


async def test_a_million_lines_without_an_entry_leave_others_their_turns() -> None:
    async def read_all() -> None:
        async for _ in lines(InMemory(b"\n" * 100_000)):
            pass

    assert await turns_during(asyncio.ensure_future(read_all())) >= 150


async def test_quotes_that_never_close_leave_others_their_turns() -> None:
    """Each is looked for in the hundred lines behind it, which are then read again."""
    rows = CsvRows(("uri",), lambda row: row["uri"])
    rows._places = {"uri": 0}

    async def read_all() -> None:
        async for _ in rows.entries(lines(InMemory(b'"\n' + (b'x,"\n' + b"x\n" * 120) * 50))):
            pass

    assert await turns_during(asyncio.ensure_future(read_all())) >= 20


async def test_one_line_of_a_hundred_megabytes_is_one_entry_and_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    with path.open("wb") as file:
        file.write(b"x" * 5000)
        file.truncate(100_000_000)
        file.seek(0, 2)
        file.write(b"\ns3://b/k\n")
    tracemalloc.start()
    found = await uris(Source(kind="list", uri=str(path)), Settings())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found[1:] == ["s3://b/k"]
    with pytest.raises(Refused, match="line of more than 65536 bytes"):
        parse_uri(found[0])
    assert peak < 16_000_000


HOSTILE = {
    "x.jsonl": [
        b"[" * 60_000,
        b'{"uri":' * 5000 + b"1" + b"}" * 5000,
        b'{"uri": 1e400}',
        b'{"uri": NaN}',
        b'{"uri": "\\ud800"}',
        b'{"uri": "' + b"x" * 1_000_000 + b'"}',
        b'{"uri": ["s3://b/k"]}',
        b'{"uri": "a\\u0000b"}',
        b'{"uri": "s3://b/\xff"}',
        b'"s3://b/k"',
        b"\0" * 100,
        b'{"uri": "http://\\u0000/"}',
    ],
    "x.csv": [b'"x', b"\0", b'"\0"', b",,,,", b"\xff\xfe", b'"' + b"x" * 200_000 + b'"', b'a,"b', b"'; --"],
    "x.txt": [b"\0", b"\xff", b"file:///a\0b", b"s3://b/%FF", b"s3://", b"file://", b"http://", b"://", b"%", b"?"],
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_each_hostile_line_is_an_entry_that_an_event_can_carry_and_the_next_line_is_read(
    tmp_path: Path, name: str
) -> None:
    good = {"x.jsonl": b'{"uri": "s3://b/good%d"}', "x.csv": b"s3://b/good%d", "x.txt": b"s3://b/good%d"}[name]
    head = b"uri\n" if name == "x.csv" else b""
    body = b"\n".join(line for n, bad in enumerate(HOSTILE[name]) for line in (bad, good % n))
    ordinary = b"".join(good % 99 + b"\n" for _ in range(500))  # the beginning must be text for it to be a list at all
    (tmp_path / name).write_bytes(head + ordinary + body + b"\n")
    found = await uris(Source(kind="list", uri=str(tmp_path / name)), Settings())
    for n in (99, *range(len(HOSTILE[name]))):
        assert f"s3://b/good{n}" in found
    assert len(found) >= 499 + 2 * len(HOSTILE[name]) - 1  # of a CSV row, blank cells say nothing
    for uri in found:
        event = ImageDiscovered(
            job="j", image_key=image_key(uri), dataset="d", original=Original(uri=uri), index=0, model="m"
        )
        assert len(event.model_dump_json()) < 60_000
        assert len(_said_of(uri)) < 2000


def _said_of(uri: str) -> str:
    try:
        parse_uri(uri)
    except Refused as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize(
    "head",
    [b"\0" * 5000, b"\x1f\x8b" + b"x" * 5000, b"uri\0\n", b'"uri\nx\n' * 200, b"x" * 1_000_000, b"\xff" * 70_000],
)
async def test_a_csv_list_with_a_hostile_head_fails_with_one_short_message(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(head)
    with pytest.raises(UserError) as caught:
        await listing(Source(kind="list", uri=str(tmp_path / "x.csv")), Settings())
    assert "x.csv" in str(caught.value)
    assert len(str(caught.value)) < 1000


async def test_a_template_cannot_be_made_to_look_into_objects(tmp_path: Path) -> None:
    (tmp_path / "ids.csv").write_text("ImageID,Subset\na,train\n")
    for template in ("{id.__class__}", "{id[0]}", "{id!r}", "{id:>999999999}", "{0}", "{id}{__class__}", "{id"):
        with pytest.raises(UserError, match="template"):
            await listing(Source(kind="open-images", uri=str(tmp_path / "ids.csv"), template=template), Settings())
