"""Intersection over union from a confusion matrix over all pixels of a dataset.

Source: M. Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", IJCV 2010, section 4.4: for each
class, true positives / (true positives + false positives + false negatives), over the pixels of all pictures together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from watson.training.labelled import Labels

__all__ = ["Confusion"]


class Confusion:
    """Counts of pixels: rows are what is there, columns are what was found; 0 is background in both."""

    def __init__(self, categories: int) -> None:
        self._size = categories + 1
        self.counts: NDArray[np.int64] = np.zeros((self._size, self._size), np.int64)

    def add(self, truth: Labels, found: Labels) -> None:
        """Count the pixels of one picture.

        Args:
            truth: (H, W); pixels that are `IGNORED` are left out.
            found: (H, W), 0–categories.

        Raises:
            ValueError: the two differ in size.
        """
        if truth.shape != found.shape:
            raise ValueError(f"labels of {truth.shape} pixels cannot be compared with {found.shape}")
        judged = truth >= 0
        pairs = truth[judged].astype(np.int64) * self._size + found[judged]
        self.counts += np.bincount(pairs, minlength=self._size**2).reshape(self._size, self._size)

    def iou(self) -> NDArray[np.float64]:
        """Intersection over union, 0–1, background first; NaN where a category is neither there nor found."""
        hits = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(axis=0) + self.counts.sum(axis=1) - hits
        shares: NDArray[np.float64] = np.divide(hits, union, out=np.full(self._size, np.nan), where=union > 0)
        return shares

    def mean_iou(self, *, background: bool = True) -> float:
        """Mean over those categories that are there or were found; 0 where none is."""
        known = self.iou()[0 if background else 1 :]
        known = known[~np.isnan(known)]
        return float(known.mean()) if known.size else 0.0

    def foreground_iou(self) -> float:
        """Of all things together against the background, whatever they are called; 0 where there is none."""
        hits = int(self.counts[1:, 1:].sum())
        union = int(self.counts.sum() - self.counts[0, 0])
        return hits / union if union else 0.0
