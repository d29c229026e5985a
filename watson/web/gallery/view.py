"""What a visitor looks at: the filter, the order and how it is drawn. All of it stands in the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import urlencode

from aiohttp import web
from pydantic import ValidationError

from watson.storage.wanted import Order, Wanted
from watson.web.queries import after_of

__all__ = ["SIZES", "View", "order_of", "wanted_of"]

SIZES = {"small": 120, "medium": 160, "large": 310}
"""Sizes of the cards, and the height of their pictures in pixels, as the style sheet has it."""

_BOUNDS = ("least_score", "most_score", "least_area", "most_area")


def wanted_of(request: web.Request) -> Wanted:
    """What is looked for: ``category`` (several), least and most ``score`` and ``area``, ``nothing=1``; 400 if wrong.

    What is left empty, as forms do, is not asked for.
    """
    query = request.query
    fields: dict[str, Any] = {"categories": tuple(dict.fromkeys(name for name in query.getall("category", []) if name))}
    fields |= {name: query[name].strip() for name in _BOUNDS if query.get(name, "").strip()}
    if query.get("nothing"):
        fields["nothing"] = _switch("nothing", query["nothing"])
    try:
        return Wanted.model_validate(fields)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise web.HTTPBadRequest(text=f"{place}: {message}" if place else message) from exc


def order_of(request: web.Request) -> Order:
    """How images are to be ordered; 400 where there is no such order."""
    text = request.query.get("order") or Order.KEY
    if text not in set(Order):
        raise web.HTTPBadRequest(text=f"order={text!r}: one of {', '.join(Order)} is wanted.")
    return Order(text)


@dataclass(frozen=True, slots=True)
class View:
    """One page of a gallery.

    Attributes:
        after: cursor of the page; None for the first one.
        size: of the cards, one of `SIZES`.
        drawn: whether masks are drawn.
        exceptions: categories for which it is the other way round.
    """

    wanted: Wanted = field(default_factory=Wanted)
    order: Order = Order.KEY
    after: str | None = None
    size: str = "medium"
    drawn: bool = True
    exceptions: frozenset[str] = frozenset()

    @classmethod
    def of(cls, request: web.Request) -> Self:
        """The view that an address asks for; 400 where it makes no sense."""
        size = request.query.get("size") or "medium"
        if size not in SIZES:
            raise web.HTTPBadRequest(text=f"size={size!r}: one of {', '.join(SIZES)} is wanted.")
        drawn = _switch("masks", request.query.get("masks") or "1")
        return cls(
            wanted=wanted_of(request),
            order=order_of(request),
            after=after_of(request),
            size=size,
            drawn=drawn,
            exceptions=frozenset(request.query.getall("hide" if drawn else "show", [])),
        )

    def shows(self, category: str) -> bool:
        """Whether masks of the category are drawn."""
        return self.drawn != (category in self.exceptions)

    def but(self, **changes: Any) -> View:
        """The view with another page, order or way of drawing."""
        return replace(self, **changes)

    def toggled(self, category: str) -> View:
        """The view with a category's masks shown where they were hidden, or hidden where they were shown."""
        return self.but(exceptions=self.exceptions ^ {category})

    @property
    def drawing(self) -> list[tuple[str, str]]:
        """Of `pairs`, those that say which masks are drawn."""
        pairs = [] if self.drawn else [("masks", "0")]
        return pairs + [("hide" if self.drawn else "show", name) for name in sorted(self.exceptions)]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Names and values of the address, without what is as it is by default."""
        wanted, pairs = self.wanted, [("category", name) for name in self.wanted.categories]
        every = Wanted()
        pairs += [
            (name, str(getattr(wanted, name))) for name in _BOUNDS if getattr(wanted, name) != getattr(every, name)
        ]
        if wanted.nothing:
            pairs.append(("nothing", "1"))
        if self.order is not Order.KEY:
            pairs.append(("order", self.order.value))
        if self.size != "medium":
            pairs.append(("size", self.size))
        pairs += self.drawing
        if self.after is not None:
            pairs.append(("after", self.after))
        return pairs

    def address(self, path: str, more: Mapping[str, str] | None = None) -> str:
        """The address of this view at a path."""
        query = urlencode([*self.pairs, *(more or {}).items()])
        return f"{path}?{query}" if query else path


def _switch(name: str, text: str) -> bool:
    if text not in ("0", "1"):
        raise web.HTTPBadRequest(text=f"{name}={text!r}: 0 or 1 is wanted.")
    return text == "1"
