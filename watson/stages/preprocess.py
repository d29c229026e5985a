"""preprocess: fetch the original, hash it, decode and normalise it, store the result.

Reads the original; puts ``preprocessed/<version>/<sha256 of the original>.jpg|png``, and beside it what it is
(`watson.stages.known_pictures`). Where both are there already and the picture has the sha256 that was written down, it
is used and the original is not decoded: another job over the same pictures, or this event once more. Else it is made,
the same bytes under the same key. So the object is always whole, the sha256 in the event is the object's, and one that
was damaged is made good again. A repair always makes it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from watson.events import ImageDiscovered, ImageEvent, ImagePreprocessed, Normalised, Stage
from watson.imaging import NormalisedPicture, normalise, preprocessing_version
from watson.settings import Settings
from watson.stages.known_pictures import KnownPicture, known_picture, remember_picture
from watson.storage.objects import ObjectStore

__all__ = ["OriginalReader", "PreprocessStage", "object_key"]

Made = TypeVar("Made")

_CONTENT_TYPES = {"jpg": "image/jpeg", "png": "image/png"}

_PLACES_PER_THREAD = 4
"""Originals held in memory for each decoding thread: enough to hide the source's latency, and the bound on memory
(so many times ``max_bytes`` at worst) when a source is full of giants."""


class OriginalReader(Protocol):
    """Where originals come from."""

    async def read(self, uri: str, limit: int, within: str | None = None) -> bytes:
        """The original's bytes.

        Raises:
            Refused: it is not there, may not be read, is a file outside of the directory ``within``, or has more than
                ``limit`` bytes.
            Retriable: the source is unavailable.
        """
        ...


class PreprocessStage:
    """Makes `ImagePreprocessed` of `ImageDiscovered`. Decodes in its own threads, never on the event loop.

    Args:
        objects: where the normalised picture goes.
        reader: where the original comes from.
        settings: ``threads``, ``max_bytes``, ``max_pixels``.
    """

    name: Stage = "preprocess"
    accepts: type[ImageEvent] = ImageDiscovered

    def __init__(self, objects: ObjectStore, reader: OriginalReader, settings: Settings) -> None:
        self._objects = objects
        self._reader = reader
        self._settings = settings
        self._threads: ThreadPoolExecutor | None = None
        self._places = asyncio.Semaphore(_PLACES_PER_THREAD * settings.threads)

    async def open(self) -> None:
        """Start the threads."""
        self._threads = ThreadPoolExecutor(self._settings.threads, thread_name_prefix="decode")

    async def close(self) -> None:
        """Let the threads go; a picture in a decoder is finished, those that wait are dropped."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    async def handle(self, event: ImageDiscovered) -> ImagePreprocessed:
        """Normalise one picture.

        What the listing said of the size is not held against the bytes: the event tells what was read.

        Raises:
            Refused: the picture cannot be decoded, or is not there.
            Retriable: the source or the object store is unavailable.
        """
        return await self._handle(event, reuse=True)

    async def repair(self, event: ImageDiscovered, before: ImageEvent | None) -> ImagePreprocessed:  # noqa: ARG002 - the protocol's
        """Read the original and put the picture again; an original that has changed since is another picture."""
        return await self._handle(event, reuse=False)

    async def _handle(self, event: ImageDiscovered, *, reuse: bool) -> ImagePreprocessed:
        version = preprocessing_version(event.options.long_side)
        async with self._places:  # the original's bytes are gone when the place is free again
            data = await self._reader.read(event.original.uri, self._settings.max_bytes, event.within)
            size, sha256 = len(data), await self._in_thread(_sha256, data)
            known = await known_picture(self._objects, version, sha256) if reuse else None
            if known is not None and known.original_width * known.original_height > self._settings.max_pixels:
                known = None  # it was made where more is allowed; here it is refused
            if known is None:
                picture = await self._in_thread(_normalised, data, event.options.long_side, self._settings.max_pixels)
            del data
        if known is None:
            known = await self._put(picture, version, sha256)
        return _said(event, known, version=version, size=size, sha256=sha256)

    async def _put(self, picture: NormalisedPicture, version: str, original_sha256: str) -> KnownPicture:
        known = KnownPicture(
            object=object_key(version, original_sha256, picture.suffix),
            sha256=await self._in_thread(_sha256, picture.bytes),
            width=picture.width,
            height=picture.height,
            original_width=picture.original_width,
            original_height=picture.original_height,
            original_format=picture.format,
        )
        await self._objects.put(known.object, picture.bytes, _CONTENT_TYPES[picture.suffix])
        await remember_picture(self._objects, version, original_sha256, known)
        return known

    async def _in_thread(self, make: Callable[..., Made], *arguments: object) -> Made:
        if self._threads is None:
            raise RuntimeError("PreprocessStage.open() was not called")
        return await asyncio.get_running_loop().run_in_executor(self._threads, make, *arguments)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _normalised(data: bytes, long_side: int, max_pixels: int) -> NormalisedPicture:
    return normalise(data, long_side=long_side, max_pixels=max_pixels)


def _said(event: ImageDiscovered, known: KnownPicture, *, version: str, size: int, sha256: str) -> ImagePreprocessed:
    """The event; ``size`` and ``sha256`` are of the original."""
    return ImagePreprocessed(
        job=event.job,
        image_key=event.image_key,
        dataset=event.dataset,
        original=event.original.model_copy(
            update={
                "size": size,
                "sha256": sha256,
                "width": known.original_width,
                "height": known.original_height,
                "format": known.original_format,
            }
        ),
        normalised=Normalised(
            object=known.object,
            sha256=known.sha256,
            width=known.width,
            height=known.height,
            version=version,
        ),
        model=event.model,
        options=event.options,
    )


def object_key(version: str, original_sha256: str, suffix: str) -> str:
    """Key of a normalised picture in the object store."""
    return f"preprocessed/{version}/{original_sha256}.{suffix}"
