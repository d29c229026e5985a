"""Thumbnails of pictures, and masks as transparent PNGs or small run lengths. CPU work: call it in a thread."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pycocotools import mask as coco

from watson.errors import ReasonCode, Refused
from watson.web.palette import COLOURS

__all__ = ["LARGE_THUMBNAIL", "OVERLAY_LIMIT", "THUMBNAIL_LIMIT", "VERSION", "overlay", "run_lengths", "thumbnail"]

VERSION = "2"
"""Part of every entity tag: raise it when the same picture and masks come out as other bytes."""

THUMBNAIL_LIMIT = 320
"""Pixels of a thumbnail's long side."""

LARGE_THUMBNAIL = 640
"""Pixels of the other size of thumbnails, for large cards and fine screens."""

OVERLAY_LIMIT = 2048
"""Pixels of an overlay's long side, at most; browsers stretch it over larger pictures."""

_FILL_ALPHA = 110
_EDGE_ALPHA = 255
_JPEG_QUALITY = 82

Mask = NDArray[np.bool_]


def thumbnail(data: bytes, width: int, height: int, limit: int = THUMBNAIL_LIMIT) -> bytes:
    """A JPEG whose long side has at most ``limit`` pixels.

    Args:
        data: a normalised picture, JPEG or PNG.
        width: that it must have, in pixels.
        height: likewise.
        limit: pixels.

    Raises:
        Refused: ``OBJECT_ALTERED`` where it is not such a picture.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            if image.size != (width, height):
                raise Refused(
                    ReasonCode.OBJECT_ALTERED,
                    f"The picture has {image.size} pixels, not {(width, height)} as catalogued.",
                )
            image.draft("RGB", (2 * limit, 2 * limit))
            small = image.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError) as exc:  # Pillow reports broken PNG chunks as SyntaxError
        raise Refused(ReasonCode.OBJECT_ALTERED, f"The picture does not decode: {exc}") from exc
    small.thumbnail((limit, limit), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return out.getvalue()


def overlay(masks: Iterable[tuple[int, Mask]], width: int, height: int, limit: int = OVERLAY_LIMIT) -> bytes:
    """Masks as a PNG with transparency: filled lightly, with an opaque border.

    Args:
        masks: number of the category (gives the colour) and (height, width) bool; later ones lie on top.
        width: of the normalised picture in pixels.
        height: likewise.
        limit: pixels of the PNG's long side, at most.
    """
    rows, columns = _grid(width, height, limit)
    labels = np.zeros((rows.size, columns.size), np.uint8)
    for category, mask in masks:
        small = mask[rows][:, columns]
        label = 1 + 2 * (category % len(COLOURS))
        labels[small] = label
        labels[small & ~_eroded(small)] = label + 1
    return _png(labels)


def run_lengths(masks: Iterable[Mask], width: int, height: int, limit: int) -> tuple[tuple[int, int], list[str]]:
    """Masks made smaller, as COCO's compressed run lengths: what a browser draws by itself.

    Args:
        masks: (height, width) bool.
        width: of the normalised picture in pixels.
        height: likewise.
        limit: pixels of the long side, at most.

    Returns:
        Height and width, and of each mask the run lengths, columns first.
    """
    rows, columns = _grid(width, height, limit)
    encoded = [coco.encode(np.asfortranarray(mask[rows][:, columns], dtype=np.uint8)) for mask in masks]
    return (rows.size, columns.size), [one["counts"].decode("ascii") for one in encoded]


def _grid(width: int, height: int, limit: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows and columns of a picture that a smaller one has, whose long side is at most ``limit`` pixels."""
    scale = min(1.0, limit / max(width, height))
    return _sample(height, max(1, round(height * scale))), _sample(width, max(1, round(width * scale)))


def _sample(length: int, wanted: int) -> NDArray[np.intp]:
    """Of each of ``wanted`` equal parts of a side, the pixel in the middle."""
    return ((np.arange(wanted) + 0.5) * length / wanted).astype(np.intp)


def _eroded(mask: Mask) -> Mask:
    """Without its border of two pixels; the picture's edge counts as border."""
    padded = np.pad(mask, 2)
    inner = mask.copy()
    for step in (1, 2):
        for axis in (0, 1):
            for shift in (-step, step):
                inner &= np.roll(padded, shift, axis)[2:-2, 2:-2]
    return inner


def _png(labels: NDArray[np.uint8]) -> bytes:
    """Labels (0: nothing; odd: fill; even: border) as a paletted PNG, which is far smaller than RGBA."""
    image = Image.fromarray(labels)
    image.putpalette([0, 0, 0, *(part for hue in COLOURS for part in (*hue, *hue))])
    out = io.BytesIO()
    alphas = bytes([0, *(alpha for _ in COLOURS for alpha in (_FILL_ALPHA, _EDGE_ALPHA))])
    image.save(out, "PNG", transparency=alphas, optimize=False, compress_level=6)
    return out.getvalue()
