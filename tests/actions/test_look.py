from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from watson.actions.look import look, reachable_source
from watson.actions.manifest import Unacceptable
from watson.events import Source
from watson.settings import Settings
from watson.sources.directory import DirectoryLister


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for n in range(12):
        (folder / f"{n:02}.jpg").touch()
    return folder


@pytest.mark.parametrize(
    ("most", "images", "stopped"), [(11, 11, "number"), (12, 12, ""), (13, 12, ""), (1, 1, "number")]
)
async def test_no_more_pictures_are_counted_than_asked_for(
    photographs: Path, most: int, images: int, stopped: str
) -> None:
    source = await reachable_source(Settings(), str(photographs), None, None)
    looked = await look(Settings(), source, most=most, seconds=30)
    assert (looked.images, looked.stopped, looked.unreadable) == (images, stopped, 0)
    assert looked.first == tuple(f"file://{photographs}/{n:02}.jpg" for n in range(min(5, most + 1)))


async def test_what_takes_too_long_is_counted_as_far_as_it_came(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watson.actions.look._PAGE", 5)
    batches = DirectoryLister.batches

    async def slow(self: DirectoryLister, cursor: str | None, page_size: int):
        count = 0
        async for batch in batches(self, cursor, page_size):
            count += 1
            if count == 2:
                await asyncio.Event().wait()
            yield batch

    monkeypatch.setattr(DirectoryLister, "batches", slow)
    source = Source(kind="directory", uri=str(photographs))
    looked = await look(Settings(), source, most=100, seconds=0.5)
    assert (looked.images, looked.stopped) == (5, "time")


async def test_the_wait_for_ones_turn_does_not_count(photographs: Path) -> None:
    turn = asyncio.Semaphore(1)
    await turn.acquire()
    source = Source(kind="directory", uri=str(photographs))
    looking = asyncio.ensure_future(look(Settings(), source, most=100, seconds=5, turn=turn))
    done, _ = await asyncio.wait({looking}, timeout=0.1)
    assert not done
    turn.release()
    assert (await looking).images == 12


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ({"kind": "directory", "uri": "/nowhere/at/all"}, "source"),
        ({"kind": "directory", "uri": "/proc/self"}, "source"),
        ({"kind": "list", "uri": "/nowhere.txt"}, "source"),
        ({"kind": "s3", "uri": "/photographs"}, "source"),
        ({"kind": "open-images", "uri": "s3://b/x.csv", "template": "{name}"}, "template"),
    ],
)
async def test_a_source_that_the_workers_could_not_open_is_refused(source: dict[str, str], field: str) -> None:
    with pytest.raises(Unacceptable) as refused:
        await look(Settings(), Source(**source), most=9, seconds=9)
    assert refused.value.problems.keys() == {field}


@pytest.mark.parametrize("text", ["photographs", "./x", "~", "", " ", "x" * 300, "/" + "x" * 300, "/\0", "/a/\ud800"])
async def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(Unacceptable):
        await reachable_source(Settings(), text, None, None)
