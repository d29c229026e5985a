"""What programs may change, as JSON: jobs, dead letters. Each POST does what the page's form and the command do."""

from __future__ import annotations

from typing import TypeVar

import faust
import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from watson.actions.manifest import Unacceptable
from watson.compare.document import to_json
from watson.errors import problems_of
from watson.storage.catalogue import JobRow
from watson.web.access import Access
from watson.web.answers import JobAsked, NothingAsked, ResumeAsked, RetryAsked, SourceAsked
from watson.web.diff import Diffs, sides
from watson.web.guard import add_action, add_page, json_response
from watson.web.job_actions import ACTIONS, JobActions
from watson.web.openapi import PATH, description
from watson.web.queries import Queries
from watson.web.retries import Retries, choice_of
from watson.web.submissions import Submissions

__all__ = ["mount_actions_api"]

Wanted = TypeVar("Wanted", bound=BaseModel)


def mount_actions_api(
    app: faust.App,
    access: Access,
    queries: Queries,
    submissions: Submissions,
    actions: JobActions,
    retries: Retries,
    diffs: Diffs,
) -> None:
    """Add the routes to an app whose web server has not started."""
    api = _Api(queries, submissions, retries, diffs)
    add_action(app, "/api/v1/jobs", access.document(api.submit))
    add_action(app, "/api/v1/look", access.document(api.look))
    add_action(app, "/api/v1/jobs/{job}/dead-letters/retry", access.document(api.retry_of_job))
    add_action(app, "/api/v1/dead-letters/retry", access.document(api.retry_of_none))
    for name in ACTIONS:
        add_action(app, f"/api/v1/jobs/{{job}}/{name}", access.document(_JobAction(queries, actions, name)))
    add_page(app, "/api/v1/diff", api.diff)
    add_page(app, PATH, api.description)


class _Api:
    def __init__(self, queries: Queries, submissions: Submissions, retries: Retries, diffs: Diffs) -> None:
        self._queries = queries
        self._submissions = submissions
        self._retries = retries
        self._diffs = diffs

    async def submit(self, _request: web.Request, document: object) -> web.Response:
        """Check it as the form does, and send it."""
        wanted = _wanted(JobAsked, document)
        checked = await self._submissions.check(wanted)
        if checked.manifest is None:
            return _refusal(checked.problems)
        await self._submissions.send(checked.manifest)
        job = checked.manifest.job
        links = {"page": f"/jobs/{job}", "self": f"/api/v1/jobs/{job}"}
        said = {"job": job, "dataset": checked.manifest.dataset, "model": checked.manifest.model, "links": links}
        return json_response(said, 202)

    async def look(self, _request: web.Request, document: object) -> web.Response:
        wanted = _wanted(SourceAsked, document)
        try:
            source = await self._submissions.reachable(wanted.source, wanted.kind, wanted.template)
            looked = await self._submissions.look(source)
        except Unacceptable as exc:
            return _refusal(exc.problems)
        return json_response(
            {
                "source": source.model_dump(mode="json"),
                "images": looked.images,
                "unreadable": looked.unreadable,
                "complete": not looked.stopped,
                "first": looked.first,
            }
        )

    async def retry_of_job(self, request: web.Request, document: object) -> web.Response:
        return await self._retry(await self._queries.job_of_letters(request.match_info["job"]), document)

    async def retry_of_none(self, _request: web.Request, document: object) -> web.Response:
        return await self._retry(None, document)

    async def _retry(self, job: str | None, document: object) -> web.Response:
        wanted = _wanted(RetryAsked, document)
        choice = choice_of(job, reason=wanted.reason, stage=wanted.stage, letter=wanted.id, image=wanted.image_key)
        said = await self._retries.send(choice)
        return json_response({"sent": said.sent, "running": said.running, "lost": said.lost})

    async def diff(self, request: web.Request) -> web.Response:
        """The whole of it, or how far it is."""
        left, right = (request.query.get(name, "") for name in ("left", "right"))
        if not left or not right:
            raise web.HTTPBadRequest(text="left= and right= are wanted: the ids of two jobs.")
        work = await self._diffs.get(*await sides(self._queries, left, right))
        if not work.over:
            return json_response({"compared": work.done, "of": work.of}, 202, {"Retry-After": "2"})
        found = work.result().found
        return json_response({**to_json(found), "complete": found.complete})

    async def description(self, _request: web.Request) -> web.Response:
        return json_response(description())


class _JobAction:
    """Pauses, resumes or cancels the job of a request."""

    def __init__(self, queries: Queries, actions: JobActions, name: str) -> None:
        self._queries = queries
        self._actions = actions
        self._name = name

    async def __call__(self, request: web.Request, document: object) -> web.Response:
        wanted = _wanted(ResumeAsked if self._name == "resume" else NothingAsked, document)
        row: JobRow = await self._queries.job(request.match_info["job"])
        retry = wanted.retry if isinstance(wanted, ResumeAsked) else False
        told = await self._actions.do(self._name, row, retry=retry)
        return json_response({"job": row.job.job, "sent": told.sent, "message": told.said})


def _wanted(model: type[Wanted], document: object) -> Wanted:
    try:
        return model.model_validate_json(orjson.dumps(document))
    except ValidationError as exc:
        raise web.HTTPBadRequest(text="; ".join(problems_of(exc))) from exc


def _refusal(problems: dict[str, str]) -> web.Response:
    fields = {name: why for name, why in problems.items() if name}
    return json_response({"error": problems.get("") or "; ".join(fields.values()), "fields": fields}, 422)
