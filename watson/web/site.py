"""The site of the ``web`` role: JSON API, pages, actions, pictures and static files on one Faust app."""

from __future__ import annotations

import faust
from aiohttp import web

from watson.settings import Settings
from watson.storage.catalogue import Catalogue
from watson.storage.objects import ObjectStore
from watson.web.api import mount_api
from watson.web.changes import mount_changes
from watson.web.flow.sampler import Sampler
from watson.web.gallery.pages import mount_gallery
from watson.web.guard import add_page, guard
from watson.web.images import Images
from watson.web.log_search import Histories
from watson.web.pages import mount_pages
from watson.web.queries import Queries
from watson.web.state import State
from watson.web.stream import mount_streams
from watson.web.templating import STATIC

__all__ = ["mount_site"]


def mount_site(app: faust.App, catalogue: Catalogue, objects: ObjectStore, settings: Settings) -> None:
    """Add the site to an app whose web server has not started.

    Args:
        app: the web role's app.
        catalogue: open by the time of the first request; the caller closes it.
        objects: likewise.
        settings: ``web_timeout``, ``threads``, ``web_token``, and where Kafka and the sources are.
    """
    guard(app, time_limit=settings.web_timeout)
    queries = Queries(catalogue)
    images = Images(queries, objects, settings)
    sampler = Sampler(settings, queries.all_jobs)
    state, histories = State(queries, sampler, settings), Histories(settings)
    mount_api(app, queries, state, histories)
    mount_pages(app, queries, state, histories)
    mount_streams(app, state)
    mount_gallery(app, queries, state)
    for name, handler in (
        ("picture", images.picture),
        ("overlay.png", images.overlay),
        ("masks.json", images.masks),
        ("thumbnail.jpg", images.thumbnail),
    ):
        add_page(app, "/jobs/{job}/images/{image_key}/" + name, handler)
    mount_changes(app, queries, images, catalogue, objects, settings)
    app.web.add_static("/static", STATIC)

    async def start(_server: web.Application) -> None:
        await sampler.start()

    async def close(_server: web.Application) -> None:
        await sampler.stop()
        images.close()

    app.web.web_app.on_startup.append(start)
    app.web.web_app.on_cleanup.append(close)
