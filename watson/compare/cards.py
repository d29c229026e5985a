"""What differs in one picture, drawn: the outline of each mask on both sides, and a line for each change."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from watson.compare.masks import load_masks
from watson.compare.matching import Kind, Pair
from watson.compare.pictures import Compared
from watson.compare.side import Side
from watson.events import ImageCatalogued, MaskRecord
from watson.export.drawing import outline
from watson.export.names import file_name
from watson.model.masks import StoredMask

__all__ = ["KINDS", "Card", "CardSide", "Shape", "drawn"]

KINDS: Mapping[Kind, str] = {
    Kind.LOST: "lost",
    Kind.GAINED: "gained",
    Kind.CATEGORY: "another category",
    Kind.SHAPE: "another shape",
    Kind.UNCHANGED: "unchanged",
}
"""What pages call each, in the order in which they list them."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A mask in one of the two pictures. ``outline`` is an SVG path in pixels of the normalised picture."""

    kind: Kind
    label: str
    outline: str


@dataclass(frozen=True, slots=True)
class CardSide:
    """One of the two pictures, and the masks in it."""

    event: ImageCatalogued
    shapes: Sequence[Shape]

    @property
    def job(self) -> str:
        """Whose it is."""
        return self.event.job

    @property
    def width(self) -> int:
        """Pixels of the normalised picture."""
        return self.event.normalised.width

    @property
    def height(self) -> int:
        """Likewise."""
        return self.event.normalised.height


@dataclass(frozen=True, slots=True)
class Card:
    """One picture with what differs."""

    name: str
    uri: str
    disagreement: float
    sides: tuple[CardSide, CardSide]
    changes: Sequence[tuple[Kind, str]]


async def drawn(before: Side, after: Side, one: Compared) -> Card:
    """Draw a picture that was compared.

    Raises:
        Refused: ``OBJECT_MISSING`` or ``OBJECT_ALTERED``; its masks are gone or damaged.
        Retriable: the store is unavailable.
    """
    if one.before is None or one.after is None or one.pairs is None:
        raise ValueError("only pictures that were compared can be drawn")
    old, new = await asyncio.gather(load_masks(before.objects, one.before), load_masks(after.objects, one.after))
    return await asyncio.to_thread(_card, one.before, one.after, one.pairs, (old, new))


def _card(
    before: ImageCatalogued,
    after: ImageCatalogued,
    pairs: Sequence[Pair],
    masks: tuple[Sequence[StoredMask], Sequence[StoredMask]],
) -> Card:
    order = list(KINDS)
    shown = sorted(pairs, key=lambda pair: (order.index(pair.kind), pair.before or 0, pair.after or 0))
    uri = after.original.uri
    return Card(
        name=file_name(uri),
        uri=uri,
        disagreement=Compared(before, after, tuple(pairs)).disagreement,
        sides=(
            _side(before, [(pair.kind, pair.before) for pair in shown], masks[0]),
            _side(after, [(pair.kind, pair.after) for pair in shown], masks[1]),
        ),
        changes=[(pair.kind, _said(pair, before, after)) for pair in shown],
    )


def _side(event: ImageCatalogued, places: Sequence[tuple[Kind, int | None]], masks: Sequence[StoredMask]) -> CardSide:
    there = [(kind, place) for kind, place in places if place is not None]
    there.sort(key=lambda entry: -masks[entry[1]].area)  # small ones on top
    shapes = [
        Shape(kind, _label(event.masks[place]), outline(masks[place].pixels().astype(np.uint8)))
        for kind, place in there
    ]
    return CardSide(event, shapes)


def _label(mask: MaskRecord) -> str:
    return f"{mask.category} {mask.score:.0%}"


def _said(pair: Pair, before: ImageCatalogued, after: ImageCatalogued) -> str:
    old = _label(before.masks[pair.before]) if pair.before is not None else ""
    new = _label(after.masks[pair.after]) if pair.after is not None else ""
    if not old or not new:
        return old or new
    return f"{old} → {new}, overlap {pair.iou:.0%}"
