"""How good a model is on a labelled dataset: pixels by intersection over union, masks by COCO's average precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from watson.errors import UserError
from watson.model.segmenter import Instance, Segmentation, Segmenter
from watson.training.average_precision import Detections
from watson.training.confusion import Confusion
from watson.training.labelled import BACKGROUND, LabelledDataset, Labels

__all__ = ["CATEGORY_IOU", "Evaluation", "OnProgress", "evaluate"]

OnProgress = Callable[[int, int], None]
"""Called with the pictures done and the pictures there are."""

CATEGORY_IOU = "iou/"
"""Before a category's name: its own measure among the metrics."""

_DIGITS = 6
_NAMES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Measures of one model on one dataset. All are 0–1, higher is better.

    Attributes:
        model: ``name@version``.
        dataset: where it was read from.
        pictures: that were judged.
        mean_iou: mean of ``background_iou`` and ``category_iou``, as VOC has it.
        mean_iou_without_background: mean of ``category_iou`` alone.
        foreground_iou: of all things together, whatever they are called, against the background.
        background_iou: None where every pixel is of a category, in truth and in what was found.
        category_iou: by name; None for a category that is neither in the pictures nor was found. Not part of the means.
        ap: COCO's average precision of masks, over intersections over union from 0.5 to 0.95; None without any thing.
        ap50: at 0.5 alone.
        ap75: at 0.75 alone.
    """

    model: str
    dataset: str
    pictures: int
    mean_iou: float
    mean_iou_without_background: float
    foreground_iou: float
    background_iou: float | None
    category_iou: Mapping[str, float | None]
    ap: float | None
    ap50: float | None
    ap75: float | None

    def metrics(self) -> dict[str, float]:
        """Each number by name, those of categories as ``iou/<category>``: what is kept with a model."""
        named = {
            "mean_iou": self.mean_iou,
            "mean_iou_without_background": self.mean_iou_without_background,
            "foreground_iou": self.foreground_iou,
            "background_iou": self.background_iou,
            "ap": self.ap,
            "ap50": self.ap50,
            "ap75": self.ap75,
            **{f"{CATEGORY_IOU}{name}": value for name, value in self.category_iou.items()},
        }
        return {name: round(value, _DIGITS) for name, value in named.items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        """For machines; ``pictures`` says on how many all was measured."""
        return {
            "model": self.model,
            "dataset": self.dataset,
            "pictures": self.pictures,
            "metrics": self.metrics(),
        }


def evaluate(segmenter: Segmenter, dataset: LabelledDataset, on_progress: OnProgress | None = None) -> Evaluation:
    """Let a model segment the pictures of a dataset, and compare. One picture at a time: memory does not grow.

    Categories of model and dataset are the same where their names are, without regard to capitals, as rules and diff
    have it. What the model finds of categories that the
    dataset does not have is left out, as if it were background; a category that the model lacks is found nowhere.

    Raises:
        UserError: the two have no category in common, or a file of the dataset cannot be read.
    """
    numbers = {name.casefold(): number for number, name in enumerate(dataset.categories)}
    if not numbers.keys() & set(map(str.casefold, segmenter.info.categories)):
        raise UserError(
            f"the model {segmenter.info.reference} and {dataset.place} have no category in common. The model's: "
            f"{_some(segmenter.info.categories)}. The dataset's: {_some(dataset.categories)}."
        )
    confusion, detections = Confusion(len(dataset.categories)), Detections(dataset.categories)
    for done, sample in enumerate(dataset.samples, 1):
        labels, things = sample.truth()
        (segmentation,) = segmenter.segment([sample.picture()])
        found = _of_categories(segmentation, numbers)
        confusion.add(labels, _painted(found, labels))
        detections.add(things, found, (labels.shape[0], labels.shape[1]))
        if on_progress is not None:
            on_progress(done, len(dataset.samples))
    background, *categories = (None if np.isnan(value) else float(value) for value in confusion.iou())
    precision = detections.average_precision()
    return Evaluation(
        model=segmenter.info.reference,
        dataset=dataset.place,
        pictures=len(dataset.samples),
        mean_iou=confusion.mean_iou(),
        mean_iou_without_background=confusion.mean_iou(background=False),
        foreground_iou=confusion.foreground_iou(),
        background_iou=background,
        category_iou=dict(zip(dataset.categories, categories, strict=True)),
        ap=precision.ap,
        ap50=precision.ap50,
        ap75=precision.ap75,
    )


def _of_categories(segmentation: Segmentation, numbers: Mapping[str, int]) -> list[tuple[int, Instance]]:
    named = ((numbers.get(one.category.casefold()), one) for one in segmentation.instances)
    return [(number, one) for number, one in named if number is not None]


def _painted(found: Sequence[tuple[int, Instance]], truth: Labels) -> Labels:
    """What was found as a map of labels; of masks that overlap, the one of the best score lies on top."""
    labels = np.full(truth.shape, BACKGROUND, np.int16)
    for number, instance in sorted(found, key=lambda pair: pair[1].score):
        labels[instance.mask] = 1 + number
    return labels


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more
