"""One catalogued picture becomes its files: picture, mask PNGs, thumbnail; and the gallery's entry for it."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from watson.errors import ReasonCode, Refused
from watson.events import ImageCatalogued
from watson.export.coco import CocoRle
from watson.export.drawing import outline, thumbnail
from watson.export.names import file_name
from watson.model.masks import decode_masks
from watson.storage.keys import MASKS_KEY, PICTURE_KEY
from watson.storage.objects import ObjectStore

__all__ = ["Damage", "Fetched", "Rendered", "fetch", "render"]


@dataclass(frozen=True, slots=True)
class Damage:
    """An object that is missing, or not the one that the catalogue speaks of."""

    key: str
    uri: str
    problem: str

    def __str__(self) -> str:
        return f"{self.key} ({self.problem}; of {self.uri})"


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes of a picture and of its masks, each with the hash that the catalogue says."""

    event: ImageCatalogued
    picture: bytes
    masks: bytes


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is written for one picture.

    Attributes:
        name: file name under ``images/``.
        files: path in the dataset → bytes.
        rles: mask index → run-length encoding.
        entry: what the gallery knows of the picture.
    """

    name: str
    files: Mapping[str, bytes]
    rles: Mapping[int, CocoRle]
    entry: Mapping[str, Any]


async def fetch(objects: ObjectStore, event: ImageCatalogued) -> Fetched | Damage:
    """Get the objects of a picture and check their hashes.

    Raises:
        Retriable: the store is unavailable.
        Refused: the store denies access.
    """
    wanted = (
        (event.normalised.object, event.normalised.sha256, PICTURE_KEY),
        (event.masks_object, event.masks_sha256, MASKS_KEY),
    )
    found: list[bytes] = []
    for key, sha256, pattern in wanted:
        if not pattern.fullmatch(key):  # its suffix becomes a file's in the dataset
            return Damage(key, event.original.uri, "not an object that Watson wrote")
        try:
            data = await objects.get(key)
        except Refused as exc:
            if exc.code is not ReasonCode.OBJECT_MISSING:
                raise
            return Damage(key, event.original.uri, "missing")
        digest = await asyncio.to_thread(_sha256, data)
        if digest != sha256:
            return Damage(key, event.original.uri, f"altered: sha256 is {digest}, not {sha256}")
        found.append(data)
    return Fetched(event, *found)


def render(fetched: Fetched, stem: str, *, in_gallery: bool) -> Rendered | Damage:
    """All files of a picture. CPU work: call it in a thread.

    Args:
        fetched: verified bytes.
        stem: of the file names; unique in the dataset.
        in_gallery: whether a thumbnail and outlines are wanted.
    """
    event = fetched.event
    try:
        file = decode_masks(fetched.masks)
        if (file.width, file.height) != (event.normalised.width, event.normalised.height):
            return Damage(event.masks_object, event.original.uri, "not of the size that the catalogue states")
        stored = {mask.index: mask for mask in file.masks}
        pixels = {mask.index: stored[mask.index].pixels().astype(np.uint8) for mask in event.masks}
    except Refused as exc:
        return Damage(event.masks_object, event.original.uri, str(exc))
    except KeyError as exc:
        return Damage(event.masks_object, event.original.uri, f"holds no mask {exc}, which the catalogue names")
    if len(pixels) < len(event.masks):
        return Damage(event.masks_object, event.original.uri, "the catalogue names a mask twice")
    name = stem + PurePosixPath(event.normalised.object).suffix
    files = {f"images/{name}": fetched.picture}
    outlines: dict[int, str] = {}
    for index, mask in pixels.items():
        files[f"masks/{stem}-{index}.png"] = _png(mask)
        if in_gallery:
            outlines[index] = outline(mask)
    if in_gallery:
        files[f"thumbnails/{stem}.jpg"] = thumbnail(fetched.picture)
    rles: dict[int, CocoRle] = {
        index: {"size": list(stored[index].rle.size), "counts": stored[index].rle.counts} for index in pixels
    }
    return Rendered(name, files, rles, _entry(event, name, stem, outlines) if in_gallery else {})


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _png(pixels: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels * np.uint8(255), mode="L").save(out, "PNG")
    return out.getvalue()


def _entry(event: ImageCatalogued, name: str, stem: str, outlines: Mapping[int, str]) -> dict[str, Any]:
    original, normalised = event.original, event.normalised
    pixels = normalised.width * normalised.height
    return {
        "name": file_name(original.uri),
        "image": f"images/{name}",
        "thumbnail": f"thumbnails/{stem}.jpg",
        "width": normalised.width,
        "height": normalised.height,
        "original": f"{original.width} × {original.height}" if original.width and original.height else "",
        "format": original.format or "",
        "uri": original.uri,
        "sha256": original.sha256,
        "preprocessing": normalised.version,
        "model": event.model,
        "code": event.code_version,
        "masks": [
            {
                "category": mask.category,
                "score": round(mask.score, 4),
                "area": round(mask.area / pixels, 4),
                "file": f"masks/{stem}-{mask.index}.png",
                "outline": outlines[mask.index],
            }
            for mask in sorted(event.masks, key=lambda mask: (-mask.score, mask.index))
        ],
    }
