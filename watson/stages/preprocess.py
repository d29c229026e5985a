"""preprocess: fetch the original, hash it, decode and normalise it, store the result.

Reads the original and nothing else; puts ``preprocessed/<version>/<sha256 of the original>.jpg|png``. Done twice, it
writes the same bytes under the same key: it always decodes and always puts, because only that proves that the object
is whole and that the sha256 in the event is the object's. A stored object that was damaged is so made good again.
"""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from watson.events import ImageDiscovered, ImageEvent, ImagePreprocessed, Normalised, Stage
from watson.imaging import NormalisedPicture, normalise, preprocessing_version
from watson.settings import Settings
from watson.storage.objects import ObjectStore

__all__ = ["OriginalReader", "PreprocessStage", "object_key"]

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


@dataclass(frozen=True, slots=True)
class _Done:
    """What a thread made of an original."""

    original_size: int
    original_sha256: str
    picture: NormalisedPicture
    picture_sha256: str


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
        done = await self._normalise(event)
        picture = done.picture
        version = preprocessing_version(event.options.long_side)
        key = object_key(version, done.original_sha256, picture.suffix)
        await self._objects.put(key, picture.bytes, _CONTENT_TYPES[picture.suffix])
        return ImagePreprocessed(
            job=event.job,
            image_key=event.image_key,
            dataset=event.dataset,
            original=event.original.model_copy(
                update={
                    "size": done.original_size,
                    "sha256": done.original_sha256,
                    "width": picture.original_width,
                    "height": picture.original_height,
                    "format": picture.format,
                }
            ),
            normalised=Normalised(
                object=key,
                sha256=done.picture_sha256,
                width=picture.width,
                height=picture.height,
                version=version,
            ),
            model=event.model,
            options=event.options,
        )

    async def repair(self, event: ImageDiscovered, before: ImageEvent | None) -> ImagePreprocessed:  # noqa: ARG002 - the protocol's
        """Read the original and put the picture again; an original that has changed since is another picture."""
        return await self.handle(event)

    async def _normalise(self, event: ImageDiscovered) -> _Done:
        if self._threads is None:
            raise RuntimeError("PreprocessStage.open() was not called")
        async with self._places:  # the original's bytes are gone when the place is free again
            data = await self._reader.read(event.original.uri, self._settings.max_bytes, event.within)
            work = (data, event.options.long_side, self._settings.max_pixels)
            return await asyncio.get_running_loop().run_in_executor(self._threads, _work, *work)


def _work(data: bytes, long_side: int, max_pixels: int) -> _Done:
    """In a thread: hash, decode, hash."""
    original_sha256 = hashlib.sha256(data).hexdigest()
    picture = normalise(data, long_side=long_side, max_pixels=max_pixels)
    return _Done(len(data), original_sha256, picture, hashlib.sha256(picture.bytes).hexdigest())


def object_key(version: str, original_sha256: str, suffix: str) -> str:
    """Key of a normalised picture in the object store."""
    return f"preprocessed/{version}/{original_sha256}.{suffix}"
