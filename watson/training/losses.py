"""What training makes small."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from watson.training.labelled import IGNORED

__all__ = ["segmentation_loss"]

_SMOOTH = 1.0


def segmentation_loss(logits: Tensor, labels: Tensor, dice: float) -> Tensor:
    """Cross-entropy, and so many times the Dice loss over the categories that the batch shows.

    Source of the latter: F. Milletari et al., "V-Net", 3DV 2016: small things weigh as much as large ones, as they do
    in the mean IoU.

    Args:
        logits: (N, C, h, w) float32.
        labels: (N, h, w) int64, 0–C-1 or `IGNORED`; at least one is not ignored.
        dice: weight, 0 or more.
    """
    entropy = functional.cross_entropy(logits, labels, ignore_index=IGNORED)
    if not dice:
        return entropy
    judged = labels != IGNORED
    truth = functional.one_hot(torch.where(judged, labels, 0), logits.shape[1]).movedim(-1, 1) * judged[:, None]
    found = logits.softmax(dim=1) * judged[:, None]
    both = (found * truth).sum(dim=(0, 2, 3))
    there = truth.sum(dim=(0, 2, 3))
    score = (2 * both + _SMOOTH) / (found.sum(dim=(0, 2, 3)) + there + _SMOOTH)
    shown = there > 0
    return entropy + dice * (1 - score[shown].mean())
