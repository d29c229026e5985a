"""What pages and API ask of the catalogue, and what they take from a request."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from uuid import UUID

from aiohttp import web

from watson.errors import ReasonCode
from watson.events import ImageCatalogued, ModelEvaluated, ModelRegistered
from watson.storage.catalogue import Catalogue, DeadLetterRow, Found, JobRow, Page
from watson.storage.wanted import Order, Wanted
from watson.web.fresh import Fresh

__all__ = ["MOST_ITEMS", "Queries", "Reasons", "after_of", "image_key_of", "limit_of", "uuid_of"]

MOST_ITEMS = 500
"""Most items that one answer holds."""

_JOBS_SECONDS = 1.0
_SUMMARY_SECONDS = 15.0
_LETTERS_COUNTED = 5000
_LETTERS_PAGE = 500
_MOST_CURSOR = 4096
_UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reasons:
    """Unresolved dead letters by reason code, most first; ``complete`` is false where there are more than counted."""

    counts: dict[str, int]
    complete: bool


class Queries:
    """Asks the catalogue; says 404 for what is not there and 400 for what is no name at all."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._jobs: Fresh[None, list[JobRow]] = Fresh(lambda _: catalogue.jobs(), _JOBS_SECONDS, size=1)
        self._categories: Fresh[str, dict[str, int]] = Fresh(catalogue.categories, _SUMMARY_SECONDS)
        self._reasons: Fresh[str, Reasons] = Fresh(self._count_reasons, _SUMMARY_SECONDS)

    async def all_jobs(self) -> list[JobRow]:
        """All jobs, newest first; what is shared by all who ask within a second."""
        return await self._jobs.get(None)

    async def jobs(self, after: str | None, limit: int) -> Page[JobRow]:
        """Jobs, newest first; the cursor is the last job's id."""
        rows = await self.all_jobs()
        start = 0
        if after is not None:
            places = [place for place, row in enumerate(rows) if row.job.job == after]
            if not places:
                raise web.HTTPBadRequest(text=f"after={after!r} is not a cursor that this list gave.")
            start = places[0] + 1
        items = tuple(rows[start : start + limit])
        return Page(items=items, cursor=items[-1].job.job if start + limit < len(rows) else None)

    async def job(self, name: str) -> JobRow:
        """One job; 404 where there is none."""
        row = await self._catalogue.job(name)
        if row is None:
            letters = (await self._catalogue.dead_letters(name, limit=1)).items
            more = f" But there is a dead letter of it: /jobs/{name}/dead-letters" if letters else ""
            raise web.HTTPNotFound(text=f"There is no job named {name!r}.{more}")
        return row

    async def is_job(self, name: str) -> bool:
        """Whether there is a job of this name; asks anew each time."""
        return await self._catalogue.job(name) is not None

    async def job_of_letters(self, name: str) -> str:
        """A job that there is, or of which at least a dead letter tells: a manifest that was refused; else 404."""
        if await self._catalogue.job(name) is None and not (await self._catalogue.dead_letters(name, limit=1)).items:
            raise web.HTTPNotFound(text=f"There is no job named {name!r}.")
        return name

    async def image(self, job: str, key: str) -> ImageCatalogued:
        """One catalogued image; 400 where ``key`` is no UUID, 404 where the job has no such image."""
        event = await self.image_if_any(job, image_key_of(key))
        if event is None:
            raise web.HTTPNotFound(text=f"Job {job!r} has no catalogued image {key}.")
        return event

    async def image_if_any(self, job: str, key: UUID) -> ImageCatalogued | None:
        """One image; None where it is not catalogued (yet, or because it is quarantined)."""
        return await self._catalogue.image(job, key)

    async def find(self, job: str, wanted: Wanted, order: Order, after: str | None, limit: int) -> Found:
        """Images of a job that are wanted."""
        return await self._catalogue.find(job, wanted, order=order, after=after, limit=limit)

    async def categories(self, job: str) -> list[tuple[str, int]]:
        """Categories with their number of masks, most first."""
        counts = await self._categories.get(job)
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))

    async def reasons(self, job: str) -> Reasons:
        """Dead letters by reason."""
        return await self._reasons.get(job)

    async def dead_letters(
        self, job: str | None, reason: str | None, after: str | None, limit: int
    ) -> Page[DeadLetterRow]:
        """Dead letters of a job; with ``job`` None, events that could not be decoded."""
        if reason is not None and reason not in set(ReasonCode):
            raise web.HTTPBadRequest(text=f"reason={reason!r} is not a reason code: one of {', '.join(ReasonCode)}.")
        return await self._catalogue.dead_letters(job, reason=reason, after=after, limit=limit)

    async def models(self) -> list[tuple[ModelRegistered, list[ModelEvaluated]]]:
        """All model versions, each with its evaluations, newest last."""
        models, evaluations = await asyncio.gather(self._catalogue.models(), self._catalogue.evaluations())
        of: dict[tuple[str, str], list[ModelEvaluated]] = defaultdict(list)
        for event in evaluations:
            of[event.name, event.model_version].append(event)
        return [(model, of[model.name, model.model_version]) for model in models]

    async def datasets(self) -> dict[str, list[JobRow]]:
        """Dataset name → its jobs."""
        names, rows = await asyncio.gather(self._catalogue.datasets(), self.all_jobs())
        by_name = {row.job.job: row for row in rows}
        return {name: [by_name[job] for job in jobs if job in by_name] for name, jobs in sorted(names.items())}

    async def _count_reasons(self, job: str) -> Reasons:
        counts: Counter[str] = Counter()
        seen, after = 0, None
        while seen < _LETTERS_COUNTED:
            letters = await self._catalogue.dead_letters(job, after=after, limit=_LETTERS_PAGE)
            counts.update(row.event.reason.value for row in letters.items if not row.resolved)
            seen, after = seen + len(letters.items), letters.cursor
            if after is None:
                break
        return Reasons(dict(counts.most_common()), complete=after is None)


def image_key_of(text: str) -> UUID:
    """The image key in an address; 400 where it is none."""
    if not _UUID.match(text):
        raise web.HTTPBadRequest(text=f"{text!r} is not an image key: a UUID is wanted.")
    return UUID(text)


def uuid_of(text: str) -> UUID:
    """The id in an address or a form; 400 where it is none."""
    if not _UUID.match(text):
        raise web.HTTPBadRequest(text=f"{text[:100]!r} is not an id: a UUID is wanted.")
    return UUID(text)


def after_of(request: web.Request) -> str | None:
    """The cursor in a request."""
    after = request.query.get("after")
    if after is not None and len(after) > _MOST_CURSOR:
        raise web.HTTPBadRequest(text="after= is not a cursor that this list gave.")
    return after or None


def limit_of(request: web.Request, default: int) -> int:
    """How many items are wanted: 1 to `MOST_ITEMS`."""
    text = request.query.get("limit", str(default))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MOST_ITEMS:
        raise web.HTTPBadRequest(text=f"limit={text!r}: a whole number from 1 to {MOST_ITEMS} is wanted.")
    return int(text)
