"""A job's dataset on disk: COCO, mask PNGs, pictures, what was quarantined, and a gallery."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from watson.errors import UserError
from watson.events import ImageCatalogued
from watson.export.coco import CocoWriter
from watson.export.gallery import GalleryPage, render_gallery, render_readme
from watson.export.names import StemRegistry
from watson.export.pictures import Damage, Fetched, Rendered, fetch, render
from watson.export.quarantine import Quarantine, write_quarantine
from watson.export.staging import FORMAT, MARKER, Staging, check_target
from watson.storage.catalogue import Catalogue, JobRow
from watson.storage.objects import ObjectStore

__all__ = ["DatasetDamaged", "ExportSummary", "OnProgress", "export_dataset"]

OnProgress = Callable[[int, int], None]
"""Called with the pictures done and the pictures there are."""

GALLERY_PICTURES = 5000
"""At most so many pictures in the gallery; COCO and the masks always hold all."""

_PAGE = 24  # pictures fetched and rendered at once: bounds memory at some ten megabytes
_DAMAGE_SHOWN = 10


class DatasetDamaged(UserError):  # noqa: N818 - says what happened, as Refused does
    """Objects that the catalogue speaks of are missing or altered; no dataset was written.

    Attributes:
        damage: each object, and what is wrong with it.
    """

    def __init__(self, job: str, damage: list[Damage]) -> None:
        self.damage = tuple(damage)
        shown = "\n  ".join(map(str, damage[:_DAMAGE_SHOWN]))
        more = f"\n  and {len(damage) - _DAMAGE_SHOWN} more" if len(damage) > _DAMAGE_SHOWN else ""
        super().__init__(
            f"{len(damage)} objects of job {job} are missing or altered, so nothing was exported:\n  {shown}{more}\n"
            f"Restore them from a backup of the object store; `watson audit {job}` checks all."
        )


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What was written.

    Attributes:
        categories: name → number of masks.
        reasons: reason code → number of quarantined pictures.
        quarantined_files: reason code → names of the first few.
        gallery: the page to open.
    """

    out: Path
    pictures: int
    masks: int
    quarantined: int
    categories: Mapping[str, int]
    reasons: Mapping[str, int]
    quarantined_files: Mapping[str, list[str]]
    gallery: Path


async def export_dataset(
    catalogue: Catalogue,
    objects: ObjectStore,
    job: str,
    out: Path,
    *,
    on_progress: OnProgress | None = None,
) -> ExportSummary:
    """Write the dataset of a job to ``out``, replacing an earlier one as a whole.

    The same catalogue gives the same bytes. Memory does not grow with the number of pictures.

    Args:
        catalogue: open.
        objects: open; has the normalised pictures and the masks.
        job: its id.
        out: a new or empty directory, or one with a dataset of Watson's. Files of others in it stay.
        on_progress: told after every few pictures.

    Raises:
        UserError: there is no such job, or ``out`` holds something else.
        DatasetDamaged: objects are missing, or their sha256 is not the catalogue's. All are listed.
        Retriable: the catalogue or the store is unavailable.
    """
    row = await catalogue.job(job)
    if row is None:
        raise UserError(f"There is no job {job} in the catalogue; `watson jobs list` shows those there are")
    await asyncio.to_thread(check_target, out)
    with ExitStack() as stack:
        staging = await asyncio.to_thread(stack.enter_context, Staging.begin(out))
        export = _Export(row, staging, objects, stack)
        try:
            return await export.write(catalogue, on_progress or (lambda _done, _all: None))
        finally:
            await asyncio.to_thread(stack.close)


class _Export:
    def __init__(self, row: JobRow, staging: Staging, objects: ObjectStore, stack: ExitStack) -> None:
        self._row = row
        self._staging = staging
        self._objects = objects
        self._names = stack.enter_context(StemRegistry())
        self._coco = stack.enter_context(CocoWriter(staging.path("annotations/instances.json"), _info(row)))
        self._entries: list[Mapping[str, Any]] = []
        self._categories: Counter[str] = Counter()
        self._damage: list[Damage] = []

    async def write(self, catalogue: Catalogue, on_progress: OnProgress) -> ExportSummary:
        job = self._row.job.job
        total = self._row.counts.get("catalogued", 0)
        done = 0
        async for events in _pages(catalogue, job):
            await self._write_page(events)
            done += len(events)
            on_progress(done, max(total, done))
        if self._damage:
            raise DatasetDamaged(job, self._damage)
        quarantine = await write_quarantine(
            catalogue, job, self._staging.path("quarantine.json"), gallery_limit=GALLERY_PICTURES
        )
        return await asyncio.to_thread(self._finish, quarantine)

    async def _write_page(self, events: tuple[ImageCatalogued, ...]) -> None:
        fetched = await asyncio.gather(*(fetch(self._objects, event) for event in events))
        rendered = await asyncio.gather(*(self._render(one) for one in fetched))
        await asyncio.to_thread(self._write, events, rendered)

    async def _render(self, fetched: Fetched | Damage) -> Rendered | Damage:
        # Runs in the order of the page up to its first await, so names are given in that order.
        if isinstance(fetched, Damage):
            return fetched
        event = fetched.event
        stem = self._names.take(event.original.uri, event.image_key)
        return await asyncio.to_thread(render, fetched, stem, in_gallery=len(self._entries) < GALLERY_PICTURES)

    def _write(self, events: tuple[ImageCatalogued, ...], rendered: list[Rendered | Damage]) -> None:
        for event, one in zip(events, rendered, strict=True):
            if isinstance(one, Damage):
                self._damage.append(one)
                continue
            for path, data in one.files.items():
                self._staging.write(path, data)
            self._coco.add(event, one.name, one.rles)
            self._categories.update(mask.category for mask in event.masks)
            if one.entry:
                self._entries.append(one.entry)

    def _finish(self, quarantine: Quarantine) -> ExportSummary:
        self._coco.finish()
        page = GalleryPage(
            job=self._row.job,
            pictures=self._coco.pictures,
            masks=self._coco.masks,
            categories=self._categories,
            entries=self._entries,
            quarantine=quarantine,
        )
        staging = self._staging
        staging.note("annotations/instances.json")
        staging.note("quarantine.json")
        staging.write("README.md", render_readme(page).encode())
        staging.write("index.html", render_gallery(page).encode())
        staging.path(MARKER).write_bytes(orjson.dumps(self._marker(quarantine), option=orjson.OPT_INDENT_2) + b"\n")
        staging.publish()
        return ExportSummary(
            out=staging.out,
            pictures=self._coco.pictures,
            masks=self._coco.masks,
            quarantined=quarantine.pictures,
            categories=dict(self._categories.most_common()),
            reasons=dict(quarantine.reasons.most_common()),
            quarantined_files=quarantine.files,
            gallery=staging.out / "index.html",
        )

    def _marker(self, quarantine: Quarantine) -> dict[str, Any]:
        job = self._row.job
        return {
            "format": FORMAT,
            "version": 1,
            "job": job.job,
            "dataset": job.dataset,
            "state": job.state,
            "source": job.source.model_dump(),
            "model": job.model,
            "options": job.options.model_dump(),
            "pictures": self._coco.pictures,
            "masks": self._coco.masks,
            "quarantined": quarantine.pictures,
        }


async def _pages(catalogue: Catalogue, job: str) -> AsyncIterator[tuple[ImageCatalogued, ...]]:
    cursor: str | None = None
    while True:
        page = await catalogue.images(job, after=cursor, limit=_PAGE)
        if page.items:
            yield page.items
        if (cursor := page.cursor) is None:
            return


def _info(row: JobRow) -> dict[str, Any]:
    job = row.job
    return {
        "description": f"{job.dataset}: instance masks by {job.model}",
        "version": "1",
        "contributor": "Watson",
        "date_created": row.submitted_at.date().isoformat(),
        "job": job.job,
        "source": job.source.uri,
        "model": job.model,
    }
