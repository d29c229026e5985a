"""EfficientNet-Lite0 in torch: pictures in, class probabilities and feature maps out. Needs torch and timm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import timm
import torch
from numpy.typing import NDArray

from watson.errors import UserError
from watson.model.folding import fold_batch_norms, fold_padding
from watson.model.segmenter import Picture

__all__ = ["MEAN", "SCALE", "Activations", "EfficientNetLite0", "input_size", "load_network"]

MEAN, SCALE = 0.498, 0.502
"""Source: the weights' own package: (x / 255 - 0.498) / 0.502, equal to TensorFlow's (x - 127) / 128."""
_STRIDE = 32
_MOST_ELONGATED = 4.0


@dataclass(frozen=True, slots=True)
class Activations:
    """What the network saw in one picture at one scale.

    Attributes:
        features: (C, h, w) float32, before pooling.
        logits: (K,) float32.
    """

    features: NDArray[np.float32]
    logits: NDArray[np.float32]


class EfficientNetLite0:
    """The network with its weights, on one device."""

    def __init__(self, weights: Path, *, device: str) -> None:
        """Load the weights.

        Raises:
            UserError: the file holds other tensors than the network has, or the device is not there.
        """
        network = load_network(weights)
        fold_batch_norms(network)
        try:
            self._device = torch.device(device)
            if self._device.type == "cpu":
                fold_padding(network)  # on a GPU even kernels may cost more than the copy that they save
            network = network.to(self._device, memory_format=torch.channels_last)  # a third faster on CPU
        except (RuntimeError, AssertionError) as exc:  # AssertionError: torch was built without CUDA
            raise UserError(f"The device {device!r} (WATSON_DEVICE) cannot be used: {exc}") from exc
        self._network = network
        classifier = self._network.get_classifier()
        self.class_weights: NDArray[np.float32] = classifier.weight.detach().cpu().numpy()
        self.class_biases: NDArray[np.float32] = classifier.bias.detach().cpu().numpy()

    @torch.inference_mode()
    def __call__(self, pictures: Sequence[Picture], area: int) -> list[Activations]:
        """Look at each picture, scaled to about ``area`` × ``area`` pixels in its own proportions.

        On a GPU pictures of one input size go together. On CPU each goes alone: a batch is no faster there, and the
        result depends on nothing but the picture.
        """
        inputs = [_input(picture, area) for picture in pictures]
        results: list[Activations | None] = [None] * len(inputs)
        for places in self._together(inputs):
            # (N, H, W, C) in memory, (N, C, H, W) to torch: what it calls channels last.
            batch = torch.from_numpy(np.stack([inputs[place] for place in places])).permute(0, 3, 1, 2)
            batch = batch.to(self._device)
            features = self._network.forward_features(batch)
            logits = self._network.forward_head(features)
            for place, maps, scores in zip(places, features.cpu().numpy(), logits.cpu().numpy(), strict=True):
                results[place] = Activations(np.ascontiguousarray(maps), scores)
        return [result for result in results if result is not None]

    def _together(self, inputs: Sequence[NDArray[np.float32]]) -> list[list[int]]:
        if self._device.type == "cpu":
            return [[place] for place in range(len(inputs))]
        groups: dict[tuple[int, ...], list[int]] = {}
        for place, scaled in enumerate(inputs):
            groups.setdefault(scaled.shape, []).append(place)
        return list(groups.values())


def input_size(width: int, height: int, area: int) -> tuple[int, int]:
    """Return width and height, multiples of 32, whose product is near area² in the picture's proportions."""
    elongation = min(max(width / height, 1 / _MOST_ELONGATED), _MOST_ELONGATED)
    sides = area * math.sqrt(elongation), area / math.sqrt(elongation)
    wide, high = (max(_STRIDE, round(side / _STRIDE) * _STRIDE) for side in sides)
    return wide, high


def _input(picture: Picture, area: int) -> NDArray[np.float32]:
    """The picture as the network takes it: (H, W, 3) float32, about -1 to 1."""
    height, width = picture.shape[:2]
    size = input_size(width, height, area)
    shrinks = size[0] < width
    scaled = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(scaled.astype(np.float32) * np.float32(1 / (255 * SCALE)) - np.float32(MEAN / SCALE))


def load_network(weights: Path) -> Any:  # timm's own methods, which torch's class does not declare
    """Return timm's network with these weights, in evaluation mode.

    Raises:
        UserError: the file holds other tensors than the network has.
    """
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    saved = torch.load(weights, map_location="cpu", weights_only=True)
    own = network.state_dict()
    # The two name their tensors differently but have them in one order.
    if [_signature(*item) for item in saved.items()] != [_signature(*item) for item in own.items()]:
        raise UserError(f"{weights} does not hold the tensors of EfficientNet-Lite0 as this release of timm has them")
    network.load_state_dict(dict(zip(own, saved.values(), strict=True)))
    return network.eval()


def _signature(name: str, tensor: torch.Tensor) -> tuple[str, tuple[int, ...]]:
    return name.rsplit(".", 1)[-1], tuple(tensor.shape)
