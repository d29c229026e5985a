"""The pages: rendered on the server, complete without JavaScript; a small script keeps the numbers moving."""

from __future__ import annotations

from urllib.parse import urlencode

import faust
from aiohttp import web

from watson.errors import ReasonCode
from watson.events import now
from watson.storage.wanted import Wanted
from watson.web.documents import STAGE_ORDER, dead_letter_document, job_document, model_document
from watson.web.gallery.cards import Card, address_of, overlay_address, picture_addresses
from watson.web.gallery.neighbours import neighbours
from watson.web.gallery.view import View
from watson.web.guard import add_page
from watson.web.images import overlay_version
from watson.web.queries import Queries, after_of
from watson.web.templating import page

__all__ = ["mount_pages"]

_JOBS_ON_A_PAGE = 50
_PICTURES_SHOWN = 12
_LETTERS_ON_A_PAGE = 100
_CATEGORIES_SHOWN = 20


def mount_pages(app: faust.App, queries: Queries) -> None:
    """Add the routes to an app whose web server has not started."""
    pages = _Pages(queries)
    for path, handler in (
        ("/", pages.overview),
        ("/jobs/{job}", pages.job),
        ("/jobs/{job}/images/{image_key}", pages.image),
        ("/jobs/{job}/dead-letters", pages.dead_letters),
        ("/dead-letters", pages.undecodable),
        ("/models", pages.models),
        ("/datasets", pages.datasets),
    ):
        add_page(app, path, handler)


class _Pages:
    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    async def overview(self, request: web.Request) -> web.Response:
        at, after = now(), after_of(request)
        rows = await self._queries.jobs(after, _JOBS_ON_A_PAGE)
        asked = {"limit": str(_JOBS_ON_A_PAGE), **({"after": after} if after else {})}
        return page(
            "overview.html",
            jobs=[job_document(row, at) for row in rows.items],
            stages=STAGE_ORDER,
            poll=f"/api/v1/jobs?{urlencode(asked)}",
            older=_next("/", rows.cursor),
            first=after is None,
        )

    async def job(self, request: web.Request) -> web.Response:
        row = await self._queries.job(request.match_info["job"])
        name, category = row.job.job, request.query.get("category") or None
        categories = await self._queries.categories(name)
        view = View(Wanted(categories=(category,) if category else ()))
        pictures = await self._queries.find(name, view.wanted, view.order, None, _PICTURES_SHOWN)
        document = job_document(row, now())
        return page(
            "job.html",
            job=document,
            stages=STAGE_ORDER,
            poll=document["links"]["self"],
            reasons=await self._queries.reasons(name),
            categories=categories,
            histogram=categories[:_CATEGORIES_SHOWN],
            category=category,
            cards=[Card.of(event, view) for event in pictures.items],
            gallery=view.address(f"{document['links']['page']}/gallery"),
        )

    async def image(self, request: web.Request) -> web.Response:
        row = await self._queries.job(request.match_info["job"])
        event = await self._queries.image(row.job.job, request.match_info["image_key"])
        # The form sends `chosen`, so that no box ticked means no mask rather than all.
        asked = set(request.query.getall("mask", []))
        chosen = [mask.index for mask in event.masks if "chosen" not in request.query or str(mask.index) in asked]
        return page(
            "image.html",
            event=event,
            masks=sorted(event.masks, key=lambda mask: (-mask.score, mask.index)),
            chosen=chosen,
            here=address_of(event),
            picture=picture_addresses(event)[0],
            overlay_base=f"{address_of(event)}/overlay.png?{urlencode({'v': overlay_version(event)})}",
            overlay=overlay_address(event, chosen),
            way=await neighbours(self._queries, request, event),
        )

    async def dead_letters(self, request: web.Request) -> web.Response:
        job = await self._queries.job_of_letters(request.match_info["job"])
        return await self._letters(request, job, f"/jobs/{job}/dead-letters")

    async def undecodable(self, request: web.Request) -> web.Response:
        return await self._letters(request, None, "/dead-letters")

    async def models(self, _request: web.Request) -> web.Response:
        models = await self._queries.models()
        documents = [model_document(model, evaluations) for model, evaluations in models]
        return page("models.html", models=documents, times=[model.time for model, _ in models])

    async def datasets(self, _request: web.Request) -> web.Response:
        return page("datasets.html", datasets=await self._queries.datasets())

    async def _letters(self, request: web.Request, job: str | None, here: str) -> web.Response:
        reason = request.query.get("reason") or None
        letters = await self._queries.dead_letters(job, reason, after_of(request), _LETTERS_ON_A_PAGE)
        return page(
            "dead_letters.html",
            job=job,
            here=here,
            reason=reason,
            reasons=list(ReasonCode),
            letters=[dead_letter_document(row) for row in letters.items],
            further=_next(here, letters.cursor, reason=reason),
            first=after_of(request) is None,
        )


def _next(path: str, cursor: str | None, **query: str | None) -> str | None:
    """Address of the next page; None at the end."""
    if cursor is None:
        return None
    return f"{path}?{urlencode({**{name: value for name, value in query.items() if value}, 'after': cursor})}"
