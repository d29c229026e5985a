"""The pages: rendered on the server, complete without JavaScript; a small script keeps the numbers moving."""

from __future__ import annotations

from urllib.parse import urlencode

import faust
from aiohttp import web

from watson.storage.wanted import Wanted
from watson.web.documents import STAGE_ORDER, model_document
from watson.web.gallery.cards import Card, address_of, overlay_address, picture_addresses
from watson.web.gallery.neighbours import neighbours
from watson.web.gallery.view import View
from watson.web.guard import add_page
from watson.web.images import overlay_version
from watson.web.log_search import Histories
from watson.web.queries import Queries, after_of, image_key_of
from watson.web.state import State
from watson.web.templating import page

__all__ = ["mount_pages"]

_JOBS_ON_A_PAGE = 50
_PICTURES_SHOWN = 12
_CATEGORIES_SHOWN = 20


def mount_pages(app: faust.App, queries: Queries, state: State, histories: Histories) -> None:
    """Add the routes to an app whose web server has not started."""
    pages = _Pages(queries, state, histories)
    for path, handler in (
        ("/", pages.overview),
        ("/flow", pages.flow),
        ("/jobs/{job}", pages.job),
        ("/jobs/{job}/images/{image_key}", pages.image),
        ("/jobs/{job}/images/{image_key}/history", pages.history),
        ("/models", pages.models),
        ("/datasets", pages.datasets),
    ):
        add_page(app, path, handler)


class _Pages:
    def __init__(self, queries: Queries, state: State, histories: Histories) -> None:
        self._queries = queries
        self._state = state
        self._histories = histories

    async def overview(self, request: web.Request) -> web.Response:
        after = after_of(request)
        listed = await self._state.jobs(after, _JOBS_ON_A_PAGE)
        asked = urlencode({"limit": str(_JOBS_ON_A_PAGE), **({"after": after} if after else {})})
        return page(
            "overview.html",
            jobs=listed["jobs"],
            flow=self._state.flow(),
            stages=STAGE_ORDER,
            poll=f"/api/v1/jobs?{asked}",
            stream=f"/api/v1/stream?{asked}",
            older=_next("/", listed["cursor"]),
            first=after is None,
        )

    async def flow(self, _request: web.Request) -> web.Response:
        return page("flow.html", flow=self._state.flow())

    async def job(self, request: web.Request) -> web.Response:
        job = await self._state.whole_job(request.match_info["job"])
        name, category = job["job"], request.query.get("category") or None
        categories = list(job["categories"].items())
        view = View(Wanted(categories=(category,) if category else ()))
        pictures = await self._queries.find(name, view.wanted, view.order, None, _PICTURES_SHOWN)
        return page(
            "job.html",
            job=job,
            flow=self._state.flow(),
            stages=STAGE_ORDER,
            poll=job["links"]["self"],
            stream=f"{job['links']['self']}/stream",
            categories=categories,
            histogram=categories[:_CATEGORIES_SHOWN],
            category=category,
            cards=[Card.of(event, view) for event in pictures.items],
            gallery=view.address(f"{job['links']['page']}/gallery"),
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

    async def history(self, request: web.Request) -> web.Response:
        row = await self._queries.job(request.match_info["job"])
        key = image_key_of(request.match_info["image_key"])
        end = await self._queries.image_if_any(row.job.job, key)
        history = await self._histories.of(row, key, end)
        return page("history.html", history=history, event=end, here=f"/jobs/{row.job.job}/images/{key}")

    async def models(self, _request: web.Request) -> web.Response:
        models = await self._queries.models()
        documents = [model_document(model, evaluations) for model, evaluations in models]
        return page("models.html", models=documents, times=[model.time for model, _ in models])

    async def datasets(self, _request: web.Request) -> web.Response:
        return page("datasets.html", datasets=await self._queries.datasets())


def _next(path: str, cursor: str | None, **query: str | None) -> str | None:
    """Address of the next page; None at the end."""
    if cursor is None:
        return None
    return f"{path}?{urlencode({**{name: value for name, value in query.items() if value}, 'after': cursor})}"
