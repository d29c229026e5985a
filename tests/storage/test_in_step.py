from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.storage.events import catalogued
from watson.errors import WatsonError
from watson.events import ImageCatalogued
from watson.storage import in_step
from watson.storage.catalogue import Page
from watson.storage.in_step import images_in_step, images_of
from watson.storage.sqlite import SqliteCatalogue


@pytest.fixture
async def rows(tmp_path: Path) -> AsyncIterator[SqliteCatalogue]:
    catalogue = SqliteCatalogue(tmp_path / "catalogue.db")
    await catalogue.migrate()
    await catalogue.open()
    yield catalogue
    await catalogue.close()


class Memory:
    """A catalogue of images alone, in pages of two."""

    def __init__(self, jobs: dict[str, list[ImageCatalogued]]) -> None:
        self.jobs = jobs

    async def images(self, job: str, *, after: str | None = None, limit: int = 100) -> Page[ImageCatalogued]:
        start = int(after or 0)
        items = self.jobs[job][start : start + 2]
        more = start + 2 < len(self.jobs[job])
        return Page(items=tuple(items), cursor=str(start + 2) if more else None)


def by_key(job: str, names: set[str]) -> list[ImageCatalogued]:
    return sorted((catalogued(job, name) for name in names), key=lambda event: event.image_key.bytes)


NAMES = st.sets(st.sampled_from("abcdefghij"))


@given(st.lists(NAMES, min_size=1, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_each_picture_comes_once_with_what_each_job_says_of_it(jobs: list[set[str]]) -> None:
    names = [f"job-{number}" for number in range(len(jobs))]
    memory = Memory({job: by_key(job, pictures) for job, pictures in zip(names, jobs, strict=True)})
    found = [row async for row in images_in_step([(memory, name) for name in names])]
    uris = [next(event for event in row if event).original.uri.removeprefix("file:///") for row in found]
    assert sorted(uris) == sorted(set().union(*jobs))
    for uri, row in zip(uris, found, strict=True):
        assert [event is not None for event in row] == [uri in pictures for pictures in jobs]
        assert {event.original.uri for event in row if event} == {f"file:///{uri}"}


async def test_all_pages_of_a_job_are_read(rows: SqliteCatalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_step, "_PAGE", 3)
    for event in by_key("job", set("abcdefghij")):
        await rows.put_image(event)
    found = [event async for event in images_of(rows, "job")]
    assert found == by_key("job", set("abcdefghij"))


async def test_a_catalogue_out_of_order_is_refused_rather_than_half_read() -> None:
    memory = Memory({"job": by_key("job", set("abcd"))[::-1]})
    with pytest.raises(WatsonError, match="out of order"):
        [event async for event in images_of(memory, "job")]


async def test_no_jobs_have_no_pictures() -> None:
    assert [row async for row in images_in_step([])] == []
