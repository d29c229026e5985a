"""What a model is to Watson: pictures in, instance masks out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Instance", "ModelInfo", "Segmentation", "Segmenter"]

Picture = NDArray[np.uint8]
"""(H, W, 3) uint8, RGB, 0–255."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One thing found in a picture.

    Attributes:
        mask: (H, W) bool, of the picture's size.
        category_id: index into the model's categories.
        score: 0–1, higher is surer.
    """

    category_id: int
    category: str
    score: float
    mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Segmentation:
    """All that a model found in one picture, best score first."""

    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What identifies a model.

    Attributes:
        version: first 12 hexadecimal digits of sha256(weights sha256 + configuration): another weight file, another
            threshold or another input size is another version.
    """

    name: str
    version: str
    kind: str
    weights_sha256: str
    categories: tuple[str, ...]
    licence: str = ""
    description: str = ""

    @property
    def reference(self) -> str:
        """``name@version``, as jobs name it."""
        return f"{self.name}@{self.version}"


class Segmenter(Protocol):
    """A loaded model. Not thread-safe: one thread at a time calls `segment`."""

    @property
    def info(self) -> ModelInfo:
        """What model this is."""
        ...

    def segment(self, pictures: Sequence[Picture]) -> list[Segmentation]:
        """Find the instances in each picture; same order, same length. Pictures may differ in size.

        Args:
            pictures: each (H, W, 3) uint8, RGB, 0–255.

        Deterministic: the same pictures give the same masks, whatever else is in the batch, to the last bit on CPU.
        """
        ...
