"""Pages' pictures: a thumbnail, and a mask's border as an SVG path."""

from __future__ import annotations

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["outline", "thumbnail"]

_THUMBNAIL_PIXELS = 400
_THUMBNAIL_QUALITY = 82
_OUTLINE_TOLERANCE = 0.0015  # of the long side: half a pixel in a thumbnail
_SPECK = 0.0002  # of the picture: smaller islands are in the mask PNG, not in the outline


def thumbnail(picture: bytes, pixels: int = _THUMBNAIL_PIXELS) -> bytes:
    """A JPEG of at most ``pixels`` to each side, of a normalised picture's file. CPU work: call it in a thread."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        image.draft("RGB", (pixels, pixels))
        small = image.convert("RGB")
    small.thumbnail((pixels, pixels))
    small.save(out, "JPEG", quality=_THUMBNAIL_QUALITY, optimize=True)
    return out.getvalue()


def outline(pixels: NDArray[np.uint8]) -> str:
    """The mask's border as an SVG path in pixels of the normalised picture; holes come out by the even-odd rule.

    Args:
        pixels: (H, W) uint8, 0 or 1.
    """
    contours, _ = cv2.findContours(pixels, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    tolerance = _OUTLINE_TOLERANCE * max(pixels.shape)
    least = _SPECK * pixels.size
    largest = max(map(cv2.contourArea, contours), default=0.0)
    path = []
    for contour in contours:
        if cv2.contourArea(contour) >= min(least, largest):
            points = cv2.approxPolyDP(contour, tolerance, closed=True).reshape(-1, 2)
            path.append("M" + " ".join(f"{x},{y}" for x, y in points.tolist()) + "Z")
    return "".join(path)
