"""The kind ``fpn``: what `watson train` makes, a feature pyramid on a network that was trained on ImageNet.

The weights hold the whole network, so that no worker needs anything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from safetensors import SafetensorError

from watson.errors import UserError
from watson.model import devices
from watson.model.backbones import Base, base_named
from watson.model.efficientnet_network import input_size
from watson.model.fpn import FpnNetwork
from watson.model.kinds import Prepared, state_dicts
from watson.model.kinds.configuration import CategoryName, shared_names
from watson.model.segmenter import ModelInfo, Picture, Segmentation
from watson.model.semantic import SemanticSettings, instances

__all__ = ["Configuration", "Fpn", "load", "prepare"]


class Configuration(BaseModel):
    """All that decides the result besides the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    algorithm: Annotated[int, Field(ge=1, le=1, description="raised when the code changes what comes out")] = 1
    base: str
    categories: Annotated[tuple[CategoryName, ...], Field(min_length=1)]
    side: Annotated[int, Field(ge=32, le=2048, multiple_of=32, description="root of the area looked at, pixels")] = 256
    width: Annotated[int, Field(ge=3, le=1024, description="channels within the head")] = 96
    least_area: Annotated[float, Field(ge=0, le=1)] = SemanticSettings().least_area
    most: Annotated[int, Field(ge=1, le=1000)] = SemanticSettings().most


def prepare(given: Mapping[str, JsonValue], weights: Path | None, folder: Path) -> Prepared:  # noqa: ARG001 - as all kinds
    """See `Kind`. The weights are taken as they are: `watson train` writes safetensors."""
    configuration = _checked(given)
    if weights is None:
        raise UserError("a model of kind fpn needs its weights: the file weights.safetensors that watson train wrote")
    base = base_named(configuration.base)
    _network(configuration, base, weights)
    return Prepared(
        weights=weights,
        configuration=configuration.model_dump(mode="json"),
        categories=configuration.categories,
        licence=base.licence,
        description=f"{base.name} with a head for {len(configuration.categories)} categories",
    )


def load(
    info: ModelInfo, configuration: Mapping[str, JsonValue], weights: Path, *, device: str, torch_threads: int
) -> Fpn:
    """See `Kind`. Sets torch's and OpenCV's numbers of threads for the whole process."""
    checked = _checked(configuration)
    base = base_named(checked.base)
    there = devices.ready(device, torch_threads)
    return Fpn(_network(checked, base, weights).to(there), base, info, checked, there)


class Fpn:
    """A trained model, loaded. Not thread-safe."""

    def __init__(
        self, network: FpnNetwork, base: Base, info: ModelInfo, configuration: Configuration, device: torch.device
    ) -> None:
        self._network = network.to(memory_format=torch.channels_last)
        self._base = base
        self._info = info
        self._side = configuration.side
        self._names = (None, *configuration.categories)
        self._settings = SemanticSettings(configuration.least_area, configuration.most)
        self._device = device

    @property
    def info(self) -> ModelInfo:
        """What model this is."""
        return self._info

    def segment(self, pictures: Sequence[Picture]) -> list[Segmentation]:
        """What hangs together of one category is one instance, best score first; none where all is background.

        Each picture goes alone, so that its masks depend on nothing else.

        Args:
            pictures: each (H, W, 3) uint8, RGB, 0–255.
        """
        return [self._segmentation(picture) for picture in pictures]

    @torch.inference_mode()
    def _segmentation(self, picture: Picture) -> Segmentation:
        height, width = picture.shape[:2]
        prepared = self._base.prepared(picture, input_size(width, height, self._side))[None]
        logits = self._network(prepared.to(self._device).contiguous(memory_format=torch.channels_last))
        probabilities = np.ascontiguousarray(logits.softmax(dim=1)[0].cpu().numpy())
        return instances(probabilities, self._names, width=width, height=height, settings=self._settings)


def _checked(given: Mapping[str, JsonValue]) -> Configuration:
    try:
        configuration = Configuration.model_validate(given)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        raise UserError(f"the model's configuration: {'.'.join(map(str, first['loc']))}: {first['msg']}") from exc
    if shared := shared_names(configuration.categories):
        raise UserError(
            f"the model's configuration: categories: a name stands there twice: {shared[0]!r} (capitals do not count)"
        )
    return configuration


def _network(configuration: Configuration, base: Base, weights: Path) -> FpnNetwork:
    network = FpnNetwork(base, 1 + len(configuration.categories), configuration.width)
    try:
        tensors = safetensors.torch.load_file(weights)
    except (OSError, SafetensorError) as exc:
        raise UserError(f"{weights} is no file of safetensors that can be read: {exc}") from exc
    own = network.state_dict()
    for name in sorted(own.keys() | tensors.keys()):
        if name not in own or name not in tensors or own[name].shape != tensors[name].shape:
            raise UserError(
                f"{weights} does not hold the weights of {base.name} with a head of width {configuration.width} for "
                f"{len(configuration.categories)} categories: {name} is missing, of another shape, or too much"
            )
    state_dicts.check_finite(tensors)
    network.load_state_dict(tensors)
    return network.requires_grad_(requires_grad=False).eval()
