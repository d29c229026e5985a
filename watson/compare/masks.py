"""The masks of a catalogued picture, from the object store, and how much those of two jobs overlap."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from watson.errors import ReasonCode, Refused
from watson.events import ImageCatalogued
from watson.model.masks import MAX_BYTES, StoredMask, decode_masks
from watson.storage.keys import MASKS_KEY, PICTURE_KEY
from watson.storage.objects import ObjectStore

__all__ = ["Size", "ious_of", "load_masks", "load_picture"]

Size = tuple[int, int]
"""Height and width in pixels."""

_MOST_PICTURE_BYTES = 256_000_000  # a PNG of 8192 × 8192 pixels at most


async def load_masks(objects: ObjectStore, event: ImageCatalogued) -> list[StoredMask]:
    """The masks that entered the dataset, in the order of ``event.masks``.

    Raises:
        Refused: ``OBJECT_MISSING`` or ``OBJECT_ALTERED``; says how to repair it.
        Retriable: the store is unavailable.
    """
    data = await _fetch(objects, event, event.masks_object, MASKS_KEY, MAX_BYTES)
    return await asyncio.to_thread(_decoded, event, data)


async def load_picture(objects: ObjectStore, event: ImageCatalogued) -> bytes:
    """The file of the normalised picture.

    Raises:
        Refused, Retriable: as `load_masks`.
    """
    data = await _fetch(objects, event, event.normalised.object, PICTURE_KEY, _MOST_PICTURE_BYTES)
    await asyncio.to_thread(_check, event, event.normalised.object, data, event.normalised.sha256)
    return data


async def _fetch(objects: ObjectStore, event: ImageCatalogued, key: str, pattern: re.Pattern[str], limit: int) -> bytes:
    if not pattern.fullmatch(key):  # a row may be forged
        raise _damaged(event, key, "is not an object that Watson wrote")
    try:
        return await objects.get(key, limit)
    except Refused as exc:
        if exc.code is ReasonCode.OBJECT_MISSING:
            raise Refused(exc.code, f"{exc}, of {event.original.uri}; watson audit {event.job} --repair") from exc
        raise


def _decoded(event: ImageCatalogued, data: bytes) -> list[StoredMask]:
    key = event.masks_object
    _check(event, key, data, event.masks_sha256)
    file = decode_masks(data)
    if (file.width, file.height) != (event.normalised.width, event.normalised.height):
        raise _damaged(event, key, "is not of the size that the catalogue states")
    if any(mask.index >= len(file.masks) for mask in event.masks):
        raise _damaged(event, key, "does not hold the masks that the catalogue names")
    return [file.masks[mask.index] for mask in event.masks]


def _check(event: ImageCatalogued, key: str, data: bytes, sha256: str) -> None:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise _damaged(event, key, "is not what the catalogue says, by its sha256")


def _damaged(event: ImageCatalogued, key: str, what: str) -> Refused:
    why = f"{key}, of {event.original.uri}, {what}; watson audit {event.job} --repair makes good what can be"
    return Refused(ReasonCode.OBJECT_ALTERED, why)


def ious_of(before: Sequence[StoredMask], after: Sequence[StoredMask]) -> NDArray[np.float64]:
    """Intersection over union of each with each, (len(before), len(after)) float64, 0–1. CPU work.

    Masks of pictures that were normalised to different sizes are compared at the smaller one.
    """
    if not before or not after:
        return np.zeros((len(before), len(after)))
    size = min(before[0].rle.size, after[0].rle.size, key=lambda size: size[0] * size[1])
    rles = [[_rle(mask, size) for mask in masks] for masks in (before, after)]
    return np.asarray(coco.iou(rles[0], rles[1], [0] * len(after)), dtype=np.float64)


def _rle(mask: StoredMask, size: Size) -> dict[str, Any]:
    if mask.rle.size == size:
        return mask.rle.to_coco()
    pixels = cv2.resize(mask.pixels().astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
    encoded: dict[str, Any] = coco.encode(np.asfortranarray(pixels))
    return encoded
