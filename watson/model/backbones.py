"""Networks that were trained on ImageNet and of which the feature maps at strides 4, 8, 16 and 32 are used.

Needs torch, timm and torchvision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import safetensors.torch
import timm
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter

from watson.errors import UserError
from watson.model import efficientnet_cam
from watson.model.efficientnet_network import MEAN, SCALE, load_network
from watson.model.segmenter import Picture

__all__ = ["BASES", "Base", "base_named", "pretrained"]

_IMAGENET_MEAN, _IMAGENET_SCALE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Source: torchvision's documentation of its weights."""


@dataclass(frozen=True, slots=True)
class Base:
    """One network.

    Attributes:
        name: as users name it.
        channels: of the maps at strides 4, 8, 16, 32.
        mean: of each colour, 0–1, that is subtracted.
        scale: by which the rest is divided.
        licence: of the weights that `pretrained` takes by itself.
        build: makes the network without weights. ``forward`` takes (N, 3, H, W) float32, H and W multiples of 32, and
            returns a list of the four maps, or a dict of them in order.
    """

    name: str
    channels: tuple[int, int, int, int]
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]
    licence: str
    build: Callable[[], nn.Module]

    def prepared(self, picture: Picture, size: tuple[int, int]) -> Tensor:
        """Scale a picture and normalise it as the network was trained: (3, height, width) float32.

        Args:
            picture: (H, W, 3) uint8, RGB, 0–255.
            size: width, height in pixels.
        """
        if picture.shape[1::-1] != size:
            shrinks = size[0] < picture.shape[1]
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        mean, scale = np.array(self.mean, np.float32), np.array(self.scale, np.float32)
        return torch.from_numpy((picture.astype(np.float32) / 255 - mean) / scale).permute(2, 0, 1)


def _efficientnet_lite0() -> nn.Module:
    network: nn.Module = timm.create_model(
        "tf_efficientnet_lite0", pretrained=False, features_only=True, out_indices=(1, 2, 3, 4)
    )
    return network


def _mobilenet_v3_large() -> nn.Module:
    network = torchvision.models.mobilenet_v3_large(weights=None)
    return _layers(network.features, ("3", "6", "12", "16"))


def _resnet50() -> nn.Module:
    return _layers(torchvision.models.resnet50(weights=None), ("layer1", "layer2", "layer3", "layer4"))


def _layers(network: nn.Module, names: tuple[str, ...]) -> nn.Module:
    layers: nn.Module = IntermediateLayerGetter(network, {name: name for name in names})
    return layers


BASES: Mapping[str, Base] = {
    base.name: base
    for base in (
        Base(
            "efficientnet_lite0",
            (24, 40, 112, 320),
            (MEAN, MEAN, MEAN),
            (SCALE, SCALE, SCALE),
            "Apache-2.0",
            _efficientnet_lite0,
        ),
        Base(
            "mobilenet_v3_large",
            (24, 40, 112, 960),
            _IMAGENET_MEAN,
            _IMAGENET_SCALE,
            "BSD-3-Clause",
            _mobilenet_v3_large,
        ),
        Base("resnet50", (256, 512, 1024, 2048), _IMAGENET_MEAN, _IMAGENET_SCALE, "BSD-3-Clause", _resnet50),
    )
}
"""By name."""

_TORCHVISION = {
    "mobilenet_v3_large": ("MobileNet_V3_Large_Weights", "features."),
    "resnet50": ("ResNet50_Weights", ""),
}
"""Name → torchvision's enumeration of weights, and what stands before our tensors' names in them."""


def base_named(name: str) -> Base:
    """Return a network.

    Raises:
        UserError: there is none of that name: says which there are.
    """
    if name not in BASES:
        raise UserError(f"there is no base {name!r}. Known: {', '.join(BASES)}.")
    return BASES[name]


def pretrained(base: Base, weights: Path | None = None) -> nn.Module:
    """Return the network with the weights that were trained on ImageNet, frozen and in evaluation mode.

    Args:
        base: which network.
        weights: torchvision's file, ``.pth`` or safetensors; None downloads it. For efficientnet_lite0 None alone:
            its weights are those of the Python package.

    Raises:
        UserError: the weights are missing, cannot be downloaded, or are not this network's.
    """
    network = base.build()
    if base.name not in _TORCHVISION:
        if weights is not None:
            raise UserError(f"{base.name} has its weights from its Python package: leave {weights} out")
        tensors = dict(load_network(efficientnet_cam.weights()).state_dict())
    else:
        enumeration, prefix = _TORCHVISION[base.name]
        saved = _downloaded(enumeration) if weights is None else _in_file(weights)
        tensors = {name.removeprefix(prefix): tensor for name, tensor in saved.items() if name.startswith(prefix)}
    own = network.state_dict()
    missing = [name for name, tensor in own.items() if name not in tensors or tensors[name].shape != tensor.shape]
    if missing:
        raise UserError(
            f"{weights} does not hold the weights of {base.name}: {missing[0]} is missing or of another shape"
        )
    network.load_state_dict({name: tensors[name] for name in own})
    return network.requires_grad_(requires_grad=False).eval()


def _downloaded(enumeration: str) -> Mapping[str, Any]:
    weights = getattr(torchvision.models, enumeration).DEFAULT
    try:
        tensors: Mapping[str, Any] = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as exc:  # URLError is an OSError; RuntimeError: the hash is another
        raise UserError(
            f"{weights.url} cannot be downloaded ({exc}). Download it elsewhere, and name the file with --weights."
        ) from exc
    return tensors


def _in_file(path: Path) -> Mapping[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as exc:
        raise UserError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    except Exception as exc:  # torch raises whatever pickle and zip do
        raise UserError(f"{path} holds no weights that can be read safely: {type(exc).__name__}") from exc
    if not isinstance(tensors, dict):
        raise UserError(f"{path} holds no weights by name")
    return tensors
