"""Does the catalogue say what the log says? Every table, by whatever way it is asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import UUID

from watson.audit.findings import Audit
from watson.audit.log import JobLog
from watson.storage.catalogue import Catalogue, JobRow, MaskRow
from watson.storage.every_letter import every_letter

__all__ = ["check_catalogue"]

_PAGE = 500
_POLL_SECONDS = 0.25


async def check_catalogue(result: Audit, log: JobLog, catalogue: Catalogue, patience: float) -> None:
    """Compare all rows of a job with its events.

    Args:
        result: takes the findings; its counts have been made from the log.
        log: what the log says.
        catalogue: open.
        patience: seconds in which counts may still come right: the projection writes them every so often.
    """
    await _check_job(result, log, catalogue, patience)
    await _check_models(result, log, catalogue)
    await _check_images(result, log, catalogue)
    await _check_masks(result, log, catalogue)
    await _check_letters(result, log, catalogue)


async def _check_job(result: Audit, log: JobLog, catalogue: Catalogue, patience: float) -> None:
    row = await _job_row(result, log, catalogue, patience)
    if row is None:
        result.add("job-row-missing", None, "the catalogue has no row of this job")
        return
    said = log.changed
    if said is not None and row.job != said and row.job.time <= said.time:
        result.add(
            "job-row-differs",
            None,
            f"{row.job.state}, {row.job.listed} listed in the catalogue; {said.state}, {said.listed} listed in the log",
        )
    for stage, number in result.counts.items():
        if row.counts.get(stage, 0) != number:
            result.add(
                "count-wrong", None, f"{stage}: {row.counts.get(stage, 0)} in the catalogue, {number} in the log"
            )


async def _job_row(result: Audit, log: JobLog, catalogue: Catalogue, patience: float) -> JobRow | None:
    clock = asyncio.get_running_loop().time
    end = clock() + patience
    while True:
        row = await catalogue.job(result.job)
        right = row is not None and row.counts == result.counts and (log.changed is None or row.job == log.changed)
        if right or clock() >= end:
            return row
        await asyncio.sleep(_POLL_SECONDS)


async def _check_models(result: Audit, log: JobLog, catalogue: Catalogue) -> None:
    rows = {model.key for model in await catalogue.models()}
    for reference in sorted(log.references & log.models.keys() - rows):
        result.add("model-row-missing", None, f"registered, but no row: {reference}")


async def _check_images(result: Audit, log: JobLog, catalogue: Catalogue) -> None:
    rows: set[UUID] = set()
    cursor: str | None = None
    while True:
        page = await catalogue.images(result.job, after=cursor, limit=_PAGE)
        for event in page.items:
            if event.image_key in rows:
                result.add("row-twice", event.image_key, "the image has two rows")
            rows.add(event.image_key)
            said = log.catalogued.get(event.image_key)
            if said is None:
                result.add("row-without-event", event.image_key, "a row, but no event in the log")
            elif said.segmentation_id != event.segmentation_id or said.masks != event.masks:
                result.add("row-differs", event.image_key, "the row says something else than the event")
        cursor = page.cursor
        if cursor is None:
            break
    for image in sorted(set(log.catalogued) - rows):
        result.add("row-missing", image, f"catalogued, but no row: {log.uris.get(image)}")


async def _check_masks(result: Audit, log: JobLog, catalogue: Catalogue) -> None:
    right: Counter[UUID] = Counter()
    differ: set[UUID] = set()
    strange: Counter[UUID] = Counter()
    async for rows in catalogue.mask_rows(result.job):
        for row in rows:
            _place(row, log, right, differ, strange)
    for image in sorted(differ):
        result.add("mask-row-differs", image, "a mask's row says something else than the event")
    for image in sorted(log.catalogued):
        wanted = len(log.catalogued[image].masks)
        if image not in differ and right[image] < wanted:
            result.add("mask-row-missing", image, f"{right[image]} rows of {wanted} masks: {log.uris.get(image)}")
        strange[image] += max(0, right[image] - wanted)
    for image, number in sorted(strange.items()):
        if number:
            result.add("mask-row-without-event", image, f"{number} mask rows that no event speaks of")


def _place(row: MaskRow, log: JobLog, right: Counter[UUID], differ: set[UUID], strange: Counter[UUID]) -> None:
    """Whether a row is one of its image's newest event: as it says, otherwise than it says, or not at all."""
    event = log.catalogued.get(row.image_key)
    said = [mask for mask in event.masks if mask.index == row.mask.index] if event is not None else []
    if not said:
        strange[row.image_key] += 1
    elif row.mask == said[0]:
        right[row.image_key] += 1
    else:
        differ.add(row.image_key)


async def _check_letters(result: Audit, log: JobLog, catalogue: Catalogue) -> None:
    rows = {row.event.id: row async for row in every_letter(catalogue, result.job)}
    indexed: set[UUID] = set()
    for reason in sorted({row.event.reason.value for row in rows.values()}):
        indexed |= {row.event.id async for row in every_letter(catalogue, result.job, reason)}
    for identity, letter in sorted(log.letters.items()):
        if identity not in rows:
            what = f"quarantined in {letter.stage}, but no dead letter in the catalogue: {letter.uri}"
            result.add("letter-missing", letter.image_key, what)
        elif identity not in indexed:
            what = f"the dead letter is not found by its reason {rows[identity].event.reason}: {letter.uri}"
            result.add("letter-missing", letter.image_key, what)
    open_images = {row.event.image_key for row in rows.values() if row.event.image_key and not row.resolved}
    closed_images = {row.event.image_key for row in rows.values() if row.event.image_key and row.resolved}
    for image in sorted(open_images - log.quarantined):
        result.add("letter-without-event", image, "an open dead letter, but the log does not quarantine the image")
    for image in sorted((closed_images - open_images) & log.quarantined):
        result.add("letter-missing", image, "quarantined, but its dead letter is marked as resolved")
