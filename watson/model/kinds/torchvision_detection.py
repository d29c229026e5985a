"""Torchvision's Mask R-CNN: things, each with its box, its score and its mask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.models.detection.transform import resize_boxes

from watson.model import devices
from watson.model.kinds.batches import batches, overlapped
from watson.model.kinds.torchvision_settings import DetectionConfiguration
from watson.model.segmenter import Instance, ModelInfo, Picture, Segmentation

__all__ = ["MaskNetwork", "visible"]

Sizes = list[tuple[int, int]]
"""Of each picture of a batch: height and width as the network sees it, before padding."""


class MaskNetwork:
    """Mask R-CNN with its weights, on one device. Not thread-safe."""

    def __init__(
        self,
        network: Any,
        info: ModelInfo,
        names: Sequence[str | None],
        settings: DetectionConfiguration,
        device: torch.device,
    ) -> None:
        """Take a loaded network.

        Args:
            network: torchvision's ``MaskRCNN``, in evaluation mode, on its device.
            info: what identifies the model.
            names: of each of its labels; None for the background and for labels that are no thing.
            settings: as in ``info.version``.
            device: where the network is.
        """
        self._network = network
        self._info = info
        self._names = tuple(names)
        numbers = (label for label, name in enumerate(names) if name is not None)
        self._category_ids = {label: category_id for category_id, label in enumerate(numbers)}
        self._settings = settings
        self._device = device

    @property
    def info(self) -> ModelInfo:
        """What model this is."""
        return self._info

    def segment(self, pictures: Sequence[Picture]) -> list[Segmentation]:
        """Find the things in each picture, best score first; may be none.

        Args:
            pictures: each (H, W, 3) uint8, RGB, 0–255.

        In a picture that is so long that scaled to ``max_size`` it is less than a pixel wide nothing is found.
        """
        least, most = self._settings.min_size, self._settings.max_size
        seen = [visible(picture.shape[0], picture.shape[1], least, most) for picture in pictures]

        def launch(places: list[int]) -> tuple[list[dict[str, torch.Tensor]], Sizes]:
            if not seen[places[0]]:
                return [], []
            return self._detections([pictures[place] for place in places])

        def collect(places: list[int], launched: tuple[list[dict[str, torch.Tensor]], Sizes]) -> Iterator[Segmentation]:
            if not launched[0]:
                yield from (Segmentation(()) for _ in places)
                return
            for place, detections, size in zip(places, *launched, strict=True):
                height, width = pictures[place].shape[:2]
                yield self._segmentation(detections, size, (height, width))

        sizes = [(shown, picture.shape) for shown, picture in zip(seen, pictures, strict=True)]
        return overlapped(batches(sizes, alone=self._device.type == "cpu"), launch, collect)

    @torch.inference_mode()
    def _detections(self, pictures: Sequence[Picture]) -> tuple[list[dict[str, torch.Tensor]], Sizes]:
        """Do as the network's ``forward``, but leave the masks in their boxes: pasted all at once they take gigabytes.

        Boxes are in the pixels of the second value's sizes, masks (N, 1, 28, 28) float32, 0–1.
        """
        pixels = [
            devices.sent(torch.from_numpy(np.array(picture)).permute(2, 0, 1), self._device).float() / 255
            for picture in pictures
        ]
        with devices.autocast(self._device, self._settings.precision):
            images, _ = self._network.transform(pixels)
            batch = images.tensors.contiguous(memory_format=torch.channels_last)
            features = self._network.backbone(batch)
            images.tensors = batch
            proposals, _ = self._network.rpn(images, features)
            detections, _ = self._network.roi_heads(features, proposals, images.image_sizes)
        return detections, list(images.image_sizes)

    @torch.inference_mode()
    def _segmentation(
        self, detections: dict[str, torch.Tensor], seen: tuple[int, int], size: tuple[int, int]
    ) -> Segmentation:
        boxes = resize_boxes(detections["boxes"].float(), list(seen), list(size))
        labels, scores = detections["labels"].tolist(), detections["scores"].float().clamp(0, 1).tolist()
        masks = detections["masks"].float()
        found: list[Instance] = []
        for place, (label, score) in enumerate(zip(labels, scores, strict=True)):
            name = self._names[label]
            if name is None:
                continue
            pasted = paste_masks_in_image(masks[place : place + 1], boxes[place : place + 1], size)[0, 0]
            mask = (pasted > self._settings.mask_threshold).cpu().numpy()
            if np.count_nonzero(mask) >= max(1.0, self._settings.least_area * mask.size):
                found.append(Instance(self._category_ids[label], name, score, mask))
        return Segmentation(tuple(sorted(found, key=lambda instance: -instance.score)))


def visible(height: int, width: int, min_size: int, max_size: int) -> bool:
    """Whether anything of a picture is left at the network's scale."""
    short, long = min(height, width), max(height, width)
    return short * min(min_size / short, max_size / long) >= 1
