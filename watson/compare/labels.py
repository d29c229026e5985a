"""What labelling tools take: a list of pictures for another job, and COCO with the masks found as a beginning.

CVAT ("COCO 1.0") and Label Studio (its converter's ``import coco``) read polygons, in pixels of the original picture.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

import cv2
import numpy as np
import orjson
from numpy.typing import NDArray

from watson.compare.masks import load_masks
from watson.compare.side import Side
from watson.compare.suggest import Suggestion
from watson.errors import Refused
from watson.events import ImageCatalogued, Source
from watson.export.names import file_name
from watson.model.masks import StoredMask
from watson.sources.uris import canonical, parse_uri

__all__ = ["coco_of", "jsonl_of", "polygons", "text_of"]

_TOLERANCE = 0.0015  # of the long side, as the gallery's outlines
_DIGITS = 2
_ENLARGED = 2


def jsonl_of(chosen: Iterable[Suggestion]) -> bytes:
    """A list that ``watson submit`` takes, with worth and reasons beside each ``uri``."""
    return b"".join(
        orjson.dumps({"uri": one.uri, "worth": round(one.worth, 4), "reasons": one.reasons}) + b"\n" for one in chosen
    )


def text_of(chosen: Iterable[Suggestion]) -> bytes:
    """Likewise, one URI a line and no more."""
    return b"".join(f"{one.uri}\n".encode() for one in chosen)


async def coco_of(side: Side, chosen: Sequence[Suggestion]) -> dict[str, Any]:
    """The pictures chosen with the masks that the job found, as COCO with polygons.

    A polygon has no holes; a mask of several pieces has several polygons. Categories have ids from 1, by name.

    Raises:
        Refused: ``OBJECT_MISSING`` or ``OBJECT_ALTERED``; masks are gone or damaged.
        Retriable: the catalogue or the store is unavailable.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    names: dict[str, list[dict[str, Any]]] = {}
    file_names = _file_names([one.uri for one in chosen], side.row.job.source)
    for one in chosen:
        event = await side.catalogue.image(side.job, one.image_key)
        if event is None:  # catalogued again by a repair this very moment
            continue
        images.append(_image(len(images) + 1, event, one, file_names[one.uri]))
        masks = await load_masks(side.objects, event) if event.masks else []
        for mask in masks:
            made = await asyncio.to_thread(_annotation, len(annotations) + 1, len(images), event, mask)
            names.setdefault(mask.category, []).append(made)
            annotations.append(made)
    categories = [{"id": number, "name": name, "supercategory": ""} for number, name in enumerate(sorted(names), 1)]
    for category in categories:
        for made in names[str(category["name"])]:
            made["category_id"] = category["id"]
    job = side.row.job
    return {
        "info": {"description": f"{job.dataset}: to be labelled, with masks by {job.model}", "job": job.job},
        "licenses": [],
        "categories": categories,
        "images": images,
        "annotations": annotations,
    }


def _image(number: int, event: ImageCatalogued, one: Suggestion, name: str) -> dict[str, Any]:
    width, height = _size(event)
    return {
        "id": number,
        "file_name": name,
        "width": width,
        "height": height,
        "coco_url": event.original.uri,
        "watson": {"image_key": str(event.image_key), "worth": round(one.worth, 4), "reasons": one.reasons},
    }


def _annotation(number: int, image: int, event: ImageCatalogued, mask: StoredMask) -> dict[str, Any]:
    width, height = _size(event)
    x, y = width / event.normalised.width, height / event.normalised.height
    left, top, wide, high = mask.box
    return {
        "id": number,
        "image_id": image,
        "category_id": 0,
        "segmentation": polygons(mask.pixels().astype(np.uint8), x, y),
        "area": round(mask.area * x * y, _DIGITS),
        "bbox": [round(value, _DIGITS) for value in (left * x, top * y, wide * x, high * y)],
        "iscrowd": 0,
        "score": mask.score,
    }


def polygons(pixels: NDArray[np.uint8], x: float = 1.0, y: float = 1.0) -> list[list[float]]:
    """The outer borders of a mask's pieces, each as x, y, x, y, … in pixels, along the outer edges of its pixels.

    OpenCV's contours go through the middles of pixels: those of a mask that is grown by one pixel to the right and down
    go through the corners. It is enlarged before, so that pieces do not grow together.

    Args:
        pixels: (H, W) uint8, 0 or 1.
        x: by how much to stretch it, in width.
        y: likewise, in height.
    """
    left, top, width, height = cv2.boundingRect(pixels)
    part = pixels[top : top + height, left : left + width]  # enlarged as a whole, a large picture would take gigabytes
    large = np.pad(part.repeat(_ENLARGED, axis=0).repeat(_ENLARGED, axis=1), 1)
    contours, _ = cv2.findContours(_grown(large), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    tolerance = _TOLERANCE * max(pixels.shape) * _ENLARGED
    found: list[list[float]] = []
    for contour in contours:
        points = cv2.approxPolyDP(contour, tolerance, closed=True).reshape(-1, 2).astype(np.float64)
        if len(points) < 3:  # a thin piece, all of which is within the tolerance: its box
            at, down, wide, high = cv2.boundingRect(contour)
            corners = [(at, down), (at + wide, down), (at + wide, down + high), (at, down + high)]
            points = np.array(corners, dtype=np.float64)
        placed = (points - 1) / _ENLARGED + (left, top)
        found.append([round(float(value), _DIGITS) for value in (placed * (x, y)).reshape(-1)])
    return found


def _grown(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Each pixel and its neighbours to the right and below, so that the contour's points lie on the pixels' corners."""
    return np.asarray(cv2.dilate(mask, np.ones((2, 2), np.uint8), anchor=(1, 1)), np.uint8)


def _size(event: ImageCatalogued) -> tuple[int, int]:
    """Of the original, which people label; of the normalised picture where the event does not tell."""
    original, normalised = event.original, event.normalised
    return original.width or normalised.width, original.height or normalised.height


def _file_names(uris: Sequence[str], source: Source) -> dict[str, str]:
    """By URI: labelling tools know pictures by these names, so each is one picture's alone."""
    names = {uri: _relative(uri, source) for uri in uris}
    if len(set(names.values())) == len(names):
        return names
    common = os.path.commonprefix(list(names))  # noqa: RUF071 - of text: they may be of several schemes
    common = common[: common.rfind("/") + 1]
    return {uri: uri.removeprefix(common).replace("://", "/") for uri in names}


def _relative(uri: str, source: Source) -> str:
    """The picture's name below the job's source, as labelling tools list a folder; else its file name alone."""
    try:
        root = canonical(parse_uri(source.uri)).rstrip("/") + "/"
    except Refused:
        return file_name(uri)
    if source.kind not in ("directory", "s3") or not uri.startswith(root):
        return file_name(uri)
    return str(PurePosixPath(unquote(uri.removeprefix(root))))  # as a listing wrote it: escaped, whatever the scheme
