"""The picture that a dead letter is about, small: the normalised one where there is one already, else the original.

A record of the log may be forged. Of normalised pictures only objects are read that Watson wrote, and by their hash;
of originals only what a source may name (docs/decisions/0011), never by http; what is served was decoded and made anew.
"""

from __future__ import annotations

import asyncio

import faust
from aiohttp import web
from cachetools import LRUCache

from watson.errors import ReasonCode, Refused, Retriable
from watson.events import FailedRecord, ImageDiscovered, ImagePreprocessed, ImageSegmented, Record, decode
from watson.imaging.normalise import normalise
from watson.settings import Settings
from watson.sources import Reader
from watson.sources.uris import HttpPlace, parse_uri
from watson.storage.catalogue import Catalogue, DeadLetterRow
from watson.web.guard import add_page
from watson.web.images import Images
from watson.web.queries import uuid_of
from watson.web.rendering import THUMBNAIL_LIMIT, thumbnail

__all__ = ["has_picture", "mount_pictures_of_letters"]

_MOST_BYTES = 64_000_000  # of an original
_MOST_PIXELS = 40_000_000  # 120 MB of memory, where a format cannot be decoded at a smaller size
_AT_ONCE = 2
_KEPT_BYTES = 8_000_000
_MOST_KEPT = 100_000  # of one picture

_NO_PICTURE = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 3" width="160" height="120">'
    b'<rect width="4" height="3" fill="#8884"/></svg>'
)

# Where one of these is the reason, the original is not there, may not be read, or is no picture that decodes.
_HOPELESS = frozenset(
    {
        ReasonCode.EMPTY_FILE, ReasonCode.NOT_AN_IMAGE, ReasonCode.UNSUPPORTED_FORMAT, ReasonCode.TRUNCATED,
        ReasonCode.CORRUPT, ReasonCode.TOO_MANY_PIXELS, ReasonCode.TOO_LARGE, ReasonCode.OBJECT_MISSING,
        ReasonCode.ACCESS_DENIED, ReasonCode.SOURCE_INVALID, ReasonCode.UNDECODABLE_EVENT,
    }
)  # fmt: skip

_PastPreprocess = ImagePreprocessed | ImageSegmented


def has_picture(row: DeadLetterRow) -> bool:
    """Whether there may be a picture to show: a first look, that reads nothing."""
    event = row.event
    if event.failed.topic in (ImagePreprocessed.topic, ImageSegmented.topic):
        return True
    return event.failed.topic == ImageDiscovered.topic and (row.resolved or event.reason not in _HOPELESS)


def mount_pictures_of_letters(
    app: faust.App, catalogue: Catalogue, images: Images, reader: Reader, settings: Settings
) -> None:
    """Add the route to an app whose web server has not started."""
    add_page(
        app, "/jobs/{job}/dead-letters/{letter}/thumbnail", _Pictures(catalogue, images, reader, settings).thumbnail
    )


class _Pictures:
    def __init__(self, catalogue: Catalogue, images: Images, reader: Reader, settings: Settings) -> None:
        self._catalogue = catalogue
        self._images = images
        self._reader = reader
        self._most_pixels = min(settings.max_pixels, _MOST_PIXELS)
        self._most_bytes = min(settings.max_bytes, _MOST_BYTES)
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._kept: LRUCache[tuple[str, str], bytes] = LRUCache(_KEPT_BYTES, getsizeof=len)

    async def thumbnail(self, request: web.Request) -> web.Response:
        """A small JPEG; a grey field where there is no picture, or none that may be shown."""
        job, letter = request.match_info["job"], uuid_of(request.match_info["letter"])
        row = await self._catalogue.dead_letter(job, letter)
        if row is None:
            raise web.HTTPNotFound(text=f"Job {job!r} has no dead letter {letter}.")
        place = (job, str(letter))
        try:
            if (data := self._kept.get(place)) is None:
                async with self._turns:
                    data = await self._made(row)
        except (Refused, Retriable):
            return web.Response(
                body=_NO_PICTURE, content_type="image/svg+xml", headers={"Cache-Control": "private, max-age=60"}
            )
        if len(data) <= _MOST_KEPT:
            self._kept[place] = data
        return web.Response(body=data, content_type="image/jpeg", headers={"Cache-Control": "private, max-age=600"})

    async def _made(self, row: DeadLetterRow) -> bytes:
        event = decode(_record(row.event.failed))
        if isinstance(event, _PastPreprocess):
            return await self._images.small(event.normalised)
        if not isinstance(event, ImageDiscovered) or isinstance(parse_uri(event.original.uri), HttpPlace):
            raise Refused(ReasonCode.SOURCE_INVALID, "there is no picture that may be shown")
        data = await self._reader.read(event.original.uri, self._most_bytes, event.within)
        return await self._images.in_thread(lambda: self._small(data))

    def _small(self, data: bytes) -> bytes:
        made = normalise(data, long_side=THUMBNAIL_LIMIT, max_pixels=self._most_pixels)
        return made.bytes if made.suffix == "jpg" else thumbnail(made.bytes, made.width, made.height)


def _record(failed: FailedRecord) -> Record:
    return Record(
        topic=failed.topic,
        partition=failed.partition,
        offset=failed.offset or 0,
        key=failed.key,
        value=failed.value,
        headers=failed.headers,
        timestamp=0.0,
    )
