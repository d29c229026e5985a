"""Dead letters: counted by reason and stage, each with the event that failed, and sent round again where one may."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import faust
from aiohttp import web

from watson.errors import ReasonCode
from watson.storage.catalogue import Catalogue, DeadLetterRow
from watson.web.access import Access
from watson.web.bodies import Form
from watson.web.documents import dead_letter_document
from watson.web.fresh import Fresh
from watson.web.guard import add_action, add_page
from watson.web.pictures_of_letters import has_picture
from watson.web.queries import Queries, after_of, uuid_of
from watson.web.retries import Retries, choice_of
from watson.web.templating import page

__all__ = ["Group", "Groups", "mount_letters"]

_LETTERS_ON_A_PAGE = 50
_LETTERS_COUNTED = 5000
_LETTERS_READ = 500
_COUNT_SECONDS = 5.0
_STAGES = ("discover", "preprocess", "segment", "catalogue", "project")


@dataclass(frozen=True, slots=True)
class Group:
    """Letters of one reason and stage: how many are open, and how many were resolved."""

    reason: ReasonCode
    stage: str
    open: int
    resolved: int


@dataclass(frozen=True, slots=True)
class Groups:
    """Most open ones first; ``complete`` is false where there are more letters than were counted."""

    items: tuple[Group, ...]
    complete: bool


def mount_letters(app: faust.App, access: Access, catalogue: Catalogue, queries: Queries, retries: Retries) -> None:
    """Add the routes to an app whose web server has not started."""
    pages = _Pages(catalogue, queries, retries)
    for place, show, again in (
        ("/jobs/{job}/dead-letters", pages.of_job, pages.retry_of_job),
        ("/dead-letters", pages.of_none, pages.retry_of_none),
    ):
        add_page(app, place, show)
        add_action(app, f"{place}/retry", access.form(again))


class _Pages:
    def __init__(self, catalogue: Catalogue, queries: Queries, retries: Retries) -> None:
        self._catalogue = catalogue
        self._queries = queries
        self._retries = retries
        self._groups: Fresh[str | None, Groups] = Fresh(self._count, _COUNT_SECONDS)

    async def of_job(self, request: web.Request) -> web.Response:
        return await self._show(request, await self._queries.job_of_letters(request.match_info["job"]))

    async def of_none(self, request: web.Request) -> web.Response:
        return await self._show(request, None)

    async def retry_of_job(self, request: web.Request, fields: Form) -> web.Response:
        return await self._retry(await self._queries.job_of_letters(request.match_info["job"]), fields)

    async def retry_of_none(self, _request: web.Request, fields: Form) -> web.Response:
        return await self._retry(None, fields)

    async def _show(self, request: web.Request, job: str | None) -> web.Response:
        reason, stage = request.query.get("reason") or None, request.query.get("stage") or None
        letters = await self._queries.dead_letters(job, reason, after_of(request), _LETTERS_ON_A_PAGE)
        here = _address(job)
        chosen = {name: value for name, value in (("reason", reason), ("stage", stage)) if value}
        further = None if letters.cursor is None else f"{here}?{urlencode({**chosen, 'after': letters.cursor})}"
        return page(
            "dead_letters.html",
            job=job,
            here=here,
            start=f"{here}?{urlencode(chosen)}" if chosen else here,
            reason=reason,
            stage=stage,
            reasons=list(ReasonCode),
            stages=_STAGES,
            groups=await self._groups.get(job),
            jobs=await self._jobs_with_letters() if job is None else [],
            letters=[_shown(row) for row in letters.items if stage in (None, row.event.stage)],
            further=further,
            first=after_of(request) is None,
        )

    async def _retry(self, job: str | None, fields: Form) -> web.Response:
        letter = uuid_of(fields["letter"]) if fields.get("letter") else None
        choice = choice_of(job, reason=fields.get("reason"), stage=fields.get("stage"), letter=letter)
        said = await self._retries.send(choice)
        return page(
            "done.html",
            said=said.text,
            good=said.sent > 0,
            problem=said.problem,
            back=_address(job),
            back_to="the dead letters",
        )

    async def _jobs_with_letters(self) -> list[tuple[str, int]]:
        """Jobs with quarantined pictures, newest first."""
        rows = (await self._queries.jobs(None, 500)).items
        return [(row.job.job, count) for row in rows if (count := row.counts.get("quarantined", 0))]

    async def _count(self, job: str | None) -> Groups:
        found: Counter[tuple[ReasonCode, str, bool]] = Counter()
        seen, after = 0, None
        while seen < _LETTERS_COUNTED:
            letters = await self._catalogue.dead_letters(job, after=after, limit=_LETTERS_READ)
            found.update((row.event.reason, row.event.stage, row.resolved) for row in letters.items)
            seen, after = seen + len(letters.items), letters.cursor
            if after is None:
                break
        kinds = dict.fromkeys((reason, stage) for reason, stage, _ in found)
        groups = [Group(*kind, open=found[*kind, False], resolved=found[*kind, True]) for kind in kinds]
        groups.sort(key=lambda group: (-group.open, -group.resolved, group.reason, group.stage))
        return Groups(tuple(groups), complete=after is None)


def _shown(row: DeadLetterRow) -> dict[str, Any]:
    return {**dead_letter_document(row), "has_picture": has_picture(row), "passes": row.event.reason.passes}


def _address(job: str | None) -> str:
    return "/dead-letters" if job is None else f"/jobs/{job}/dead-letters"  # a job's id is safe in a path
