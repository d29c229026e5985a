"""From a semantic map, which says for each pixel what it shows, to instances: connected components of each category."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from watson.model.segmenter import Instance, Segmentation

__all__ = ["SemanticSettings", "instances", "instances_of_labels"]


@dataclass(frozen=True, slots=True)
class SemanticSettings:
    """Which components become instances.

    Attributes:
        least_area: of a component, as a fraction of the picture; smaller ones are left out.
        most: instances of one picture, largest first; a noisy map must not make thousands.
    """

    least_area: float = 0.002
    most: int = 100


@dataclass(frozen=True, slots=True)
class _Component:
    channel: int
    label: int
    area: int


def instances(
    probabilities: NDArray[np.float32],
    names: Sequence[str | None],
    *,
    width: int,
    height: int,
    settings: SemanticSettings,
) -> Segmentation:
    """Return each connected component (8 neighbours) of each category as an instance, best score first.

    A pixel belongs to the channel that is most probable there, the first of equals. The map is scaled to the picture
    bilinearly before that is decided, but only channels that win somewhere in the map as the network made it take part.

    Args:
        probabilities: (C, h, w) float32, 0–1, over channels; softmax or sigmoid of the network's logits.
        names: of each channel; None for one that is no thing (background, void). Category ids count the others, in
            order.
        width: pixels of the picture.
        height: pixels of the picture.
        settings: which components count.

    The score is the mean probability of the component's own channel over its pixels.

    Raises:
        ValueError: a probability is NaN or infinite: the network computes nothing that means anything.
    """
    if not np.isfinite(probabilities).all():
        raise ValueError("the network's output is NaN or infinite: its weights are damaged or too large")
    best = np.full((height, width), -1, np.float32)
    winner = np.zeros((height, width), np.intp)
    for channel in np.unique(probabilities.argmax(axis=0)):  # one at a time: all of them at once are gigabytes
        scaled = cv2.resize(probabilities[channel], (width, height), interpolation=cv2.INTER_LINEAR)
        better = scaled > best
        best[better] = scaled[better]
        winner[better] = channel
    return _instances(winner, best, names, settings)


def instances_of_labels(
    labels: NDArray[np.integer],
    names: Sequence[str | None],
    *,
    width: int,
    height: int,
    settings: SemanticSettings,
) -> Segmentation:
    """Return the instances of a map that says which channel won and nothing of how surely: each score is 1.

    Args:
        labels: (h, w), integers from 0 to ``len(names) - 1``; scaled to the picture by the nearest neighbour.
        names: as `instances` takes them.
        width: pixels of the picture.
        height: pixels of the picture.
        settings: which components count.
    """
    scaled = cv2.resize(labels.astype(np.int32), (width, height), interpolation=cv2.INTER_NEAREST)
    return _instances(scaled.astype(np.intp), np.ones((height, width), np.float32), names, settings)


def _instances(
    winner: NDArray[np.intp], best: NDArray[np.float32], names: Sequence[str | None], settings: SemanticSettings
) -> Segmentation:
    category_ids = {channel: number for number, channel in enumerate(i for i, n in enumerate(names) if n is not None)}
    least = max(1.0, settings.least_area * winner.size)
    labels = np.zeros(winner.shape, np.int32)  # each component its own: channels do not overlap
    found: list[_Component] = []
    for channel in map(int, np.unique(winner)):
        if channel in category_ids:
            found.extend(_components(winner == channel, channel, least, labels))
    largest = sorted(found, key=lambda component: -component.area)[: settings.most]
    made = [_instance(one, labels, best, category_ids[one.channel], str(names[one.channel])) for one in largest]
    return Segmentation(tuple(sorted(made, key=lambda instance: -instance.score)))


def _components(mask: NDArray[np.bool_], channel: int, least: float, labels: NDArray[np.int32]) -> Iterator[_Component]:
    """Find the components of one channel and draw them into ``labels`` (H, W), numbered on from those there."""
    if np.count_nonzero(mask) < least:
        return
    count, islands, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    drawn = int(labels.max())
    labels[mask] = islands[mask] + drawn
    for island in range(1, count):  # 0 is what is not in the mask
        area = int(statistics[island, cv2.CC_STAT_AREA])
        if area >= least:
            yield _Component(channel, island + drawn, area)


def _instance(
    component: _Component, labels: NDArray[np.int32], best: NDArray[np.float32], category_id: int, name: str
) -> Instance:
    mask = labels == component.label
    score = float(np.clip(best[mask].mean(dtype=np.float64), 0, 1))
    return Instance(category_id, name, score, mask)
