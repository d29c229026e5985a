"""A catalogue and an object store, and datasets in them, made from little."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.storage.events import NOON, at, catalogued, changed
from watson.events import ImageCatalogued
from watson.snapshots import Snapshot, SnapshotImage, read, take
from watson.storage.catalogue import StageCount
from watson.storage.directory import DirectoryObjectStore
from watson.storage.sqlite import SqliteCatalogue


@dataclass
class Place:
    """Where jobs and snapshots are."""

    catalogue: SqliteCatalogue
    objects: DirectoryObjectStore
    root: Path
    jobs: int = 0

    async def job(self, job: str, images: Iterable[ImageCatalogued], *, count: int | None = None, **changes) -> None:
        """A job that is done, with its images; each job is newer than those before it."""
        self.jobs += 1
        submitted = at(self.jobs)
        event = changed(job, time=submitted, **{"state": "complete", "submitted_at": submitted, **changes})
        await self.catalogue.put_job(event)
        await self.catalogue.put_submitted(job, submitted)
        images = list(images)
        for image in images:
            await self.catalogue.put_image(image)
        number = len(images) if count is None else count
        for stage in ("discovered", "catalogued"):
            await self.catalogue.put_count(StageCount(job=job, stage=stage, partition=0, count=number, time=NOON))

    async def take(self, dataset: str = "animals", **options) -> Snapshot:
        return (await take(self.catalogue, self.objects, dataset, **options)).snapshot

    async def read(self, snapshot: str | Snapshot) -> list[SnapshotImage]:
        return [image async for image in read(self.objects, snapshot)]

    def objects_there(self) -> dict[str, bytes]:
        files = (path for path in (self.root / "objects").rglob("*") if path.is_file())
        return {path.relative_to(self.root / "objects").as_posix(): path.read_bytes() for path in files}


async def place_at(root: Path) -> Place:
    catalogue = SqliteCatalogue(root / "catalogue.db")
    await catalogue.migrate()
    await catalogue.open()
    objects = DirectoryObjectStore(root / "objects")
    await objects.open()
    return Place(catalogue, objects, root)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = await place_at(tmp_path)
    yield made
    await made.catalogue.close()


@pytest.fixture
async def other_place(tmp_path: Path) -> AsyncIterator[Place]:
    """Another machine."""
    (tmp_path / "other").mkdir()
    made = await place_at(tmp_path / "other")
    yield made
    await made.catalogue.close()


def images(job: str, *names: str, **options) -> list[ImageCatalogued]:
    return [catalogued(job, name, **options) for name in names]
