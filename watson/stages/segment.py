"""segment: fetch the normalised picture, let the model look at it, store the masks.

Reads ``preprocessed/…``; puts ``masks/<segmentation id>.json.gz``. That key tells the picture, its preprocessing and
the model's version: where the object exists already (another job, or this event once more) the masks in it are used
and the model is not asked. Done twice, it writes the same bytes. A repair uses stored masks only where their hash is
that of the event that was emitted for them.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from uuid import UUID

import numpy as np
import structlog
from PIL import Image

from watson import metrics
from watson.errors import ReasonCode, Refused
from watson.events import ImageEvent, ImagePreprocessed, ImageSegmented, Normalised, Stage, segmentation_id
from watson.model.masks import MAX_BYTES, MaskFile, decode_masks, encode_masks
from watson.model.segmenter import ModelInfo, Picture, Segmentation, Segmenter
from watson.model.shelf import ModelShelf
from watson.settings import Settings
from watson.stages.batching import MicroBatcher
from watson.stages.loaded_models import LoadedModels
from watson.storage.objects import ObjectStore

__all__ = ["SegmentStage", "masks_key"]

log = structlog.get_logger(__name__)
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class _Question:
    """A picture and who is asked. All questions of a batch ask one model, by its ``name@version``."""

    picture: Picture
    segmenter: Segmenter


class SegmentStage:
    """Makes `ImageSegmented` of `ImagePreprocessed`. Pictures of several events share the model's batches.

    Takes over the object store that it is given: opens and closes it with itself.
    """

    name: Stage = "segment"
    accepts: type[ImageEvent] = ImagePreprocessed

    def __init__(self, objects: ObjectStore, settings: Settings) -> None:
        """Take the store and the settings; nothing runs before `open`.

        Args:
            objects: where normalised pictures, masks and registered models are.
            settings: ``threads``, ``device``, ``torch_threads``, ``batch_size``, ``batch_wait``, ``models_loaded``,
                ``models_dir``, ``attempt_timeout``.
        """
        self._objects = objects
        self._settings = settings
        self._threads: ThreadPoolExecutor | None = None
        self._shelf = ModelShelf(objects, settings)
        self._models = LoadedModels(
            self._shelf.load,
            most=settings.models_loaded,
            timeout=settings.attempt_timeout,
        )
        self._batcher: MicroBatcher[str, _Question, Segmentation] = MicroBatcher(
            _answers,
            batch_size=settings.batch_size,
            batch_wait=settings.batch_wait,
            timeout=settings.attempt_timeout,
        )

    async def open(self) -> None:
        """Open the store; start the threads. Models are loaded when the first picture asks for one."""
        await self._objects.open()
        self._threads = ThreadPoolExecutor(self._settings.threads, thread_name_prefix="masks")
        await self._batcher.open()

    async def close(self) -> None:
        """Let go of models, threads and the store; pictures that still wait get `Retriable`."""
        await self._batcher.close()
        self._models.close()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None
        await self._objects.close()

    async def handle(self, event: ImagePreprocessed) -> ImageSegmented:
        """Segment one picture.

        Raises:
            Refused: ``MODEL_UNKNOWN``, ``MODEL_FAILED``, ``OBJECT_MISSING`` or ``OBJECT_ALTERED``.
            Retriable: the object store is unavailable, or the model could not be loaded or has no memory.
        """
        return await self._handle(event, lambda _data: True)

    async def repair(self, event: ImagePreprocessed, before: ImageEvent | None) -> ImageSegmented:
        """Segment again, unless the stored masks are byte for byte those that were said before.

        Masks that can be read and name the right picture may have been altered all the same; only their hash tells.

        Raises:
            Refused, Retriable: as `handle`.
        """
        said = before.masks_sha256 if isinstance(before, ImageSegmented) else None
        return await self._handle(event, lambda data: hashlib.sha256(data).hexdigest() == said)

    async def _handle(self, event: ImagePreprocessed, trusts: Callable[[bytes], bool]) -> ImageSegmented:
        info = await self._shelf.info(event.model)
        segmentation = _identity(event, info)
        key = masks_key(segmentation)
        stored = await self._stored(key, segmentation, event.normalised, info)
        if stored is None or not trusts(stored[1]):
            file, data = await self._segment(event.normalised, segmentation, info)
            await self._objects.put(key, data, "application/gzip")
        else:
            file, data = stored
        return ImageSegmented(
            job=event.job,
            image_key=event.image_key,
            dataset=event.dataset,
            original=event.original,
            normalised=event.normalised,
            model=info.reference,
            weights_sha256=info.weights_sha256,
            segmentation_id=segmentation,
            masks_object=key,
            masks_sha256=hashlib.sha256(data).hexdigest(),
            masks=file.summaries,
            options=event.options,
        )

    async def _stored(
        self, key: str, segmentation: UUID, picture: Normalised, info: ModelInfo
    ) -> tuple[MaskFile, bytes] | None:
        """The masks that are in the store already; None where there are none that can be used."""
        try:
            data = await self._objects.get(key, MAX_BYTES)
            file = await self._in_thread(decode_masks, data)
        except Refused as exc:
            if exc.code is ReasonCode.OBJECT_MISSING:
                return None
            if exc.code in (ReasonCode.OBJECT_ALTERED, ReasonCode.TOO_LARGE):
                log.warning("stored masks cannot be read; segmenting again", key=key, why=str(exc))
                return None
            raise
        said = (file.segmentation_id, file.picture_sha256, file.width, file.height, file.model, file.weights_sha256)
        wanted = (
            segmentation,
            picture.sha256,
            picture.width,
            picture.height,
            info.reference,
            info.weights_sha256,
        )
        if said != wanted:
            log.warning("stored masks are not of this picture and model; segmenting again", key=key)
            return None
        return file, data

    async def _segment(self, picture: Normalised, segmentation: UUID, info: ModelInfo) -> tuple[MaskFile, bytes]:
        data = await self._objects.get(picture.object)
        pixels = await self._in_thread(_pixels, data, picture)
        segmenter = await self._models.get(info.reference)
        found = await self._batcher.submit(_Question(pixels, segmenter), info.reference)
        return await self._in_thread(
            partial(
                encode_masks,
                found,
                info,
                segmentation_id=segmentation,
                picture_sha256=picture.sha256,
                width=picture.width,
                height=picture.height,
            )
        )

    async def _in_thread(self, make: Callable[..., Made], *arguments: object) -> Made:
        if self._threads is None:
            raise RuntimeError("SegmentStage.open() was not called")
        return await asyncio.get_running_loop().run_in_executor(self._threads, make, *arguments)


def masks_key(segmentation: UUID) -> str:
    """Return the key of a masks object in the object store."""
    return f"masks/{segmentation}.json.gz"


def _identity(event: ImagePreprocessed, info: ModelInfo) -> UUID:
    if event.original.sha256 is None:
        raise Refused(ReasonCode.UNDECODABLE_EVENT, "ImagePreprocessed without the sha256 of the original")
    return segmentation_id(event.image_key, event.original.sha256, event.normalised.version, info.reference)


def _answers(_reference: str, questions: Sequence[_Question]) -> list[Segmentation]:
    begun = time.perf_counter()
    found = questions[0].segmenter.segment([question.picture for question in questions])
    metrics.MODEL_SECONDS.observe(time.perf_counter() - begun)
    metrics.BATCH_SIZE.observe(len(questions))
    return found


def _pixels(data: bytes, picture: Normalised) -> Picture:
    """Decode a normalised picture: (H, W, 3) uint8, RGB."""
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != picture.sha256:
        raise Refused(
            ReasonCode.OBJECT_ALTERED, f"{picture.object} has sha256 {sha256}, but preprocess wrote {picture.sha256}"
        )
    with Image.open(io.BytesIO(data)) as image:
        pixels = np.asarray(image.convert("RGB"))
    if pixels.shape != (picture.height, picture.width, 3):
        raise Refused(
            ReasonCode.OBJECT_ALTERED,
            f"{picture.object} is {pixels.shape[1]} × {pixels.shape[0]} pixels, "
            f"but the event says {picture.width} × {picture.height}",
        )
    return pixels
