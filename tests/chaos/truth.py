"""What the deterministic model must have found, computed here once more from the sources' own bytes.

Brightness by ITU-R BT.601 luma; three regions; a region counts from 2 % of the picture on, and enters the dataset from
a score (its share) of 0.1 on. Written from the documentation of `test-threshold` and of the job's rules.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco

__all__ = ["image_findings", "regions"]

Region = tuple[str, float, "np.ndarray[Any, np.dtype[np.bool_]]"]

_LEAST_SHARE, _LEAST_SCORE = 0.02, 0.1
_NEARLY = 12.0  # mean difference of 0–255 that one more JPEG encoding may make
_LOSSLESS = ("PNG", "BMP")


def regions(pixels: np.ndarray[Any, Any]) -> list[Region]:
    """Category, share of the picture, mask; the largest first."""
    r, g, b = (pixels[:, :, channel].astype(np.int64) for channel in range(3))
    luma = (77 * r + 150 * g + 29 * b) // 256
    masks = [("dark", luma < 85), ("middling", (luma >= 85) & (luma < 170)), ("bright", luma >= 170)]
    found = [(name, float(mask.mean()), mask) for name, mask in masks if mask.mean() >= _LEAST_SHARE]
    return sorted(found, key=lambda region: -region[1])


def image_findings(
    event: dict[str, Any], original: bytes | None, objects: dict[str, bytes | None]
) -> Iterator[tuple[str, str]]:
    """What is off with the objects of one catalogued image: kind and detail."""
    picture, masks = event["normalised"]["object"], event["masks_object"]
    sound = True
    for key, sha256 in ((picture, event["normalised"]["sha256"]), (masks, event["masks_sha256"])):
        data = objects.get(key)
        if data is None:
            sound = False
            yield "object-missing", key
        elif hashlib.sha256(data).hexdigest() != sha256:
            sound = False
            yield "object-altered", key
    if original is None:
        yield "stranger", "no such picture was made"
    elif sound:
        yield from _picture(event, original, objects[picture] or b"")
        yield from _masks(event, objects[picture] or b"", objects[masks] or b"")


def _pixels(data: bytes) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def _picture(event: dict[str, Any], original: bytes, normalised: bytes) -> Iterator[tuple[str, str]]:
    if hashlib.sha256(original).hexdigest() != event["original"]["sha256"]:
        yield "picture-wrong", "the sha256 of the original is another"
    try:
        before = _pixels(original)
    except (OSError, SyntaxError) as exc:  # SyntaxError: Pillow's, of a damaged PNG
        yield "picture-wrong", f"the original is no picture: {exc}"
        return
    after = _pixels(normalised)
    if before.shape != after.shape:
        yield "picture-wrong", f"{after.shape}, not {before.shape}"
        return
    for what in ("original", "normalised"):
        if (event[what]["height"], event[what]["width"]) != before.shape[:2]:
            yield "picture-wrong", f"the {what} is said to be {event[what]['width']} × {event[what]['height']} pixels"
    difference = float(np.abs(before.astype(int) - after.astype(int)).mean())
    limit = 0.0 if event["original"]["format"] in _LOSSLESS else _NEARLY
    if difference > limit:
        yield "picture-wrong", f"differs from the original by {difference:.1f} in the mean"


def _masks(event: dict[str, Any], picture: bytes, data: bytes) -> Iterator[tuple[str, str]]:
    stored = json.loads(gzip.decompress(data))["masks"]
    wanted = regions(_pixels(picture))
    if [mask["category"] for mask in stored] != [name for name, _, _ in wanted]:
        yield "masks-wrong", f"{[mask['category'] for mask in stored]}, not {[name for name, _, _ in wanted]}"
        return
    for mask, (name, share, pixels) in zip(stored, wanted, strict=True):
        decoded = coco.decode({"size": mask["rle"]["size"], "counts": mask["rle"]["counts"]}).astype(bool)
        if decoded.shape != pixels.shape or (decoded != pixels).any():
            yield "masks-wrong", f"{name} has other pixels"
        if abs(mask["score"] - share) > 1e-4:
            yield "masks-wrong", f"{name} has the score {mask['score']}, not {share:.4f}"
    entered = {
        (mask["index"], mask["category"], mask["area"], round(mask["score"], 4), tuple(map(float, mask["box"])))
        for mask in event["masks"]
    }
    should = {
        (index, name, int(pixels.sum()), round(share, 4), _box(pixels))
        for index, (name, share, pixels) in enumerate(wanted)
        if round(share, 4) >= _LEAST_SCORE
    }
    if entered != should:
        yield "masks-wrong", f"{sorted(entered)} entered the dataset, not {sorted(should)}"


def _box(pixels: np.ndarray[Any, Any]) -> tuple[float, float, float, float]:
    """Left, top, width, height."""
    (top, bottom), (left, right) = ((np.flatnonzero(pixels.any(axis=1 - axis))[[0, -1]]) for axis in (0, 1))
    return float(left), float(top), float(right - left + 1), float(bottom - top + 1)
