"""The form that makes a job, and the page that waits until the job has begun."""

from __future__ import annotations

import faust
from aiohttp import web

from watson.web.access import Access
from watson.web.asked import Asked
from watson.web.bodies import Form
from watson.web.guard import add_page
from watson.web.login import see_other
from watson.web.queries import Queries
from watson.web.submissions import MOST_COUNTED, Checked, Submissions
from watson.web.templating import page

__all__ = ["KINDS", "mount_submit"]

KINDS = {
    "directory": "directory of pictures",
    "s3": "bucket, s3://bucket/prefix",
    "list": "list of addresses, .txt, .csv or .jsonl",
    "open-images": "OpenImages' table of image ids",
}
"""What people are told of each kind of source."""


def mount_submit(app: faust.App, access: Access, submissions: Submissions, queries: Queries) -> None:
    """Add the routes to an app whose web server has not started."""
    pages = _Pages(submissions, queries)
    add_page(app, "/submit", pages.empty, post=access.form(pages.take))
    add_page(app, "/jobs/{job}/coming", pages.coming)


class _Pages:
    def __init__(self, submissions: Submissions, queries: Queries) -> None:
        self._submissions = submissions
        self._queries = queries

    async def empty(self, request: web.Request) -> web.Response:
        return await self._form(Asked.of(request.query), None)

    async def take(self, _request: web.Request, fields: Form) -> web.Response:
        """Check it; and where that was asked for, and nothing is wrong, send it."""
        asked = Asked.of(fields)
        checked = await self._submissions.check(*asked.wanted())
        if checked.manifest is not None and fields.get("do") == "submit":
            await self._submissions.send(checked.manifest)
            return see_other(f"/jobs/{checked.manifest.job}/coming")
        response = await self._form(asked, checked)
        if checked.problems:
            response.set_status(422)
        return response

    async def coming(self, request: web.Request) -> web.Response:
        job = request.match_info["job"]
        if await self._queries.is_job(job):
            return see_other(f"/jobs/{job}")
        letters = (await self._queries.dead_letters(job, None, None, 1)).items
        return page("coming.html", job=job, letter=letters[0].event if letters else None)

    async def _form(self, asked: Asked, checked: Checked | None) -> web.Response:
        return page(
            "submit.html",
            asked=asked,
            checked=checked,
            kinds=KINDS,
            models=await self._submissions.models(),
            datasets=sorted(await self._queries.datasets()),
            most=MOST_COUNTED,
        )
