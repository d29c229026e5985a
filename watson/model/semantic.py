"""From a semantic map, which says for each pixel what it shows, to instances: connected components of each category."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from watson.model.segmenter import Instance, Segmentation

__all__ = ["SemanticSettings", "instances"]


@dataclass(frozen=True, slots=True)
class SemanticSettings:
    """Which components become instances.

    Attributes:
        least_area: of a component, as a fraction of the picture; smaller ones are left out.
        most: instances of one picture, largest first; a noisy map must not make thousands.
    """

    least_area: float = 0.002
    most: int = 100


def instances(
    probabilities: NDArray[np.float32],
    names: Sequence[str | None],
    *,
    width: int,
    height: int,
    settings: SemanticSettings,
) -> Segmentation:
    """Return each connected component (8 neighbours) of each category as an instance, best score first.

    A pixel belongs to the channel that is most probable there. The map is scaled to the picture bilinearly before that
    is decided, but only channels that win somewhere in the map as the network made it take part.

    Args:
        probabilities: (C, h, w) float32, 0–1, over channels; softmax or sigmoid of the network's logits.
        names: of each channel; None for one that is no thing (background, void). Category ids count the others, in
            order.
        width: pixels of the picture.
        height: pixels of the picture.
        settings: which components count.

    The score is the mean probability of the component's own channel over its pixels.
    """
    present = np.unique(probabilities.argmax(axis=0))
    scaled = np.stack(
        [cv2.resize(probabilities[channel], (width, height), interpolation=cv2.INTER_LINEAR) for channel in present]
    )
    winner = scaled.argmax(axis=0)
    category_ids = {channel: number for number, channel in enumerate(i for i, n in enumerate(names) if n is not None)}
    found: list[tuple[int, Instance]] = []
    for place, channel in enumerate(present):
        name = names[channel]
        if name is None:
            continue
        for area, mask in _components(winner == place, settings.least_area * width * height):
            score = float(np.clip(scaled[place][mask].mean(dtype=np.float64), 0, 1))
            found.append((area, Instance(category_ids[int(channel)], name, score, mask)))
    largest = sorted(found, key=lambda item: -item[0])[: settings.most]
    return Segmentation(tuple(sorted((instance for _, instance in largest), key=lambda instance: -instance.score)))


def _components(mask: NDArray[np.bool_], least: float) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    count, islands, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    for island in range(1, count):  # 0 is what is not in the mask
        area = int(statistics[island, cv2.CC_STAT_AREA])
        if area >= max(1.0, least):
            yield area, islands == island
