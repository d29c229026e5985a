"""Torchvision's networks that say for each pixel what it shows: FCN, DeepLabV3, LR-ASPP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torchvision.transforms import functional

from watson.model import devices
from watson.model.kinds.batches import batches, overlapped
from watson.model.kinds.torchvision_settings import SemanticConfiguration
from watson.model.segmenter import ModelInfo, Picture, Segmentation
from watson.model.semantic import instances

__all__ = ["SemanticNetwork", "input_size"]

_MEAN, _DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
"""Source: torchvision.transforms._presets.SemanticSegmentation; of ImageNet's pictures, 0–1."""


class SemanticNetwork:
    """A semantic network with its weights, on one device. Not thread-safe."""

    def __init__(
        self,
        network: Any,
        info: ModelInfo,
        names: Sequence[str | None],
        settings: SemanticConfiguration,
        device: torch.device,
    ) -> None:
        """Take a loaded network.

        Args:
            network: (N, 3, h, w) float32 → ``{"out": (N, C, h, w)}``, logits; in evaluation mode, on its device.
            info: what identifies the model.
            names: of each of the C channels; None for the background.
            settings: as in ``info.version``.
            device: where the network is.
        """
        self._network = network
        self._info = info
        self._names = tuple(names)
        self._settings = settings
        self._device = device

    @property
    def info(self) -> ModelInfo:
        """What model this is."""
        return self._info

    def segment(self, pictures: Sequence[Picture]) -> list[Segmentation]:
        """Find the connected components of each category in each picture, best score first.

        Args:
            pictures: each (H, W, 3) uint8, RGB, 0–255.
        """
        shorter, longest = self._settings.resize, self._settings.longest
        sizes = [input_size(picture.shape[0], picture.shape[1], shorter, longest) for picture in pictures]

        def launch(places: list[int]) -> torch.Tensor:
            return self._probabilities(torch.stack([_input(pictures[place], sizes[place]) for place in places]))

        def collect(places: list[int], launched: torch.Tensor) -> Iterator[Segmentation]:
            for place, probabilities in zip(places, launched.cpu().numpy(), strict=True):
                height, width = pictures[place].shape[:2]
                yield instances(
                    probabilities, self._names, width=width, height=height, settings=self._settings.semantic
                )

        return overlapped(batches(sizes, alone=self._device.type == "cpu"), launch, collect)

    @torch.inference_mode()
    def _probabilities(self, batch: torch.Tensor) -> torch.Tensor:
        """Turn (N, 3, h, w) float32, normalised, into (N, C, h, w) float32, 0–1, on the device."""
        batch = devices.sent(batch, self._device).contiguous(memory_format=torch.channels_last)
        with devices.autocast(self._device, self._settings.precision):
            logits = self._network(batch)["out"]
        return torch.softmax(logits.float(), dim=1)


def input_size(height: int, width: int, shorter: int, longest: int) -> tuple[int, int]:
    """Return height and width at which the network sees a picture, as torchvision's ``resize`` reckons them.

    Args:
        height: pixels of the picture.
        width: pixels of the picture.
        shorter: pixels of the shorter side.
        longest: pixels of the longer side at most; the shorter one is then less.
    """
    short, long = min(height, width), max(height, width)
    new_short, new_long = shorter, int(shorter * long / short)
    if new_long > longest:
        new_short, new_long = max(1, int(longest * new_short / new_long)), longest
    return (new_short, new_long) if height <= width else (new_long, new_short)


def _input(picture: Picture, size: tuple[int, int]) -> torch.Tensor:
    """Do as torchvision's own transforms of these weights do."""
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    scaled = functional.convert_image_dtype(functional.resize(pixels, list(size), antialias=True), torch.float)
    tensor: torch.Tensor = functional.normalize(scaled, _MEAN, _DEVIATION)
    return tensor
