"""How a picture becomes the input of a network that somebody brought."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from watson.model.kinds.configuration import Strict
from watson.model.segmenter import Picture

__all__ = ["Input", "batch_of", "input_size"]

Side = int | None
Colours = tuple[float, float, float]

_UNCHANGED = (1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


class Input(Strict):
    """The input: ``((pixel × scale) - mean) / std``, a colour at a time.

    Attributes:
        name: of the input; None: the only one.
        width: pixels to which each picture is scaled, whatever its proportions; with ``height``.
        height: pixels to which each picture is scaled, whatever its proportions; with ``width``.
        longest: pixels of the longer side, the shorter in proportion: instead of ``width`` and ``height``.
        multiple: of which both sides are, with ``longest``.
        layout: NCHW or NHWC.
        colour: order of the channels.
        scale: of the pixels' 0–255.
        mean: subtracted, in the order of ``colour``.
        std: divides, in the order of ``colour``.
        dtype: of the numbers; as uint8 pixels go in as they are.
        batch: whether the network takes several pictures of one size at once. Used on GPUs alone.
    """

    name: str | None = None
    width: Side = Field(None, ge=1, le=8192)
    height: Side = Field(None, ge=1, le=8192)
    longest: Side = Field(None, ge=1, le=8192)
    multiple: int = Field(32, ge=1, le=1024)
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    colour: Literal["RGB", "BGR"] = "RGB"
    scale: float = Field(_UNCHANGED[0], gt=0)
    mean: Colours = _UNCHANGED[1]
    std: Colours = _UNCHANGED[2]
    dtype: Literal["float32", "float16", "uint8"] = "float32"
    batch: bool = False

    @model_validator(mode="after")
    def _one_size_and_no_contradiction(self) -> Self:
        fixed = self.width is not None and self.height is not None
        if (self.width is None) != (self.height is None) or fixed == (self.longest is not None):
            raise ValueError('say "width" and "height", or "longest" alone')
        if self.dtype == "uint8" and (self.scale, self.mean, self.std) != _UNCHANGED:
            raise ValueError("as uint8 pixels go in as they are: leave out scale, mean and std, or make dtype float32")
        if 0 in self.std:
            raise ValueError("std divides, so none of it can be 0")
        return self


def input_size(picture: Picture, settings: Input) -> tuple[int, int]:
    """Return height and width of the network's input for a picture."""
    if settings.width is not None and settings.height is not None:
        return settings.height, settings.width
    height, width = picture.shape[:2]
    factor = (settings.longest or 1) / max(height, width)
    multiple = settings.multiple
    high, wide = (max(multiple, round(side * factor / multiple) * multiple) for side in (height, width))
    return high, wide


def batch_of(pictures: Sequence[Picture], settings: Input) -> NDArray[Any]:
    """Return the input for pictures that have one input size: (N, 3, h, w) or (N, h, w, 3)."""
    return np.ascontiguousarray(np.stack([_input(picture, settings) for picture in pictures]))


def _input(picture: Picture, settings: Input) -> NDArray[Any]:
    height, width = input_size(picture, settings)
    shrinks = height * width < picture.shape[0] * picture.shape[1]
    scaled: NDArray[Any] = picture
    if picture.shape[:2] != (height, width):
        scaled = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    if settings.colour == "BGR":
        scaled = scaled[..., ::-1]
    if settings.dtype != "uint8":
        mean, deviation = (np.array(values, np.float32) for values in (settings.mean, settings.std))
        scaled = ((scaled.astype(np.float32) * np.float32(settings.scale) - mean) / deviation).astype(settings.dtype)
    return scaled.transpose(2, 0, 1) if settings.layout == "NCHW" else scaled
