"""What two jobs found differently: counted while the page waits, with the pictures on which they differ most."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import faust
from aiohttp import web

from watson.compare.cards import KINDS, Card, drawn
from watson.compare.difference import Difference, difference
from watson.compare.document import to_json
from watson.compare.side import Side
from watson.events import ImageCatalogued
from watson.storage.catalogue import Catalogue, JobRow
from watson.storage.objects import ObjectStore
from watson.web.guard import add_page
from watson.web.queries import Queries
from watson.web.templating import page
from watson.web.works import Work, Works

__all__ = ["MOST_COMPARED", "Diffs", "Made", "mount_diff"]

MOST_COMPARED = 20_000
"""Pictures that are compared. Of more, those whose keys come first: keys are hashes, so that is a fair sample."""

_PICTURES = 12
_DRAWN_AT_ONCE = 2
_AT_ONCE = 1
_WAITING = 8
_LONGEST_SECONDS = 900.0
_KEPT_SECONDS = 600.0
_FIRST_WAIT_SECONDS = 1.5
_JOBS_NAMED = 200


@dataclass(frozen=True, slots=True)
class Made:
    """A difference, and the pictures of the largest disagreement. ``at`` is when it was begun."""

    found: Difference
    cards: Sequence[Card]
    at: datetime


class Diffs:
    """Comparisons of this worker: one at a time, others wait; kept for ten minutes."""

    def __init__(self, catalogue: Catalogue, objects: ObjectStore) -> None:
        self._catalogue = catalogue
        self._objects = objects
        self._works: Works[Made] = Works(at_once=_AT_ONCE, most=_WAITING, seconds=_LONGEST_SECONDS, kept=_KEPT_SECONDS)

    async def get(self, left: JobRow, right: JobRow) -> Work[Made]:
        """The comparison, which may be under way yet.

        Raises:
            Retriable: too many are.
        """
        of = min(MOST_COMPARED, max(row.counts.get("catalogued", 0) for row in (left, right)))
        work = self._works.start((left.job.job, right.job.job), lambda work: self._compare(work, left, right, of))
        await work.wait(_FIRST_WAIT_SECONDS)
        return work

    async def close(self) -> None:
        """Break off what is being compared."""
        await self._works.close()

    async def _compare(self, work: Work[Made], left: JobRow, right: JobRow, of: int) -> Made:
        at = datetime.fromtimestamp(work.began, UTC)
        work.progress(0, of)
        before, after = (Side(self._catalogue, self._objects, row) for row in (left, right))
        found = await difference(before, after, most=_PICTURES, limit=MOST_COMPARED, on_progress=work.progress)
        turns = asyncio.Semaphore(_DRAWN_AT_ONCE)

        async def draw(place: int) -> Card:
            async with turns:
                return await drawn(before, after, found.largest[place])

        cards = await asyncio.gather(*map(draw, range(len(found.largest))))
        return Made(found, cards, at)


def mount_diff(app: faust.App, queries: Queries, diffs: Diffs) -> None:
    """Add the routes to an app whose web server has not started."""
    add_page(app, "/diff", _Pages(queries, diffs).show)


class _Pages:
    def __init__(self, queries: Queries, diffs: Diffs) -> None:
        self._queries = queries
        self._diffs = diffs

    async def show(self, request: web.Request) -> web.Response:
        """The two jobs asked for; without both, the form that asks for them."""
        left, right = request.query.get("left", ""), request.query.get("right", "")
        jobs = [row.job.job for row in (await self._queries.jobs(None, _JOBS_NAMED)).items]
        if not left or not right:
            return page("diff.html", jobs=jobs, left=left, right=right, work=None, made=None, document=None)
        work = await self._diffs.get(*await sides(self._queries, left, right))
        made = work.result() if work.over else None
        return page(
            "diff.html",
            jobs=jobs,
            left=left,
            right=right,
            work=work,
            made=made,
            document=None if made is None else to_json(made.found),
            cards=[] if made is None else [_shown(card) for card in made.cards],
            kinds=KINDS,
            most=MOST_COMPARED,
        )


async def sides(queries: Queries, left: str, right: str) -> tuple[JobRow, JobRow]:
    """The two jobs of a request; 400 where they are one, 404 where one is not there."""
    if left == right:
        raise web.HTTPBadRequest(text=f"{left} is the same job twice: name two.")
    return await queries.job(left), await queries.job(right)


def _shown(card: Card) -> dict[str, Any]:
    """A card with its pictures' addresses: of one picture that both sides have, once, so that it is fetched once."""
    pictures = [_picture(side.event) for side in card.sides]
    same = card.sides[0].event.normalised == card.sides[1].event.normalised
    return {
        "card": card,
        "sides": list(zip(card.sides, [pictures[0]] * 2 if same else pictures, strict=True)),
        "pages": [f"/jobs/{side.event.job}/images/{side.event.image_key}" for side in card.sides],
    }


def _picture(event: ImageCatalogued) -> str:
    version = urlencode({"v": event.normalised.sha256[:12]})
    return f"/jobs/{event.job}/images/{event.image_key}/picture?{version}"
