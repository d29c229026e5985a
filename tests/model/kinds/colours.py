"""A network that names colours: right answers are plain to see. And the picture it is shown."""

from __future__ import annotations

from typing import Any

import numpy as np

from watson.model.segmenter import Picture, Segmentation, Segmenter

WEIGHT = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0]], np.float32)[:, :, None, None]
BIAS = np.array([5, 0, 0], np.float32)
"""Of a convolution whose channels are background, red and green."""

GIVEN: dict[str, Any] = {
    "input": {"longest": 64, "multiple": 8},
    "output": {"kind": "semantic-logits"},
    "categories": ["red", "green"],
}


def red_and_green(height: int = 64, width: int = 48) -> Picture:
    """Red on the left third, black in the middle, green on the right."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 3, 0] = 255
    picture[:, -(width // 3) :, 1] = 255
    return picture


def with_input(**changes: Any) -> dict[str, Any]:
    return GIVEN | {"input": GIVEN["input"] | changes}


def with_output(**changes: Any) -> dict[str, Any]:
    return GIVEN | {"output": GIVEN["output"] | changes}


def check_names_colours(model: Segmenter) -> None:
    """Red is red and green is green, in the picture's own pixels, alike in every batch."""
    pictures = [
        red_and_green(),
        red_and_green(100, 90),
        red_and_green()[::-1].copy(),
        red_and_green(64, 48)[:, ::-1].copy(),
    ]
    together = model.segment(pictures)
    for picture, found in zip(pictures, together, strict=True):
        masks = {one.category: one.mask for one in found.instances}
        assert masks.keys() == {"red", "green"}
        assert all(one.score > 0.9 for one in found.instances)
        assert (masks["red"] != (picture[..., 0] > 127)).mean() < 0.03
        assert (masks["green"] != (picture[..., 1] > 127)).mean() < 0.03
        assert equal(model.segment([picture])[0], found)
    assert equal(together[0], model.segment(pictures[::-1])[-1])


def equal(one: Segmentation, other: Segmentation) -> bool:
    """To the last bit."""
    return len(one.instances) == len(other.instances) and all(
        (a.category_id, a.category, a.score) == (b.category_id, b.category, b.score) and np.array_equal(a.mask, b.mask)
        for a, b in zip(one.instances, other.instances, strict=True)
    )
