"""Looks at a source before a job is made of it: is it there, and how many pictures does it list?"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

from watson.actions.manifest import Unacceptable, source_of
from watson.errors import Refused, UserError
from watson.events import Source
from watson.settings import Settings
from watson.sources import open_source
from watson.sources.roots import allowed_path
from watson.sources.uris import FilePlace, parse_uri

__all__ = ["Looked", "look", "reachable_source"]

_FIRST = 5
_PAGE = 500
_UNREADABLE = "unreadable:"


@dataclass(frozen=True, slots=True)
class Looked:
    """What a source lists.

    Attributes:
        images: entries counted; of a list, lines.
        unreadable: of those, entries that say already that they cannot be read.
        stopped: why it was not counted to the end: too many, or it took too long; empty where it was.
        first: URIs of the first few.
    """

    images: int
    unreadable: int
    stopped: Literal["", "number", "time"]
    first: tuple[str, ...]


async def reachable_source(settings: Settings, text: str, kind: str | None, template: str | None) -> Source:
    """The source that somebody elsewhere means by an absolute path or a URI.

    As `source_of`, but a relative path means nothing, and of what no source may name (docs/decisions/0011) nothing is
    told, not even whether it is there.

    Raises:
        Unacceptable: says what is wrong, and with which field.
    """
    text = text.strip()
    if text and "://" not in text and not text.startswith("/"):
        raise Unacceptable(
            {"source": f"{text!r} is neither an absolute path nor a URI: the workers do not know your folders"}
        )
    if text:
        await asyncio.to_thread(_check_allowed, text, settings)
    try:
        return await asyncio.to_thread(source_of, text, kind, template)
    except OSError as exc:
        raise Unacceptable({"source": f"source {text!r}: {exc.strerror}"}) from exc


def _check_allowed(text: str, settings: Settings) -> None:
    try:
        place = parse_uri(text)
        if isinstance(place, FilePlace):
            allowed_path(place.path, settings)
    except Refused as exc:
        raise Unacceptable({"source": f"source {exc}"}) from exc
    except OSError as exc:
        raise Unacceptable({"source": f"source {text!r}: {exc.strerror}"}) from exc


async def look(
    settings: Settings,
    source: Source,
    *,
    most: int,
    seconds: float,
    turn: AbstractAsyncContextManager[Any] | None = None,
) -> Looked:
    """Count what a source lists, as far as that is quickly done.

    Args:
        settings: of the stores.
        source: as the workers will open it.
        most: entries to count.
        seconds: to take, the wait for its turn not counted.
        turn: what is entered before, so that not too many look at once.

    Raises:
        Unacceptable: it is not there, may not be read, or is not of its kind.
        Retriable: its store is unavailable.
    """
    images = unreadable = 0
    stopped: Literal["", "number", "time"] = ""
    first: list[str] = []
    async with turn or nullcontext():
        try:
            async with (
                asyncio.timeout(seconds),
                open_source(source, settings) as lister,
                aclosing(lister.batches(None, min(_PAGE, most + 1))) as batches,  # type: ignore[type-var]  # a generator
            ):
                async for batch in batches:
                    images += len(batch.entries)
                    unreadable += sum(entry.uri.startswith(_UNREADABLE) for entry in batch.entries)
                    first += [entry.uri for entry in batch.entries[: _FIRST - len(first)]]
                    if images > most:
                        stopped = "number"
                        break
        except TimeoutError:
            stopped = "time"
        except UserError as exc:
            raise Unacceptable({"template" if "template" in str(exc) else "source": str(exc)}) from exc
    return Looked(min(images, most) if stopped == "number" else images, unreadable, stopped, tuple(first))
