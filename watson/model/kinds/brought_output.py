"""What comes out of a network that somebody brought, and the instances that it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from watson.model.kinds.configuration import Chosen, Fraction, Strict
from watson.model.segmenter import Instance, Segmentation
from watson.model.semantic import instances, instances_of_labels

__all__ = ["Instances", "Mismatch", "Outputs", "Semantic", "segmentations"]

Outputs = Mapping[str, NDArray[Any]]
Size = tuple[int, int]
"""Height and width, pixels."""


class Mismatch(ValueError):  # noqa: N818 - named for what it says
    """The network's output is not what the configuration says."""


class Semantic(Chosen):
    """A map that says for each pixel what it shows.

    Attributes:
        kind: logits (N, C, h, w), probabilities (N, C, h, w), or labels (N, h, w) or (N, 1, h, w), which are the
            numbers of channels. With C = 1 the one category's logit or probability, the background being the rest.
        name: of the output; None: the first.
        background: its channel; None where there is none.
    """

    kind: Literal["semantic-logits", "semantic-probabilities", "semantic-labels"]
    name: str | None = None
    background: int | None = Field(0, ge=0)


class Instances(Strict):
    """Things, each with a mask, of one picture.

    Attributes:
        labels: name of the output (n,), integers.
        scores: name of the output (n,), 0–1.
        masks: name of the output (n, h, w) or (n, 1, h, w), 0–1 or bool, of the whole input.
        boxes: name of the output (n, 4), left, top, right, bottom in pixels of the input, where masks are not of the
            whole input but fill these boxes; None otherwise.
        background: the label that is no thing; None where label 0 is the first category.
        least_score: of an instance.
        mask_threshold: above which a pixel is in the mask.
        least_area: of a mask, as a fraction of the picture.
        most: instances of one picture, best first.
    """

    kind: Literal["instances"]
    labels: str = "labels"
    scores: str = "scores"
    masks: str = "masks"
    boxes: str | None = None
    background: int | None = Field(0, ge=0)
    least_score: Fraction = 0.5
    mask_threshold: Fraction = 0.5
    least_area: Fraction = 0.0
    most: int = Field(100, ge=1, le=1000)


def segmentations(
    outputs: Outputs,
    output: Semantic | Instances,
    names: Sequence[str | None],
    *,
    pictures: Sequence[Size],
    seen: Size,
) -> list[Segmentation]:
    """Return what the network found in each picture of a batch, best score first.

    Args:
        outputs: arrays by name.
        output: what they mean.
        names: of each channel or label; None for one that is no thing.
        pictures: their sizes.
        seen: the size of the input.

    Raises:
        Mismatch: an output is not there, or has another shape or other values than it should.
    """
    if isinstance(output, Instances):
        if len(pictures) != 1:
            raise Mismatch(f'instances are of one picture, but {len(pictures)} went in: leave out "batch"')
        return [_instances(outputs, output, names, picture=pictures[0], seen=seen)]
    array = _output(outputs, output.name or next(iter(outputs), ""))
    if array.ndim == 2 and len(pictures) == 1:  # a label map without its batch
        array = array[None]
    if len(array) != len(pictures):
        raise Mismatch(f"{len(pictures)} pictures went in, but the output's shape is {_shape(array)}")
    semantic = _labels if output.kind == "semantic-labels" else _probabilities
    return [semantic(one, output, names, picture) for one, picture in zip(array, pictures, strict=True)]


def _labels(one: NDArray[Any], output: Semantic, names: Sequence[str | None], picture: Size) -> Segmentation:
    labels = one[0] if one.ndim == 3 and len(one) == 1 else one
    if labels.ndim != 2:
        raise Mismatch(f"a map of labels is (h, w), but the output of one picture is {_shape(one)}")
    if labels.dtype.kind not in "iub" and not np.array_equal(labels, np.round(labels)):
        raise Mismatch("labels are integers, but the output has fractions: is it logits or probabilities?")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(names):
        raise Mismatch(f"the output has labels from {low} to {high}, but {_channels_named(names)}")
    height, width = picture
    return instances_of_labels(labels.astype(np.int32), names, width=width, height=height, settings=output.semantic)


def _probabilities(one: NDArray[Any], output: Semantic, names: Sequence[str | None], picture: Size) -> Segmentation:
    if one.ndim != 3:
        raise Mismatch(f"a semantic map is (C, h, w), but the output of one picture is {_shape(one)}")
    values = _finite(one)
    logits = output.kind == "semantic-logits"
    if not logits and (values.min() < -0.01 or values.max() > 1.01):
        raise Mismatch(
            f"probabilities are from 0 to 1, but the output is from {values.min():.3g} to {values.max():.3g}: "
            "is it logits?"
        )
    if len(values) == 1 and len(names) == 2 and None in names:
        values = _both(_sigmoid(values[0]) if logits else values[0], names)
    elif len(values) != len(names):
        raise Mismatch(
            f"the output has {len(values)} channels (its shape is {_shape(one)}), but {_channels_named(names)}"
        )
    elif logits:
        values = _softmax(values)
    height, width = picture
    clipped = np.ascontiguousarray(np.clip(values, 0, 1))
    return instances(clipped, names, width=width, height=height, settings=output.semantic)


@dataclass(frozen=True, slots=True)
class _Things:
    """What came out, one of each a thing: labels (n,), scores (n,) 0–1, masks (n, h, w), boxes (n, 4) or None."""

    labels: NDArray[Any]
    scores: NDArray[np.float32]
    masks: NDArray[Any]
    boxes: NDArray[np.float32] | None


def _instances(
    outputs: Outputs, output: Instances, names: Sequence[str | None], *, picture: Size, seen: Size
) -> Segmentation:
    things = _things(outputs, output, seen)
    category_ids = {label: number for number, label in enumerate(i for i, n in enumerate(names) if n is not None)}
    found: list[Instance] = []
    for place in np.argsort(-things.scores, kind="stable"):
        label, score = int(things.labels[place]), float(things.scores[place])
        if score < output.least_score or len(found) == output.most:
            break
        if not 0 <= label < len(names):
            raise Mismatch(f"an instance has label {label}, but {_channels_named(names)}")
        name = names[label]
        if name is None:
            continue
        soft = _finite(things.masks[place])
        if things.boxes is None:
            mask = _scaled(soft, picture) > output.mask_threshold
        else:
            mask = _pasted(soft, things.boxes[place], picture=picture, seen=seen) > output.mask_threshold
        if np.count_nonzero(mask) >= max(1.0, output.least_area * mask.size):
            found.append(Instance(category_ids[label], name, score, mask))
    return Segmentation(tuple(found))


def _things(outputs: Outputs, output: Instances, seen: Size) -> _Things:
    labels, scores = (np.ravel(_output(outputs, name)) for name in (output.labels, output.scores))
    masks = _output(outputs, output.masks)
    if masks.ndim == 5 and len(masks) == 1:  # the batch's one picture
        masks = masks[0]
    if masks.ndim == 4 and masks.shape[1] == 1:
        masks = masks[:, 0]
    elif masks.ndim == 4 and len(masks) == 1:
        masks = masks[0]
    boxes = None if output.boxes is None else _finite(_output(outputs, output.boxes)).reshape(-1, 4)
    counts = {"labels": len(labels), "scores": len(scores), "masks": len(masks)}
    counts |= {} if boxes is None else {"boxes": len(boxes)}
    if len(set(counts.values())) != 1 or masks.ndim != 3:
        said = ", ".join(f"{count} {what}" for what, count in counts.items())
        raise Mismatch(f"there should be one mask (h, w) a label, but there are {said}; masks are {_shape(masks)}")
    if boxes is None and masks.shape[1:] != seen:
        raise Mismatch(
            f"masks are {masks.shape[2]} × {masks.shape[1]} pixels, but the input is {seen[1]} × {seen[0]}: where they "
            'fill boxes, name these in "boxes"'
        )
    return _Things(labels, np.clip(_finite(scores), 0, 1), masks, boxes)


def _scaled(mask: NDArray[np.float32], picture: Size) -> NDArray[np.float32]:
    height, width = picture
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _pasted(mask: NDArray[np.float32], box: NDArray[np.float32], *, picture: Size, seen: Size) -> NDArray[np.float32]:
    """Return (H, W) float32: the mask where its box is, 0 elsewhere. A pixel is where its centre is."""
    whole = np.zeros(picture, np.float32)
    spans: list[tuple[slice, NDArray[np.float32]]] = []
    for axis, (low, high) in ((0, box[[1, 3]]), (1, box[[0, 2]])):
        start, end = (float(value) * picture[axis] / seen[axis] for value in (low, high))
        if end <= start:
            return whole
        pixels = np.arange(max(0, int(np.ceil(start - 0.5))), min(picture[axis], max(0, int(np.ceil(end - 0.5)))))
        if not len(pixels):
            return whole
        places = (pixels + 0.5 - start) / (end - start) * mask.shape[axis] - 0.5
        spans.append((slice(int(pixels[0]), int(pixels[-1]) + 1), places.astype(np.float32)))
    (rows, vertical), (columns, horizontal) = spans
    across, down = np.meshgrid(horizontal, vertical)
    whole[rows, columns] = cv2.remap(mask, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return whole


def _output(outputs: Outputs, name: str) -> NDArray[Any]:
    if name not in outputs:
        raise Mismatch(f"there is no output {name!r}; there are: {', '.join(outputs)}")
    return outputs[name]


def _finite(values: NDArray[Any]) -> NDArray[np.float32]:
    numbers = values.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise Mismatch("the output has values that are no finite numbers (NaN or infinite)")
    return numbers


def _both(probability: NDArray[np.float32], names: Sequence[str | None]) -> NDArray[np.float32]:
    """Add the background's channel to the one category's."""
    both = (1 - probability, probability) if names[0] is None else (probability, 1 - probability)
    return np.stack(both)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=0, keepdims=True))
    return np.asarray(powers / powers.sum(axis=0, keepdims=True), np.float32)


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), np.float32)  # never overflows


def _channels_named(names: Sequence[str | None]) -> str:
    """Say what the configuration counts."""
    named = sum(name is not None for name in names)
    return f"the configuration has {len(names)}: {named} categories and {len(names) - named} that are none"


def _shape(array: NDArray[Any]) -> str:
    return "(" + ", ".join(map(str, array.shape)) + ")"
