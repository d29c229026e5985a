"""Pictures, masks over them, and thumbnails, from the object store to the browser.

Only objects that a catalogued image's row refers to are served, and only where their keys are those of normalised
pictures and of masks: a forged row cannot be used to read anything else. Their hashes are checked.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import orjson
from aiohttp import web
from cachetools import LRUCache

from watson.errors import ReasonCode, Refused
from watson.events import ImageCatalogued, Normalised
from watson.model.masks import StoredMask, decode_masks
from watson.settings import Settings
from watson.storage.keys import MASKS_KEY, PICTURE_KEY
from watson.storage.objects import ObjectStore
from watson.web.palette import colour
from watson.web.queries import Queries
from watson.web.rendering import (
    LARGE_THUMBNAIL,
    OVERLAY_LIMIT,
    THUMBNAIL_LIMIT,
    VERSION,
    overlay,
    run_lengths,
    thumbnail,
)

__all__ = ["Images", "overlay_version"]

Made = TypeVar("Made")

_TYPES = {"jpg": "image/jpeg", "png": "image/png"}
_PICTURE_LIMIT = 256_000_000  # bytes; a PNG of 8192 × 8192 pixels at most
_MASKS_LIMIT = 32_000_000
_CACHE_BYTES = 64_000_000
_IMMUTABLE = "private, max-age=31536000, immutable"
_LEAST_OVERLAY = 16


class Images:
    """Routes under ``/jobs/{job}/images/{image_key}/``: picture, its thumbnail and its masks, as PNG and as JSON.

    Every answer has an entity tag of its content. With ``?v=`` as the pages write it, browsers never ask again.
    """

    def __init__(self, queries: Queries, objects: ObjectStore, settings: Settings) -> None:
        self._queries = queries
        self._objects = objects
        # Its own pool bounds the CPU that viewers take; what waits for a thread is bounded by the answer's time limit.
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="web-images")
        self._made: LRUCache[str, bytes] = LRUCache(_CACHE_BYTES, getsizeof=len)

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def picture(self, request: web.Request) -> web.StreamResponse:
        """The normalised picture, as it is in the store."""
        event = await self._event(request)
        suffix = _checked_key(PICTURE_KEY, event.normalised.object).group(1)
        sha256 = event.normalised.sha256
        return await self._answer(
            request,
            tag=sha256,
            version=sha256[:12],
            content_type=_TYPES[suffix],
            make=lambda: self._picture(event.normalised),
        )

    async def thumbnail(self, request: web.Request) -> web.StreamResponse:
        """A small JPEG of the picture, without masks; ``?size=640`` makes it larger."""
        event = await self._event(request)
        limit = _thumbnail_size(request)

        tag = _digest("thumbnail", event.normalised.sha256, str(limit))
        return await self._answer(
            request,
            tag=tag,
            version=event.normalised.sha256[:12],
            content_type="image/jpeg",
            make=lambda: self.small(event.normalised, limit),
            keep=True,
        )

    async def overlay(self, request: web.Request) -> web.StreamResponse:
        """The catalogued masks as a transparent PNG; ``?mask=0&mask=2`` chooses some, ``?size=320`` bounds its side."""
        return await self._drawn(request, "overlay", "image/png", _compose)

    async def masks(self, request: web.Request) -> web.StreamResponse:
        """The same masks for a browser that draws them itself: small run lengths with their colours, as JSON."""
        return await self._drawn(request, "masks", "application/json", _run_lengths)

    async def _drawn(
        self,
        request: web.Request,
        name: str,
        content_type: str,
        draw: Callable[[list[StoredMask], ImageCatalogued, int], bytes],
    ) -> web.StreamResponse:
        event = await self._event(request)
        chosen = _chosen_masks(request, event)
        limit = _overlay_size(request)

        async def make() -> bytes:
            _checked_key(MASKS_KEY, event.masks_object)
            data = await self._fetch(event.masks_object, event.masks_sha256, _MASKS_LIMIT)
            return await self.in_thread(lambda: draw(_largest_first(data, event, chosen), event, limit))

        tag = _digest(name, overlay_version(event), ",".join(map(str, chosen)), str(limit))
        return await self._answer(
            request, tag=tag, version=overlay_version(event), content_type=content_type, make=make, keep=True
        )

    async def _event(self, request: web.Request) -> ImageCatalogued:
        return await self._queries.image(request.match_info["job"], request.match_info["image_key"])

    async def small(self, normalised: Normalised, limit: int = THUMBNAIL_LIMIT) -> bytes:
        """A JPEG of a normalised picture; raises `Refused` where it is not what the event says, or not Watson's."""
        data = await self._picture(normalised)
        return await self.in_thread(lambda: thumbnail(data, normalised.width, normalised.height, limit))

    async def in_thread(self, work: Callable[[], Made]) -> Made:
        """Do CPU work in the threads that are for pictures."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _picture(self, normalised: Normalised) -> bytes:
        _checked_key(PICTURE_KEY, normalised.object)
        return await self._fetch(normalised.object, normalised.sha256, _PICTURE_LIMIT)

    async def _fetch(self, key: str, sha256: str, limit: int) -> bytes:
        data = await self._objects.get(key, limit)
        found = await self.in_thread(lambda: hashlib.sha256(data).hexdigest())
        if found != sha256:
            raise Refused(ReasonCode.OBJECT_ALTERED, f"{key} has sha256 {found}, not {sha256} as catalogued.")
        return data

    async def _answer(
        self,
        request: web.Request,
        *,
        tag: str,
        version: str,
        content_type: str,
        make: Callable[[], Awaitable[bytes]],
        keep: bool = False,
    ) -> web.StreamResponse:
        """304 where the browser has it, else the bytes, from the cache where they were made before."""
        immutable = request.query.get("v") == version
        headers = {"ETag": f'"{tag}"', "Cache-Control": _IMMUTABLE if immutable else "private, no-cache"}
        if any(known.value in (tag, "*") for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        body = self._made.get(tag)
        if body is None:
            body = await make()
            if keep and len(body) <= self._made.maxsize:
                self._made[tag] = body
        return web.Response(body=body, content_type=content_type, headers=headers)


def overlay_version(event: ImageCatalogued) -> str:
    """Changes whenever the masks of an image do; goes into the overlay's address as ``v``."""
    return _digest("drawn", event.masks_sha256, ",".join(str(mask.index) for mask in event.masks))[:12]


def _largest_first(data: bytes, event: ImageCatalogued, chosen: list[int]) -> list[StoredMask]:
    """Some masks of an image, so that each lies on top of those that are larger."""
    file = decode_masks(data)
    size = (event.normalised.width, event.normalised.height)
    if (file.width, file.height) != size or any(index >= len(file.masks) for index in chosen):
        raise Refused(
            ReasonCode.OBJECT_ALTERED, f"{event.masks_object} does not hold the masks that the catalogue names."
        )
    return sorted((file.masks[index] for index in chosen), key=lambda mask: (-mask.area, mask.index))


# Both decode one mask at a time: a large picture's masks take much memory.
def _compose(masks: list[StoredMask], event: ImageCatalogued, limit: int) -> bytes:
    pixels = ((mask.category_id, mask.pixels()) for mask in masks)
    return overlay(pixels, event.normalised.width, event.normalised.height, limit)


def _run_lengths(masks: list[StoredMask], event: ImageCatalogued, limit: int) -> bytes:
    pixels = (mask.pixels() for mask in masks)
    size, counts = run_lengths(pixels, event.normalised.width, event.normalised.height, limit)
    return orjson.dumps(
        {
            "size": size,
            "masks": [
                {"index": mask.index, "category": mask.category, "colour": colour(mask.category_id), "counts": runs}
                for mask, runs in zip(masks, counts, strict=True)
            ],
        }
    )


def _chosen_masks(request: web.Request, event: ImageCatalogued) -> list[int]:
    known = [mask.index for mask in event.masks]
    asked = request.query.getall("mask", [])
    if not asked:
        return known
    texts = {str(index): index for index in known}
    if unknown := [text for text in asked if text not in texts]:
        raise web.HTTPBadRequest(text=f"mask={unknown[0]!r}: this image has no such mask.")
    return sorted({texts[text] for text in asked})


def _thumbnail_size(request: web.Request) -> int:
    text = request.query.get("size", str(THUMBNAIL_LIMIT))
    if text not in (str(THUMBNAIL_LIMIT), str(LARGE_THUMBNAIL)):  # two alone: each is kept in the cache
        raise web.HTTPBadRequest(text=f"size={text!r}: {THUMBNAIL_LIMIT} or {LARGE_THUMBNAIL} is wanted.")
    return int(text)


def _overlay_size(request: web.Request) -> int:
    text = request.query.get("size", str(OVERLAY_LIMIT))
    if not text.isascii() or not text.isdigit() or not _LEAST_OVERLAY <= int(text[:9]) <= OVERLAY_LIMIT:
        raise web.HTTPBadRequest(
            text=f"size={text!r}: a whole number of pixels from {_LEAST_OVERLAY} to {OVERLAY_LIMIT} is wanted."
        )
    return int(text)


def _checked_key(pattern: re.Pattern[str], key: str) -> re.Match[str]:
    if found := pattern.fullmatch(key):
        return found
    raise Refused(ReasonCode.ACCESS_DENIED, f"The catalogue names {key!r}, which is not an object that Watson wrote.")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join((VERSION, *parts)).encode()).hexdigest()[:32]
