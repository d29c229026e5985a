"""The page ``/jobs/{job}/gallery``: complete without JavaScript; a script toggles, draws and walks at once."""

from __future__ import annotations

import faust
from aiohttp import web

from watson.storage.wanted import MOST_CATEGORIES, Order
from watson.web.gallery.cards import Card, legend_of
from watson.web.gallery.neighbours import ON_A_PAGE
from watson.web.gallery.view import SIZES, View
from watson.web.guard import add_page
from watson.web.lately import Lately
from watson.web.queries import Queries
from watson.web.state import State
from watson.web.templating import page

__all__ = ["mount_gallery"]

_CATEGORIES_SECONDS = 60.0
_CATEGORIES_PATIENCE = 0.05
_CATEGORIES_LISTED = 300


def mount_gallery(app: faust.App, queries: Queries, state: State) -> None:
    """Add the route to an app whose web server has not started."""
    add_page(app, "/jobs/{job}/gallery", _Gallery(queries, state).gallery)


class _Gallery:
    def __init__(self, queries: Queries, state: State) -> None:
        self._queries = queries
        self._state = state
        # To count the masks of millions of images takes seconds: the page does not wait for it.
        self._categories: Lately[str, list[tuple[str, int]]] = Lately(queries.categories, _CATEGORIES_SECONDS)

    async def gallery(self, request: web.Request) -> web.Response:
        row = await self._queries.job(request.match_info["job"])
        view, job = View.of(request), row.job.job
        found = await self._queries.find(job, view.wanted, view.order, view.after, ON_A_PAGE)
        here = f"/jobs/{job}/gallery"
        legend = legend_of(found.items, view, here)
        known = await self._categories.get(job, _CATEGORIES_PATIENCE)
        return page(
            "gallery.html",
            job=self._state.job(row),
            here=here,
            view=view,
            row=SIZES[view.size],
            cards=[Card.of(event, view) for event in found.items],
            legend=legend,
            show_all=view.but(drawn=True, exceptions=frozenset()).address(here),
            show_none=view.but(drawn=False, exceptions=frozenset()).address(here),
            choices=_choices(known, view, [(one.name, None) for one in legend]),
            more_categories=max(0, len(known or ()) - _CATEGORIES_LISTED),
            most_categories=MOST_CATEGORIES,
            orders=list(Order),
            sizes={size: view.but(size=size).address(here) for size in SIZES},
            first=view.but(after=None).address(here),
            cleared=View(order=view.order, size=view.size).address(here),
            further=view.but(after=found.cursor).address(here) if found.cursor else None,
            searched=found.searched,
        )


def _choices(
    known: list[tuple[str, int]] | None, view: View, on_page: list[tuple[str, None]]
) -> list[tuple[str, int | None, bool]]:
    """Categories to choose from, with their masks where counted: those chosen, then those with the most masks."""
    chosen = set(view.wanted.categories)
    listed: dict[str, int | None] = dict(on_page if known is None else known[:_CATEGORIES_LISTED])
    counts = dict(known or ())
    first = {name: counts.get(name) for name in view.wanted.categories}
    return [(name, count, name in chosen) for name, count in {**first, **listed}.items()]
