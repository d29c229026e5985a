"""What decides a training besides its pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from watson.errors import UserError
from watson.events import TrainingOptions as EventOptions

__all__ = ["TrainingOptions"]

_ASKED = EventOptions()
"""Defaults are those of an event that asks a train worker."""

_STRIDE = 32
_LEAST_SIDE = 64
"""Less leaves one cell of the coarsest map, over which nothing can be normalised."""


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """Everything but ``cache_bytes`` and ``threads`` changes the result.

    Attributes:
        base: the frozen network, one of `watson.model.backbones.BASES`.
        side: root of the area, in pixels, at which the network looks; a multiple of 32, at least 64.
        epochs: rounds over the training pictures, at most.
        patience: rounds without a better held-out mean IoU after which training ends.
        seed: of the head's first weights, of the order of pictures and of their variants.
        variants: of each training picture whose features are computed; each round takes one of them.
        batch: pictures a step.
        width: channels within the head.
        learning_rate: the highest; it rises for a tenth of the steps and then falls as a cosine.
        weight_decay: of AdamW.
        dice: weight of the Dice loss beside the cross-entropy's 1.
        dropout: fraction of the head's channels that are left out at random in each step.
        cache_bytes: of features kept on disk; those beyond are computed anew in each round.
        threads: of torch.
    """

    base: str = "efficientnet_lite0"
    side: int = _ASKED.side
    epochs: int = _ASKED.epochs
    patience: int = 10
    seed: int = _ASKED.seed
    variants: int = 4
    batch: int = 16
    width: int = 96
    learning_rate: float = 4e-3
    weight_decay: float = 0.05
    dice: float = 0.5
    dropout: float = 0.0
    cache_bytes: int = 4_000_000_000
    threads: int = 1

    def __post_init__(self) -> None:
        if self.side % _STRIDE or self.side < _LEAST_SIDE:
            raise UserError(
                f"the side is {self.side} pixels: it must be a multiple of {_STRIDE}, and at least {_LEAST_SIDE}"
            )

    def fingerprint(self) -> dict[str, Any]:
        """What must be the same for a training to go on where it stopped."""
        same = asdict(self)
        del same["cache_bytes"], same["threads"]
        return same
