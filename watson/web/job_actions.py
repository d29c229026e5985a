"""Pauses, resumes and cancels a job: a page that says what it means, and asks; no script is needed for that."""

from __future__ import annotations

from dataclasses import dataclass

import faust
from aiohttp import web

from watson.actions import jobs
from watson.settings import Settings
from watson.storage.catalogue import Catalogue, JobRow
from watson.web.access import Access
from watson.web.bodies import Form
from watson.web.guard import add_page
from watson.web.queries import Queries
from watson.web.templating import page

__all__ = ["ACTIONS", "JobActions", "mount_job_actions"]

_PATIENCE_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class Action:
    """What can be done with a job, as people are asked about it."""

    name: str
    question: str
    means: str


ACTIONS = {
    action.name: action
    for action in (
        Action(
            "pause",
            "Pause this job?",
            "No further pictures are discovered until it is resumed. Those in flight still end.",
        ),
        Action("resume", "Resume this job?", "It goes on from where it stands. Do so once the cause is removed."),
        Action(
            "cancel",
            "Cancel this job?",
            "No further pictures are discovered, and it cannot be resumed. Those in flight still end, and what is "
            "catalogued stays.",
        ),
    )
}


class JobActions:
    """Does it, for the pages and the API."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._patience = min(_PATIENCE_SECONDS, settings.web_timeout / 2)

    async def do(self, action: str, row: JobRow, *, retry: bool) -> jobs.Told:
        """Pause, resume or cancel; ``retry`` is of resuming alone.

        Raises:
            ServiceUnavailable: no broker answers; or the job was told, and did not obey in time.
            UserError: the topic is missing, or not that of the settings.
        """
        if action == "pause":
            return await jobs.pause(self._settings, self._catalogue, row, patience=self._patience)
        if action == "resume":
            return await jobs.resume(self._settings, self._catalogue, row, retry=retry, patience=self._patience)
        return await jobs.cancel(self._settings, row)


def mount_job_actions(app: faust.App, access: Access, queries: Queries, actions: JobActions) -> None:
    """Add the routes to an app whose web server has not started."""
    for action in ACTIONS.values():
        pages = _Pages(queries, actions, action)
        add_page(app, f"/jobs/{{job}}/{action.name}", pages.ask, post=access.form(pages.do))


class _Pages:
    def __init__(self, queries: Queries, actions: JobActions, action: Action) -> None:
        self._queries = queries
        self._actions = actions
        self._action = action

    async def ask(self, request: web.Request) -> web.Response:
        row = await self._queries.job(request.match_info["job"])
        return page("job_action.html", action=self._action, job=row.job)

    async def do(self, request: web.Request, fields: Form) -> web.Response:
        row = await self._queries.job(request.match_info["job"])
        told = await self._actions.do(self._action.name, row, retry="retry" in fields)
        return page("done.html", said=told.said, good=told.sent, back=f"/jobs/{row.job.job}", back_to=row.job.job)
