"""Variants of a labelled picture: what training sees besides the picture itself."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from watson.model.segmenter import Picture
from watson.training.labelled import IGNORED, Labels

__all__ = ["scaled", "variant"]

_SCALES = (0.7, 1.4)
_LIGHT = 0.2
"""Brightness, contrast and saturation change by at most this fraction."""


def variant(picture: Picture, labels: Labels, side: int, random: np.random.Generator) -> tuple[Picture, Labels]:
    """Return a square window of the picture, scaled at random, perhaps mirrored, in another light.

    Args:
        picture: (H, W, 3) uint8, RGB, 0–255.
        labels: (H, W).
        side: pixels of the window. On average the picture is scaled to about side² pixels, in its own proportions.
        random: decides everything.

    Returns:
        (side, side, 3) uint8 and (side, side) int16. Where the picture ends within the window, it goes on as its
        mirror image, with labels that are `IGNORED`.
    """
    height, width = labels.shape
    scale = side / math.sqrt(width * height) * math.exp(random.uniform(*np.log(_SCALES)))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture, labels = _window(*scaled(picture, labels, size), side, random)
    if random.random() < 0.5:
        picture, labels = picture[:, ::-1], labels[:, ::-1]
    return _in_other_light(picture, random), np.ascontiguousarray(labels)


def scaled(picture: Picture, labels: Labels, size: tuple[int, int]) -> tuple[Picture, Labels]:
    """Return both scaled.

    Args:
        picture: (H, W, 3) uint8, RGB, 0–255.
        labels: (H, W).
        size: width, height in pixels.
    """
    if labels.shape == size[::-1]:
        return picture, labels
    shrinks = size[0] < labels.shape[1]
    return (
        np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)),
        np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT)),
    )


def _window(
    picture: NDArray[np.uint8], labels: Labels, side: int, random: np.random.Generator
) -> tuple[NDArray[np.uint8], Labels]:
    places = [int(random.integers(min(0, length - side), max(0, length - side) + 1)) for length in labels.shape]
    inside = np.s_[*(slice(max(0, place), place + side) for place in places)]
    picture, labels = picture[inside], labels[inside]
    before = [max(0, -place) for place in places]
    after = [side - start - length for start, length in zip(before, labels.shape, strict=True)]
    around = (before[0], after[0], before[1], after[1])
    return (
        np.asarray(cv2.copyMakeBorder(picture, *around, cv2.BORDER_REFLECT)),
        np.asarray(cv2.copyMakeBorder(labels, *around, cv2.BORDER_CONSTANT, value=IGNORED)),
    )


def _in_other_light(picture: NDArray[np.uint8], random: np.random.Generator) -> Picture:
    brightness, contrast, saturation = random.uniform(1 - _LIGHT, 1 + _LIGHT, 3)
    pixels = picture.astype(np.float32) * np.float32(brightness)
    middle = pixels.mean()
    pixels = (pixels - middle) * np.float32(contrast) + middle
    grey = pixels.mean(axis=2, keepdims=True)
    pixels = (pixels - grey) * np.float32(saturation) + grey
    return np.asarray(np.clip(np.rint(pixels), 0, 255), dtype=np.uint8)
