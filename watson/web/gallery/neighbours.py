"""The way from picture to picture within the gallery that a visitor came from."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from watson.events import ImageCatalogued
from watson.web.gallery.cards import FROM_GALLERY, address_of
from watson.web.gallery.view import View
from watson.web.queries import Queries

__all__ = ["ON_A_PAGE", "Neighbours", "neighbours"]

ON_A_PAGE = 60
"""Pictures."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Where to go from an image's page.

    Attributes:
        gallery: address of the gallery's page on which the picture is.
        previous: address of the picture before; None for the first of a page, whose gallery is one page back.
        following: address of the picture after; None for the last of all.
        carried: what keeps the way in a form's address.
    """

    gallery: str
    previous: str | None
    following: str | None
    carried: list[tuple[str, str]]


async def neighbours(queries: Queries, request: web.Request, event: ImageCatalogued) -> Neighbours | None:
    """The way on from an image; None where the visitor does not come from a gallery.

    Asks for the gallery's page once more, and for the first picture of the next page where this is the last of one.
    """
    if "gallery" not in request.query:
        return None
    view = View.of(request)
    found = await queries.find(event.job, view.wanted, view.order, view.after, ON_A_PAGE)
    keys = [one.image_key for one in found.items]
    gallery = view.address(f"/jobs/{event.job}/gallery")
    carried = [*view.pairs, *FROM_GALLERY.items()]
    if event.image_key not in keys:  # the picture was catalogued again meanwhile, or the address was made up
        return Neighbours(gallery, None, None, carried)
    place = keys.index(event.image_key)
    previous = view.address(address_of(found.items[place - 1]), FROM_GALLERY) if place else None
    following: str | None
    if place + 1 < len(keys):
        following = view.address(address_of(found.items[place + 1]), FROM_GALLERY)
    else:
        following = await _first_of_next(queries, view, event.job, found.cursor)
    return Neighbours(gallery, previous, following, carried)


async def _first_of_next(queries: Queries, view: View, job: str, cursor: str | None) -> str | None:
    if cursor is None:
        return None
    first = (await queries.find(job, view.wanted, view.order, cursor, 1)).items
    return view.but(after=cursor).address(address_of(first[0]), FROM_GALLERY) if first else None
