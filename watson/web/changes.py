"""What changes something: the parts of the site that need to be allowed to, made and mounted together."""

from __future__ import annotations

import faust
from aiohttp import web

from watson.settings import Settings
from watson.sources import Reader
from watson.storage.catalogue import Catalogue
from watson.storage.objects import ObjectStore
from watson.web.access import Access
from watson.web.actions_api import mount_actions_api
from watson.web.diff import Diffs, mount_diff
from watson.web.images import Images
from watson.web.job_actions import JobActions, mount_job_actions
from watson.web.letters import mount_letters
from watson.web.login import mount_login
from watson.web.pictures_of_letters import mount_pictures_of_letters
from watson.web.queries import Queries
from watson.web.retries import Retries
from watson.web.submissions import Submissions
from watson.web.submit import mount_submit

__all__ = ["mount_changes"]

_BROKER_SECONDS = 3.0
"""How long a broker that is away is tried: somebody waits."""


def mount_changes(
    app: faust.App, queries: Queries, images: Images, catalogue: Catalogue, objects: ObjectStore, settings: Settings
) -> None:
    """Add the routes, and the rules that hold for them, to an app whose web server has not started."""
    hasty = settings.model_copy(update={"broker_wait": min(settings.broker_wait, _BROKER_SECONDS)})
    access = Access(settings)
    app.web.web_app.middlewares.append(access.middleware)
    retries, diffs, reader = Retries(hasty, catalogue), Diffs(catalogue, objects), Reader(settings)
    submissions, actions = Submissions(hasty, queries), JobActions(hasty, catalogue)
    mount_login(app, access)
    mount_submit(app, access, submissions, queries)
    mount_job_actions(app, access, queries, actions)
    mount_letters(app, access, catalogue, queries, retries)
    mount_pictures_of_letters(app, catalogue, images, reader, settings)
    mount_diff(app, queries, diffs)
    mount_actions_api(app, access, queries, submissions, actions, retries, diffs)

    async def close(_server: web.Application) -> None:
        await retries.close()
        await diffs.close()
        await reader.close()

    app.web.web_app.on_cleanup.append(close)
