"""COCO's average precision of instance masks, by pycocotools.

Source: https://cocodataset.org/#detection-eval; "segm", 100 detections a picture.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from watson.model.segmenter import Instance
from watson.training.labelled import Thing

__all__ = ["AveragePrecision", "Detections"]


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """Each 0–1; None where there is no thing to find.

    Attributes:
        ap: mean over thresholds of intersection over union from 0.5 to 0.95.
        ap50: at 0.5.
        ap75: at 0.75.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None


class Detections:
    """What is there and what was found, picture by picture. Keeps run lengths, not pixels."""

    def __init__(self, categories: Sequence[str]) -> None:
        self._categories = [{"id": number + 1, "name": name} for number, name in enumerate(categories)]
        self._images: list[dict[str, Any]] = []
        self._things: list[dict[str, Any]] = []
        self._found: list[dict[str, Any]] = []

    def add(self, things: Sequence[Thing], found: Sequence[tuple[int, Instance]], size: tuple[int, int]) -> None:
        """Note one picture.

        Args:
            things: what is there.
            found: category id in the dataset, and what was found.
            size: height, width in pixels.
        """
        image = len(self._images) + 1  # COCOeval takes an id of 0 for nothing
        self._images.append({"id": image, "height": size[0], "width": size[1]})
        for thing in things:
            noted = _noted(thing.mask, image, thing.category_id)
            self._things.append(noted | {"id": len(self._things) + 1, "iscrowd": int(thing.crowd)})
        for category_id, instance in found:
            noted = _noted(instance.mask, image, category_id)
            self._found.append(noted | {"id": len(self._found) + 1, "score": instance.score, "iscrowd": 0})

    def average_precision(self) -> AveragePrecision:
        """Evaluate all that was noted."""
        with redirect_stdout(io.StringIO()):  # it prints its progress
            evaluation = COCOeval(self._coco(self._things), self._coco(self._found), "segm")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        ap, ap50, ap75 = (None if value < 0 else float(value) for value in evaluation.stats[:3])
        return AveragePrecision(ap, ap50, ap75)

    def _coco(self, annotations: list[dict[str, Any]]) -> Any:
        document = COCO()
        document.dataset = {"images": self._images, "categories": self._categories, "annotations": annotations}
        document.createIndex()
        return document


def _noted(mask: NDArray[np.bool_], image: int, category_id: int) -> dict[str, Any]:
    rle = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {
        "image_id": image,
        "category_id": category_id + 1,
        "segmentation": rle,
        "area": float(coco.area(rle)),
        "bbox": coco.toBbox(rle).tolist(),
    }
