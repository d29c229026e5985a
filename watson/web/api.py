"""The JSON API under ``/api/v1/``: read only, bounded lists with opaque cursors, errors as ``{"error": …}``.

Images of a job can be looked for (`watson.web.gallery.view`): ``category`` (several), ``least_score``, ``most_score``,
``least_area``, ``most_area`` (0–1; area as a fraction of the picture), ``nothing=1``, and ``order=uncertainty``. A list
of them may be short, or empty, and go on all the same: where ``searched`` says that the search stopped on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import faust
from aiohttp import web

from watson.storage.catalogue import Page
from watson.web.documents import dead_letter_document, image_document, model_document
from watson.web.gallery.view import order_of, wanted_of
from watson.web.guard import add_page, json_response
from watson.web.history import history_document
from watson.web.log_search import Histories
from watson.web.queries import Queries, after_of, image_key_of, limit_of
from watson.web.state import State

__all__ = ["mount_api"]

Row = TypeVar("Row")

_DEFAULT_LIMIT = 100


def mount_api(app: faust.App, queries: Queries, state: State, histories: Histories) -> None:
    """Add the routes to an app whose web server has not started."""
    api = _Api(queries, state, histories)
    for path, handler in (
        ("/api/v1/flow", api.flow),
        ("/api/v1/jobs", api.jobs),
        ("/api/v1/jobs/{job}", api.job),
        ("/api/v1/jobs/{job}/images", api.images),
        ("/api/v1/jobs/{job}/images/{image_key}", api.image),
        ("/api/v1/jobs/{job}/images/{image_key}/history", api.history),
        ("/api/v1/jobs/{job}/dead-letters", api.dead_letters),
        ("/api/v1/dead-letters", api.undecodable),
        ("/api/v1/models", api.models),
        ("/api/v1/datasets", api.datasets),
    ):
        add_page(app, path, handler)


class _Api:
    def __init__(self, queries: Queries, state: State, histories: Histories) -> None:
        self._queries = queries
        self._state = state
        self._histories = histories

    async def flow(self, _request: web.Request) -> web.Response:
        return json_response(self._state.flow())

    async def jobs(self, request: web.Request) -> web.Response:
        return json_response(await self._state.jobs(after_of(request), limit_of(request, _DEFAULT_LIMIT)))

    async def job(self, request: web.Request) -> web.Response:
        return json_response(await self._state.whole_job(request.match_info["job"]))

    async def images(self, request: web.Request) -> web.Response:
        row = await self._queries.job(request.match_info["job"])
        found = await self._queries.find(
            row.job.job, wanted_of(request), order_of(request), after_of(request), limit_of(request, _DEFAULT_LIMIT)
        )
        images = [image_document(event) for event in found.items]
        return json_response({"images": images, "cursor": found.cursor, "searched": found.searched})

    async def image(self, request: web.Request) -> web.Response:
        row = await self._queries.job(request.match_info["job"])
        return json_response(image_document(await self._queries.image(row.job.job, request.match_info["image_key"])))

    async def history(self, request: web.Request) -> web.Response:
        row = await self._queries.job(request.match_info["job"])
        key = image_key_of(request.match_info["image_key"])
        end = await self._queries.image_if_any(row.job.job, key)
        return json_response(history_document(await self._histories.of(row, key, end)))

    async def dead_letters(self, request: web.Request) -> web.Response:
        return await self._letters(request, await self._queries.job_of_letters(request.match_info["job"]))

    async def undecodable(self, request: web.Request) -> web.Response:
        return await self._letters(request, None)

    async def models(self, _request: web.Request) -> web.Response:
        return json_response({"models": [model_document(*model) for model in await self._queries.models()]})

    async def datasets(self, _request: web.Request) -> web.Response:
        datasets = await self._queries.datasets()
        return json_response(
            {
                "datasets": [
                    {"dataset": name, "jobs": [row.job.job for row in rows], "images": _catalogued(rows)}
                    for name, rows in datasets.items()
                ]
            }
        )

    async def _letters(self, request: web.Request, job: str | None) -> web.Response:
        page = await self._queries.dead_letters(
            job, request.query.get("reason"), after_of(request), limit_of(request, _DEFAULT_LIMIT)
        )
        return _listing("dead_letters", page, dead_letter_document)


def _listing(name: str, page: Page[Row], document: Callable[[Row], dict[str, Any]]) -> web.Response:
    """``cursor`` goes into the next request's ``after``; null at the end."""
    return json_response({name: [document(row) for row in page.items], "cursor": page.cursor})


def _catalogued(rows: Sequence[Any]) -> int:
    return sum(row.counts.get("catalogued", 0) for row in rows)
