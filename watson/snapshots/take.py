"""Takes a snapshot: a dataset's rows become lines, hashed and packed on disk, then uploaded; the record last."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from watson import __version__
from watson.errors import ServiceUnavailable, UserError
from watson.events import ImageCatalogued, now
from watson.snapshots.content import SnapshotHeader, SnapshotImage
from watson.snapshots.parts import PART_IMAGES, PartFile, PartWriter
from watson.snapshots.record import JobTaken, ModelTaken, Part, Snapshot, part_key, record_key
from watson.snapshots.store import load_record
from watson.storage.catalogue import Catalogue, JobRow
from watson.storage.in_step import images_in_step
from watson.storage.objects import ObjectStore

__all__ = ["Taken", "take"]

_LINES_AT_ONCE = 500
_NAMED = 10
_ENDED_EARLY = ("failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Taken:
    """A snapshot, and whether it is new: the same content is the same snapshot, and the first record of it stays."""

    snapshot: Snapshot
    new: bool


async def take(
    catalogue: Catalogue,
    objects: ObjectStore,
    dataset: str,
    *,
    jobs: Sequence[str] = (),
    partial: bool = False,
    on_progress: Callable[[int], None] = lambda _images: None,
    part_images: int = PART_IMAGES,
) -> Taken:
    """Take a snapshot of a dataset, by reference: pictures and masks stay where they are; their hashes are kept.

    Where several jobs have one picture, the masks of the newest job are taken (by submission). Memory does not grow
    with the number of images; the content is on a temporary disk until it is uploaded.

    Args:
        catalogue: open.
        objects: open; gets the parts and the record.
        dataset: its name.
        jobs: of the dataset's, those wanted; all that have images where none is named.
        partial: also take jobs that are not done, as far as they are.
        on_progress: told the number of images so far.
        part_images: images in a part.

    Raises:
        UserError: there is no such dataset or job in it, it has no image, or a job is not done.
        ServiceUnavailable: the catalogue has not all rows that its counts speak of yet.
        Retriable: the catalogue or the store is unavailable.
    """
    rows = _chosen(await catalogue.jobs(), dataset, jobs, partial=partial)
    with tempfile.TemporaryDirectory(prefix="watson-snapshot-") as folder:
        with PartWriter(Path(folder), SnapshotHeader(dataset=dataset).line(), part_images) as writer:
            tally = await _write(catalogue, writer, rows, on_progress)
            snapshot, parts = await asyncio.to_thread(writer.finish)
        if not tally.images:
            raise UserError(f"dataset {dataset} has no image yet: there is nothing to take a snapshot of")
        if not partial:
            await _check_whole(catalogue, rows, tally)
        if (known := await load_record(objects, snapshot)) is not None:
            return Taken(known, new=False)
        record = _record(snapshot, dataset, rows, tally, parts, partial=partial)
        await _upload(objects, record, parts)
    return Taken(record, new=True)


@dataclass(slots=True)
class _Tally:
    taken: Counter[str] = field(default_factory=Counter)
    superseded: Counter[str] = field(default_factory=Counter)
    models: Counter[tuple[str, str]] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)

    @property
    def images(self) -> int:
        return self.taken.total()

    def count(self, events: Sequence[ImageCatalogued]) -> None:
        """One picture, as its jobs have it, newest job first."""
        first, *older = events
        self.taken[first.job] += 1
        self.superseded.update(event.job for event in older)
        self.models[first.model, first.weights_sha256] += 1
        self.categories.update(mask.category for mask in first.masks)


def _chosen(rows: Sequence[JobRow], dataset: str, wanted: Sequence[str], *, partial: bool) -> list[JobRow]:
    """The jobs to take, newest first."""
    there = [row for row in rows if row.job.dataset == dataset]
    if not there:
        known = sorted({row.job.dataset for row in rows})
        named = ", ".join(known[:_NAMED]) + (", …" if len(known) > _NAMED else "")
        raise UserError(f"there is no dataset {dataset!r} in the catalogue; known: {named or 'none yet'}")
    if missing := sorted(set(wanted) - {row.job.job for row in there}):
        raise UserError(
            f"dataset {dataset} has no job {missing[0]!r}; its jobs: {', '.join(row.job.job for row in there[:_NAMED])}"
        )
    chosen = [row for row in there if row.job.job in wanted] if wanted else [row for row in there if not _barren(row)]
    unfinished = [row for row in chosen if row.job.state != "complete" or row.in_flight]
    if unfinished and not partial:
        row = unfinished[0]
        flying = f" with {row.in_flight} images in flight" if row.in_flight else ""
        raise UserError(
            f"job {row.job.job} of dataset {dataset} is {row.job.state}{flying}: wait for its end (watson status "
            f"{row.job.job}), name the jobs to take (--job), or take it as far as it is (--partial)"
        )
    return chosen


def _barren(row: JobRow) -> bool:
    """Whether a job ended without a single image, so that it is no part of its dataset."""
    return row.job.state in _ENDED_EARLY and not row.in_flight and not row.counts.get("catalogued", 0)


async def _write(
    catalogue: Catalogue, writer: PartWriter, rows: Sequence[JobRow], on_progress: Callable[[int], None]
) -> _Tally:
    tally = _Tally()
    lines: list[bytes] = []
    async with aclosing(images_in_step([(catalogue, row.job.job) for row in rows])) as pictures:
        async for found in pictures:
            events = [event for event in found if event is not None]
            tally.count(events)
            lines.append(SnapshotImage.of(events[0]).line())
            if len(lines) == _LINES_AT_ONCE:
                await asyncio.to_thread(writer.add, lines)
                lines = []
                on_progress(tally.images)
    await asyncio.to_thread(writer.add, lines)
    on_progress(tally.images)
    return tally


async def _check_whole(catalogue: Catalogue, rows: Sequence[JobRow], tally: _Tally) -> None:
    """Each job must have given as many rows as its count says: both come from the log, by different topics."""
    for before in rows:
        job = before.job.job
        row = await catalogue.job(job) or before
        found, counted = tally.taken[job] + tally.superseded[job], row.counts.get("catalogued", 0)
        if found < counted:
            raise ServiceUnavailable(
                f"the catalogue has {found} of the {counted} images of job {job}: is the project worker behind? Try "
                f"again in a moment; watson audit {job} tells what is missing, --partial takes what is there"
            )


def _record(
    snapshot: str, dataset: str, rows: Sequence[JobRow], tally: _Tally, parts: Sequence[PartFile], *, partial: bool
) -> Snapshot:
    return Snapshot(
        id=snapshot,
        dataset=dataset,
        created_at=now(),
        code_version=__version__,
        partial=partial and any(row.job.state != "complete" or row.in_flight for row in rows),
        jobs=tuple(
            JobTaken(
                job=row.job.job,
                state=row.job.state,
                source=row.job.source,
                model=row.job.model,
                options=row.job.options,
                images=tally.taken[row.job.job],
                superseded=tally.superseded[row.job.job],
                quarantined=row.counts.get("quarantined", 0),
            )
            for row in rows
        ),
        models=tuple(
            ModelTaken(model=model, weights_sha256=weights, images=images)
            for (model, weights), images in sorted(tally.models.items())
        ),
        images=tally.images,
        masks=tally.categories.total(),
        categories=dict(sorted(tally.categories.items())),
        size=sum(part.size for part in parts),
        parts=tuple(
            Part(object=part_key(snapshot, number), sha256=part.sha256, images=part.images, size=part.size)
            for number, part in enumerate(parts)
        ),
    )


async def _upload(objects: ObjectStore, record: Snapshot, parts: Sequence[PartFile]) -> None:
    for part, file in zip(record.parts, parts, strict=True):
        await objects.put(part.object, await asyncio.to_thread(file.path.read_bytes), "application/gzip")
    text = record.model_dump_json(indent=2) + "\n"
    await objects.put(record_key(record.id), text.encode(), "application/json")
