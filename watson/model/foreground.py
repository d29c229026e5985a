"""From where a class was seen, coarsely, to the outline of the thing: GrabCut seeded by a class activation map.

Source: C. Rother, V. Kolmogorov, A. Blake, "GrabCut", SIGGRAPH 2004, as in OpenCV. Coarse first and then fine in a
band around the outline, as in H. Lombaert et al., "A Multilevel Banded Graph Cuts Method", ICCV 2005. The fine cut
takes the colours that the coarse one learned, and sees no more of the picture than the band: it costs half of one
that learns its own, and its outlines are as good.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from watson.model.segmenter import Picture

__all__ = ["ForegroundSettings", "foreground", "working_copy"]

_SEED = 0
_MARGIN = 2
"""Pixels around the band, so that the cut sees background on all sides of it."""

Colours = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Mixtures of Gaussians of the background's and the thing's colours, (1, 65) each, in OpenCV's own layout."""


@dataclass(frozen=True, slots=True)
class ForegroundSettings:
    """How the outline is found. ``sure``, ``likely``, ``background`` and ``core`` are fractions of the map's maximum.

    Attributes:
        side: pixels of the picture's long side where the outline is fine.
        coarse_side: likewise where it is coarse.
        band: pixels to either side of the coarse outline in which the fine one is looked for.
        iterations: of the coarse GrabCut; a second one improves outlines by 1 % and costs a third more.
        sure: above it, a pixel is foreground, whatever its colour.
        likely: above it, a pixel is taken for foreground at first; its colour decides.
        background: below it, a pixel is background, whatever its colour.
        core: takes the place of ``sure`` where too much of what lies above it was lost.
        kept: least fraction of the core that must be in the outline.
        kept_small: the same where what is likely covers less than ``small`` of the picture.
        small: fraction of the picture. One cell of the map is 1/13 of the side, so around a small thing the map shows
            more surroundings than thing, and most of it is lost with good reason.
        speck: smaller islands, as a fraction of the outline, are left out.
    """

    side: int = 256
    coarse_side: int = 144
    band: int = 4
    iterations: int = 1
    sure: float = 0.9
    likely: float = 0.35
    background: float = 0.08
    core: float = 0.75
    kept: float = 0.6
    kept_small: float = 0.3
    small: float = 0.15
    speck: float = 0.01


def working_copy(picture: Picture, side: int) -> Picture:
    """Return the picture scaled so that its long side has ``side`` pixels (up, too: GrabCut likes some pixels)."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrinks = scale < 1
    return np.asarray(
        cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), dtype=np.uint8
    )


def foreground(small: Picture, activation: NDArray[np.float32], settings: ForegroundSettings) -> NDArray[np.bool_]:
    """Return the outline of what the map points at, (H, W) bool.

    Args:
        small: (H, W, 3) uint8, RGB, 0–255.
        activation: (H, W) float32, 0–1, maximum 1.
        settings: sizes and thresholds.
    """
    height, width = activation.shape
    picture = working_copy(small, settings.coarse_side)
    rows, columns = picture.shape[:2]
    hint = np.asarray(cv2.resize(activation, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.float32)
    coarse, colours = _coarse(picture, hint, settings)
    guess = cv2.resize(coarse.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_LINEAR) > 127
    return _without_specks(_fine(small, np.asarray(guess), colours, settings.band), settings.speck)


def _coarse(
    small: Picture, activation: NDArray[np.float32], settings: ForegroundSettings
) -> tuple[NDArray[np.bool_], Colours]:
    """A first try trusts only the very peak of the map, which keeps sky out of the outline of a small bird.

    Where the colours do not tell thing and surroundings apart, that loses the thing itself; the second trusts more.
    """
    found, colours = _from_activation(small, activation, settings.sure, settings)
    core = activation > settings.core
    kept = settings.kept_small if (activation > settings.likely).mean() < settings.small else settings.kept
    if (found & core).sum() < kept * core.sum():
        found, colours = _from_activation(small, activation, settings.core, settings)
    return _without_specks(found, settings.speck), colours


def _from_activation(
    small: Picture, activation: NDArray[np.float32], sure: float, settings: ForegroundSettings
) -> tuple[NDArray[np.bool_], Colours]:
    labels = np.full(activation.shape, cv2.GC_PR_BGD, np.uint8)
    labels[activation > settings.likely] = cv2.GC_PR_FGD
    labels[activation > sure] = cv2.GC_FGD
    labels[activation < settings.background] = cv2.GC_BGD
    colours = np.zeros((1, 65)), np.zeros((1, 65))
    return _grabcut(small, labels, colours, settings.iterations, cv2.GC_INIT_WITH_MASK), colours


def _fine(small: Picture, guess: NDArray[np.bool_], colours: Colours, band: int) -> NDArray[np.bool_]:
    inside = guess.astype(np.uint8)
    square = np.ones((2 * band + 1, 2 * band + 1), np.uint8)
    outer = cv2.dilate(inside, square)
    labels = np.where(guess, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[cv2.erode(inside, square) > 0] = cv2.GC_FGD
    labels[outer == 0] = cv2.GC_BGD
    left, top, width, height = cv2.boundingRect(outer)
    place = np.s_[max(0, top - _MARGIN) : top + height + _MARGIN, max(0, left - _MARGIN) : left + width + _MARGIN]
    found = np.zeros_like(guess)
    found[place] = _grabcut(small[place], np.ascontiguousarray(labels[place]), colours, 1, cv2.GC_EVAL_FREEZE_MODEL)
    return found


def _grabcut(
    small: Picture, labels: NDArray[np.uint8], colours: Colours, iterations: int, mode: int
) -> NDArray[np.bool_]:
    """Decide what ``labels`` (H, W; OpenCV's ``GC_…``) leave open; changes them, and ``colours`` where it learns."""
    likely = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if likely.all() or not likely.any():  # GrabCut needs samples of both
        return np.asarray(likely)
    # k-means inside GrabCut draws from OpenCV's generator, which is one a thread: seeded here, in the thread that
    # uses it, the outline depends on this picture alone.
    cv2.setRNGSeed(_SEED)
    cv2.grabCut(np.ascontiguousarray(small[..., ::-1]), labels, None, *colours, iterations, mode)
    return np.asarray((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))


def _without_specks(mask: NDArray[np.bool_], least: float) -> NDArray[np.bool_]:
    _, islands, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = statistics[:, cv2.CC_STAT_AREA]
    large = areas >= least * mask.sum()
    large[0] = False  # island 0 is what is not in the mask
    return np.asarray(large[islands])
