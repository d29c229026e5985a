"""A small feature pyramid on a frozen network: from its maps to logits of each category at stride 4. Needs torch.

Source: T.-Y. Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017; the levels are summed as in
A. Kirillov et al., "Panoptic Feature Pyramid Networks", CVPR 2019, with depthwise separable convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from watson.model.backbones import Base

__all__ = ["STRIDE", "FpnHead", "FpnNetwork", "maps_of"]

STRIDE = 4
"""Pixels of the network's input for one of its output."""


class FpnHead(nn.Module):
    """The part that is trained: a pyramid over strides 32 to 8, and a slender last level, where most positions are."""

    def __init__(self, channels: Sequence[int], outputs: int, width: int, dropout: float = 0.0) -> None:
        """Make the head with random weights of torch's generator.

        Args:
            channels: of the maps, finest first.
            outputs: background and categories.
            width: channels within the head; the last level has a third of them.
            dropout: fraction of the channels of each level that are left out at random while the head is trained.
        """
        super().__init__()
        slender = max(1, width // 3)
        widths = [slender, *(width for _ in channels[1:])]
        self.lateral = nn.ModuleList(_lateral(count, own, dropout) for count, own in zip(channels, widths, strict=True))
        self.smooth = nn.ModuleList([_smooth(slender), *(_separable(width) for _ in channels[1:])])
        self.narrow = nn.Conv2d(width, slender, 1)
        self.classify = nn.Conv2d(slender, outputs, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return logits (N, outputs, H / 4, W / 4).

        Args:
            maps: (N, C, h, w) float32 each, finest first.
        """
        laterals = [layer(level) for layer, level in zip(self.lateral, maps, strict=True)]
        top = self.smooth[-1](laterals[-1])
        for place in range(len(maps) - 2, 0, -1):
            top = self.smooth[place](laterals[place] + _enlarged(top, laterals[place]))
        finest: Tensor = self.smooth[0](laterals[0] + _enlarged(self.narrow(top), laterals[0]))
        logits: Tensor = self.classify(finest)
        return logits


class FpnNetwork(nn.Module):
    """The frozen network and its head: normalised pictures in, logits at stride 4 out."""

    def __init__(self, base: Base, outputs: int, width: int) -> None:
        """Make the network without weights.

        Args:
            base: the frozen part.
            outputs: background and categories.
            width: channels within the head.
        """
        super().__init__()
        self.backbone = base.build()
        self.head = FpnHead(base.channels, outputs, width)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits (N, outputs, H / 4, W / 4).

        Args:
            pictures: (N, 3, H, W) float32, as `Base.prepared` makes them.
        """
        logits: Tensor = self.head(maps_of(self.backbone, pictures))
        return logits


def maps_of(backbone: nn.Module, pictures: Tensor) -> list[Tensor]:
    """Return a network's maps, finest first."""
    maps = backbone(pictures)
    return list(maps.values()) if isinstance(maps, dict) else list(maps)


def _lateral(channels: int, width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.Dropout2d(dropout))


def _smooth(width: int) -> nn.Sequential:
    return nn.Sequential(nn.ReLU(), nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())


def _separable(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
        nn.Conv2d(width, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )


def _enlarged(coarse: Tensor, fine: Tensor) -> Tensor:
    return functional.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False)
