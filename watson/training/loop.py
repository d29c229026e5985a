"""Trains a head on features: epoch by epoch, so that each follows from the one before and the seed alone."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from watson.model.fpn import STRIDE, FpnHead
from watson.training.checkpoint import Checkpoint, Epoch
from watson.training.confusion import Confusion
from watson.training.features import Features, PictureFeatures
from watson.training.labelled import IGNORED
from watson.training.losses import segmentation_loss
from watson.training.options import TrainingOptions

__all__ = ["HeadTraining"]

_WARM_UP = 0.1
"""Fraction of the steps in which the learning rate rises."""


class HeadTraining:
    """A head, its optimiser, and how far they are."""

    def __init__(self, channels: Sequence[int], categories: int, features: Features, options: TrainingOptions) -> None:
        torch.manual_seed(options.seed)
        self._head = FpnHead(channels, 1 + categories, options.width, options.dropout).to(
            memory_format=torch.channels_last
        )
        self._optimizer = torch.optim.AdamW(
            self._head.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
        )
        self._features = features
        self._categories = categories
        self._options = options
        self._best: dict[str, Tensor] = {}
        self._epochs: list[Epoch] = []

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from there."""
        self._head.load_state_dict(checkpoint.head)
        self._optimizer.load_state_dict(checkpoint.optimizer)
        self._best = checkpoint.best
        self._epochs = list(checkpoint.epochs)

    @property
    def state(self) -> Checkpoint:
        """Where it stands. Shares tensors with the head: write it before the next epoch."""
        return Checkpoint(self._head.state_dict(), self._optimizer.state_dict(), self._best, list(self._epochs))

    @property
    def over(self) -> bool:
        """Whether all epochs are done, or too many went by without a better one."""
        done = len(self._epochs)
        return done >= self._options.epochs or done - self.state.best_epoch >= self._options.patience

    def epoch(self) -> Epoch:
        """Train for one round over the pictures, measure, and keep the head if it is the best so far."""
        loss = self._train(len(self._epochs))
        self._epochs.append(Epoch(loss, self._held_out_iou()))
        if self.state.best_epoch == len(self._epochs):
            self._best = copy.deepcopy(self._head.state_dict())
        return self._epochs[-1]

    def _train(self, epoch: int) -> float | None:
        random = np.random.default_rng([self._options.seed, epoch])
        torch.manual_seed(int(random.integers(2**31)))  # of what is left out
        self._head.train()
        losses = []
        steps = math.ceil(self._features.pictures / self._options.batch)
        for step, batch in enumerate(self._batches(random)):
            rate = self._options.learning_rate * _share((epoch * steps + step) / (self._options.epochs * steps))
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            labels = _labels(batch, random)
            if bool((labels == IGNORED).all()):  # crowd or void alone: the mean over no pixel is no number
                continue
            loss = segmentation_loss(self._head(_maps(batch)), labels, self._options.dice)
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch's
            self._optimizer.step()
            losses.append(float(loss.detach()))
        return float(np.mean(losses)) if losses else None

    def _batches(self, random: np.random.Generator) -> Iterator[list[PictureFeatures]]:
        order = random.permutation(self._features.pictures)
        variants = random.integers(self._options.variants, size=len(order))
        for begin in range(0, len(order), self._options.batch):
            chosen = order[begin : begin + self._options.batch]
            yield [self._features.training(int(number), int(variants[number])) for number in chosen]

    @torch.inference_mode()
    def _held_out_iou(self) -> float:
        """At the head's resolution: a tenth of the work, and enough to tell epochs apart."""
        self._head.eval()
        confusion = Confusion(self._categories)
        for number in range(self._features.held_out_pictures):
            seen = self._features.held_out(number)
            found = self._head(_maps([seen]))[0].argmax(dim=0).numpy().astype(np.int16)
            confusion.add(seen.labels[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE], found)
        return confusion.mean_iou()


def _maps(batch: Sequence[PictureFeatures]) -> list[Tensor]:
    levels = zip(*(seen.maps for seen in batch), strict=True)
    return [
        torch.from_numpy(np.stack(level).astype(np.float32)).contiguous(memory_format=torch.channels_last)
        for level in levels
    ]


def _labels(batch: Sequence[PictureFeatures], random: np.random.Generator) -> Tensor:
    """Of each cell of the head's output one pixel, in each step another: on average, the shares of the cell."""
    down, right = random.integers(STRIDE, size=2)
    return torch.from_numpy(np.stack([seen.labels[down::STRIDE, right::STRIDE] for seen in batch]).astype(np.int64))


def _share(progress: float) -> float:
    """Of the highest learning rate: rises linearly, then falls as a half cosine to 0."""
    if progress < _WARM_UP:
        return progress / _WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP)))
