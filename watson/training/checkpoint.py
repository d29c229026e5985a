"""Where a training stands: written after each epoch, whole or not at all, so that `--resume` can go on."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from watson.errors import UserError

__all__ = ["Checkpoint", "Epoch", "read_checkpoint", "write_checkpoint"]


@dataclass(frozen=True, slots=True)
class Epoch:
    """One round over the training pictures.

    Attributes:
        loss: mean over its steps; None where no pixel was judged in any of them.
        mean_iou: on the held-out pictures afterwards, at the head's resolution, with background; 0–1.
    """

    loss: float | None
    mean_iou: float


@dataclass(slots=True)
class Checkpoint:
    """All of a training that does not follow from its options, its pictures and the number of epochs done.

    Attributes:
        head: weights of the head after the last epoch.
        optimizer: its state then.
        best: weights of the head after the best epoch; empty before the first.
        epochs: those done.
    """

    head: dict[str, Tensor]
    optimizer: dict[str, Any]
    best: dict[str, Tensor]
    epochs: list[Epoch] = field(default_factory=list)

    @property
    def best_epoch(self) -> int:
        """Number of the best one, from 1; of equals the first. 0 before the first."""
        scores = [epoch.mean_iou for epoch in self.epochs]
        return 1 + scores.index(max(scores)) if scores else 0


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the file in one step; a reader finds the old one or the new one, also after a crash."""
    state = {
        "head": checkpoint.head,
        "optimizer": checkpoint.optimizer,
        "best": checkpoint.best,
        "epochs": [asdict(epoch) for epoch in checkpoint.epochs],
    }
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def read_checkpoint(path: Path) -> Checkpoint:
    """Return what was written.

    Raises:
        UserError: the file is damaged.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        return Checkpoint(state["head"], state["optimizer"], state["best"], epochs)
    except Exception as exc:  # torch raises whatever pickle and zip do
        raise UserError(f"{path} is damaged ({type(exc).__name__}): delete {path.parent} and train anew") from exc
