"""The cards of a gallery: a picture, its masks and where to see more of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from watson.events import ImageCatalogued, MaskRecord
from watson.storage.uncertainty import doubt
from watson.web.gallery.view import View
from watson.web.images import overlay_version
from watson.web.palette import colour
from watson.web.rendering import LARGE_THUMBNAIL, THUMBNAIL_LIMIT

__all__ = ["FROM_GALLERY", "Card", "Legend", "address_of", "legend_of", "overlay_address", "picture_addresses"]

FROM_GALLERY = {"gallery": "1"}
"""In the address of an image's page: the rest of it is the gallery's, where the visitor came from."""

_CHIPS = 6
_THUMBNAILS = (THUMBNAIL_LIMIT, LARGE_THUMBNAIL)


def address_of(event: ImageCatalogued) -> str:
    """Of the image's page."""
    return f"/jobs/{event.job}/images/{event.image_key}"  # a job's id is safe in a path (see `JobId`)


def overlay_address(event: ImageCatalogued, chosen: Sequence[int], size: int | None = None) -> str | None:
    """Of the overlay of some masks; None where none is to be drawn."""
    if not chosen:
        return None
    return f"{address_of(event)}/overlay.png?{_drawn(event, chosen, size)}"


def picture_addresses(event: ImageCatalogued) -> tuple[str, str]:
    """Of the picture itself, and of its thumbnail."""
    version = urlencode({"v": event.normalised.sha256[:12]})
    return f"{address_of(event)}/picture?{version}", f"{address_of(event)}/thumbnail.jpg?{version}"


def _drawn(event: ImageCatalogued, chosen: Sequence[int], size: int | None = None) -> str:
    query: list[tuple[str, str]] = [("v", overlay_version(event))]
    if size is not None:
        query.append(("size", str(size)))
    if len(chosen) < len(event.masks):
        query.extend(("mask", str(index)) for index in chosen)
    return urlencode(query)


@dataclass(frozen=True, slots=True)
class Chip:
    """One mask in a card's list."""

    mask: MaskRecord
    colour: str
    page: str


@dataclass(frozen=True, slots=True)
class Card:
    """One picture of a gallery. Of its masks those are drawn that make it wanted.

    Attributes:
        page: the image's, which knows the way back.
        drawing: address of the masks for the script, which adds the size; None where none is wanted.
        overlay: address of the masks for browsers without it, but for hidden categories.
        chips: the best masks.
        further: wanted masks beyond those.
        others: masks that were not asked for.
    """

    event: ImageCatalogued
    page: str
    thumbnail: str
    drawing: str | None
    overlay: str | None
    chips: list[Chip]
    further: int
    others: int
    uncertainty: float

    @classmethod
    def of(cls, event: ImageCatalogued, view: View) -> Card:
        """The card of an image in a view."""
        page = view.address(address_of(event), FROM_GALLERY)
        shown = [mask for mask in event.masks if view.wanted.admits_mask(event, mask)]
        indices = [mask.index for mask in shown]
        best = sorted(shown, key=lambda mask: (-mask.score, mask.index))[:_CHIPS]
        return cls(
            event=event,
            page=page,
            thumbnail=picture_addresses(event)[1],
            drawing=f"{address_of(event)}/masks.json?{_drawn(event, indices)}" if shown else None,
            overlay=overlay_address(
                event, [mask.index for mask in shown if view.shows(mask.category)], THUMBNAIL_LIMIT
            ),
            chips=[Chip(mask, colour(mask.category_id), f"{page}&chosen=1&mask={mask.index}") for mask in best],
            further=len(shown) - len(best),
            others=len(event.masks) - len(shown),
            uncertainty=doubt(event).value,
        )

    @property
    def sharper(self) -> str:
        """Address of a thumbnail for large cards and fine screens."""
        return f"{self.thumbnail}&size={LARGE_THUMBNAIL}"

    @property
    def widths(self) -> tuple[int, int] | None:
        """Pixels of the thumbnail's width and of the sharper one's; None where that would not be any sharper."""
        width, height = self.event.normalised.width, self.event.normalised.height
        if max(width, height) <= THUMBNAIL_LIMIT:
            return None
        each = [max(1, round(width * min(1.0, limit / max(width, height)))) for limit in _THUMBNAILS]
        return each[0], each[1]

    def width_at(self, height: int) -> int:
        """Pixels that the card is wide at least where its picture is so high."""
        return max(1, round(height * self.event.normalised.width / self.event.normalised.height))

    @property
    def names(self) -> list[str]:
        """The categories of all masks, that of the best one first."""
        return list(dict.fromkeys(mask.category for mask in sorted(self.event.masks, key=lambda mask: -mask.score)))


@dataclass(frozen=True, slots=True)
class Legend:
    """One category of the pictures on a page.

    Attributes:
        shown: whether its masks are drawn.
        toggle: address of the same page where that is the other way round.
    """

    name: str
    colour: str
    masks: int
    shown: bool
    toggle: str


def legend_of(events: Sequence[ImageCatalogued], view: View, here: str) -> list[Legend]:
    """The categories whose masks are on a page, those with the most of them first."""
    counts: Counter[str] = Counter()
    numbers: dict[str, int] = {}
    for event in events:
        for mask in event.masks:
            if view.wanted.admits_mask(event, mask):
                counts[mask.category] += 1
                numbers.setdefault(mask.category, mask.category_id)
    names = sorted(counts, key=lambda name: (-counts[name], name))
    return [
        Legend(name, colour(numbers[name]), counts[name], view.shows(name), view.toggled(name).address(here))
        for name in names
    ]
