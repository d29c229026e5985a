"""A page that opens from disk: the pictures on which two jobs disagree most, side by side, with what differs.

As the gallery, it has no script of others', no network, and all text is escaped; here nothing runs at all.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from markupsafe import Markup

from watson.compare.difference import Difference
from watson.compare.document import FORMAT, to_json
from watson.compare.masks import load_masks, load_picture
from watson.compare.matching import Kind, Pair
from watson.compare.pictures import Compared
from watson.compare.side import Side
from watson.errors import UserError
from watson.events import ImageCatalogued, MaskRecord
from watson.export.drawing import outline, thumbnail
from watson.export.html import asset, csp_hash, environment
from watson.export.names import file_name
from watson.model.masks import StoredMask

__all__ = ["check_folder", "write_page"]

_DOCUMENT = "diff.json"
_PAGE = "index.html"
_PICTURES = "pictures"
_AT_ONCE = 8
_PIXELS = 900  # of a picture in the page, the long side

KINDS: Mapping[Kind, str] = {
    Kind.LOST: "lost",
    Kind.GAINED: "gained",
    Kind.CATEGORY: "another category",
    Kind.SHAPE: "another shape",
    Kind.UNCHANGED: "unchanged",
}
"""What the page calls each, in the order in which it lists them."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """A mask in one of the two pictures. ``outline`` is an SVG path in pixels of the normalised picture."""

    kind: Kind
    label: str
    outline: str


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two pictures. ``file`` is relative to the page."""

    job: str
    file: str
    width: int
    height: int
    shapes: Sequence[_Shape]


@dataclass(frozen=True, slots=True)
class _Card:
    """One picture with what differs."""

    name: str
    uri: str
    disagreement: float
    sides: tuple[_Side, _Side]
    changes: Sequence[tuple[Kind, str]]


def check_folder(out: Path) -> None:
    """Make sure that a page may be written to ``out``.

    Raises:
        UserError: it is a file, or holds something that is not such a page.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"{out} is a file; name a directory for the page")
    if any(out.iterdir()) and not _is_ours(out):
        raise UserError(f"{out} is not empty, and no page of watson diff; name another directory, or an empty one")


def _is_ours(out: Path) -> bool:
    try:
        document: Any = orjson.loads((out / _DOCUMENT).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return False
    return isinstance(document, dict) and document.get("format") == FORMAT


async def write_page(before: Side, after: Side, found: Difference, out: Path) -> Path:
    """Write ``index.html``, ``diff.json`` and ``pictures/`` into ``out``, over an earlier page; returns the page.

    Args:
        before: the first job that was compared.
        after: the second one.
        found: how they differ.
        out: a new or empty directory, or one with such a page.

    Raises:
        UserError: as `check_folder`.
        Refused: ``OBJECT_MISSING`` or ``OBJECT_ALTERED``; a picture or its masks are gone or damaged.
        Retriable: the store is unavailable.
    """
    await asyncio.to_thread(check_folder, out)
    await asyncio.to_thread(_clear, out)
    cards: list[_Card] = []
    for start in range(0, len(found.largest), _AT_ONCE):
        some = found.largest[start : start + _AT_ONCE]
        cards += await asyncio.gather(
            *(_card((before, after), one, out, start + place) for place, one in enumerate(some, 1))
        )
    await asyncio.to_thread(_write, found, cards, out)
    return out / _PAGE


def _clear(out: Path) -> None:
    (out / _DOCUMENT).unlink(missing_ok=True)
    (out / _PAGE).unlink(missing_ok=True)
    if (out / _PICTURES).exists():
        shutil.rmtree(out / _PICTURES)
    # From here on the directory says that it is ours: a page cut short can be written again.
    out.mkdir(parents=True, exist_ok=True)
    (out / _DOCUMENT).write_bytes(orjson.dumps({"format": FORMAT}))
    (out / _PICTURES).mkdir()


def _write(found: Difference, cards: Sequence[_Card], out: Path) -> None:
    style = asset("watson.export", "gallery.css") + asset("watson.compare", "diff.css")
    page = (
        environment("watson.compare")
        .get_template("diff.html.j2")
        .render(
            found=found,
            document=to_json(found),
            cards=cards,
            kinds=KINDS,
            style=Markup(style),  # noqa: S704 - our own files, and they must match their hash
            style_hash=csp_hash(style),
        )
    )
    (out / _PAGE).write_text(page, encoding="utf-8")
    (out / _DOCUMENT).write_bytes(orjson.dumps(to_json(found), option=orjson.OPT_INDENT_2) + b"\n")


async def _card(sides: tuple[Side, Side], one: Compared, out: Path, number: int) -> _Card:
    if one.before is None or one.after is None or one.pairs is None:
        raise ValueError("only pictures that were compared have a place on the page")
    old, new = await asyncio.gather(load_masks(sides[0].objects, one.before), load_masks(sides[1].objects, one.after))
    picture = await load_picture(sides[0].objects, one.before)
    return await asyncio.to_thread(_drawn, one.before, one.after, one.pairs, (old, new), picture, out, number)


def _drawn(
    before: ImageCatalogued,
    after: ImageCatalogued,
    pairs: Sequence[Pair],
    masks: tuple[Sequence[StoredMask], Sequence[StoredMask]],
    picture: bytes,
    out: Path,
    number: int,
) -> _Card:
    """In a thread: the thumbnail, once for both sides, and the outlines."""
    file = f"{_PICTURES}/{number:04}.jpg"
    (out / file).write_bytes(thumbnail(picture, _PIXELS))
    order = list(KINDS)
    shown = sorted(pairs, key=lambda pair: (order.index(pair.kind), pair.before or 0, pair.after or 0))
    uri = after.original.uri
    return _Card(
        name=file_name(uri),
        uri=uri,
        disagreement=Compared(before, after, tuple(pairs)).disagreement,
        sides=(
            _side(before, file, [(pair.kind, pair.before) for pair in shown], masks[0]),
            _side(after, file, [(pair.kind, pair.after) for pair in shown], masks[1]),
        ),
        changes=[(pair.kind, _said(pair, before, after)) for pair in shown],
    )


def _side(
    event: ImageCatalogued, file: str, places: Sequence[tuple[Kind, int | None]], masks: Sequence[StoredMask]
) -> _Side:
    there = [(kind, place) for kind, place in places if place is not None]
    there.sort(key=lambda entry: -masks[entry[1]].area)  # small ones on top
    shapes = [
        _Shape(kind, _label(event.masks[place]), outline(masks[place].pixels().astype(np.uint8)))
        for kind, place in there
    ]
    return _Side(event.job, file, event.normalised.width, event.normalised.height, shapes)


def _label(mask: MaskRecord) -> str:
    return f"{mask.category} {mask.score:.0%}"


def _said(pair: Pair, before: ImageCatalogued, after: ImageCatalogued) -> str:
    old = _label(before.masks[pair.before]) if pair.before is not None else ""
    new = _label(after.masks[pair.after]) if pair.after is not None else ""
    if not old or not new:
        return old or new
    return f"{old} → {new}, overlap {pair.iou:.0%}"
