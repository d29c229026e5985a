"""`test-threshold`: a stand-in without a network, for tests and dry runs. Bright, middling and dark regions by luma.

Takes a millisecond or so a picture and knows nothing of things: with it a pipeline can be tried end to end, and sized,
before a real model runs in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from watson.model.segmenter import Instance, ModelInfo, Picture, Segmentation
from watson.model.weights import model_version

__all__ = ["NAME", "Threshold", "info", "load"]

NAME = "test-threshold"
_CATEGORIES = ("dark", "middling", "bright")
_EDGES = (85, 170)  # luma, 0–255: dark is below the first, bright from the second on
_LEAST_AREA = 0.02  # fraction of the picture
_LUMA = np.array([77, 150, 29], np.uint32)  # ITU-R BT.601 in 256ths: integers, so that no rounding differs anywhere
_CONFIGURATION = {"categories": _CATEGORIES, "edges": _EDGES, "least_area": _LEAST_AREA, "luma": _LUMA.tolist()}


def info() -> ModelInfo:
    """Return what identifies the stand-in; its configuration stands for weights."""
    weights = hashlib.sha256(json.dumps(_CONFIGURATION, sort_keys=True).encode()).hexdigest()
    return ModelInfo(
        name=NAME,
        version=model_version(weights, _CONFIGURATION),
        kind=NAME,
        weights_sha256=weights,
        categories=_CATEGORIES,
        licence="Apache-2.0",
        description="Brightness regions, no network: for tests and dry runs",
    )


def load(*, device: str = "cpu", torch_threads: int = 1) -> Threshold:  # noqa: ARG001 - as all kinds are loaded
    """Return the stand-in; both arguments are ignored."""
    return Threshold()


class Threshold:
    """Brightness regions as masks."""

    def __init__(self) -> None:
        self._info = info()

    @property
    def info(self) -> ModelInfo:
        """What model this is."""
        return self._info

    def segment(self, pictures: Sequence[Picture]) -> list[Segmentation]:
        """One to three masks a picture, which together cover it but for small regions; the largest is the surest.

        Args:
            pictures: each (H, W, 3) uint8, RGB, 0–255.
        """
        return [_segmentation(picture) for picture in pictures]


def _segmentation(picture: Picture) -> Segmentation:
    levels = np.digitize((picture.astype(np.uint32) @ _LUMA) >> 8, _EDGES)
    shares = np.bincount(levels.ravel(), minlength=len(_CATEGORIES)) / levels.size
    regions = sorted(range(len(_CATEGORIES)), key=lambda region: (-shares[region], region))
    return Segmentation(
        tuple(
            Instance(region, _CATEGORIES[region], float(shares[region]), levels == region)
            for region in regions
            if shares[region] >= _LEAST_AREA
        )
    )
