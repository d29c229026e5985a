"""A page that opens from disk: the pictures on which two jobs disagree most, side by side, with what differs.

As the gallery, it has no script of others', no network, and all text is escaped; here nothing runs at all.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from markupsafe import Markup

from watson.compare.cards import KINDS, Card, drawn
from watson.compare.difference import Difference
from watson.compare.document import FORMAT, to_json
from watson.compare.masks import load_picture
from watson.compare.pictures import Compared
from watson.compare.side import Side
from watson.errors import UserError
from watson.export.drawing import thumbnail
from watson.export.html import asset, csp_hash, environment

__all__ = ["check_folder", "write_page"]

_DOCUMENT = "diff.json"
_PAGE = "index.html"
_PICTURES = "pictures"
_AT_ONCE = 8
_PIXELS = 900  # of a picture in the page, the long side

_Card = tuple[str, Card]
"""A picture's file, relative to the page, and what differs in it."""


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
    card = await drawn(*sides, one)
    picture = await load_picture(sides[0].objects, card.sides[0].event)
    file = f"{_PICTURES}/{number:04}.jpg"
    await asyncio.to_thread(_write_picture, picture, out / file)
    return file, card


def _write_picture(picture: bytes, path: Path) -> None:
    """Once for both sides."""
    path.write_bytes(thumbnail(picture, _PIXELS))
