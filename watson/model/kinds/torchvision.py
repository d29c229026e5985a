"""Kind ``torchvision``: its networks for semantic and instance segmentation, with its weights or a file's."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
import torchvision
from pydantic import JsonValue

from watson.errors import UserError
from watson.model import devices
from watson.model.kinds import Prepared, state_dicts
from watson.model.kinds.configuration import channels, completed, named
from watson.model.kinds.torchvision_detection import MaskNetwork
from watson.model.kinds.torchvision_semantic import SemanticNetwork
from watson.model.kinds.torchvision_settings import (
    Configuration,
    DetectionConfiguration,
    SemanticConfiguration,
    epsilon,
    read,
)
from watson.model.segmenter import ModelInfo, Segmenter
from watson.model.weights import sha256_of

__all__ = ["load", "prepare"]

_HEADS = {
    "deeplabv3": "classifier.4.weight",
    "fcn": "classifier.4.weight",
    "lraspp": "classifier.low_classifier.weight",
    "maskrcnn": "roi_heads.box_predictor.cls_score.weight",
}
"""By the architecture's family, the tensor whose first side is the number of channels, background and all."""
_BACKGROUND = 0
_NO_CATEGORY = ("__background__", "N/A")
"""Source: torchvision's own lists; N/A are numbers that COCO left out."""
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.pth$")


def prepare(given: Mapping[str, JsonValue], weights: Path | None, folder: Path) -> Prepared:
    """Check what a person gave and complete it; see `Kind`.

    A file of weights that torchvision published is known by the hash in its published name.

    Raises:
        UserError: the configuration or the weights are wrong, or torchvision's weights cannot be downloaded.
    """
    configuration = read(given)
    known = torchvision.models.get_model_weights(configuration.architecture)
    if weights is None:
        member = _member(known, configuration)
        tensors = _downloaded(member)
    else:
        member = _recognised(known, configuration, weights)
        tensors = state_dicts.read(weights)
    assumed = known.DEFAULT.name if member is None and configuration.categories is None else None
    configuration = _complete(configuration, member or known.DEFAULT, member)
    count = _channels(tensors, configuration.architecture)
    names = _names(configuration, count)
    fitted = state_dicts.fitted(tensors, _network(configuration, count), dropped=("aux_classifier.",))
    return Prepared(
        state_dicts.keep(fitted, folder / "weights.safetensors"),
        completed(configuration),
        named(names),
        description=f"torchvision's {configuration.architecture}, weights {member.name if member else 'of a file'}"
        + (f"; nothing says that its categories are those of {assumed}: they were not given" if assumed else ""),
    )


def load(
    info: ModelInfo, configuration: Mapping[str, JsonValue], weights: Path, *, device: str, torch_threads: int
) -> Segmenter:
    """Return the model, ready; see `Kind`. Sets torch's and OpenCV's numbers of threads for the whole process.

    Raises:
        UserError: the configuration or the weights are not what `prepare` returned, or the device is not there.
    """
    settings = read(configuration)
    tensors = state_dicts.kept(weights)
    count = _channels(tensors, settings.architecture)
    names = _names(settings, count)
    network: Any = _network(settings, count)
    network.load_state_dict(state_dicts.fitted(tensors, network))
    there = devices.ready(device, torch_threads)
    ready = network.eval().to(there, memory_format=torch.channels_last)
    if isinstance(settings, DetectionConfiguration):
        return MaskNetwork(ready, info, names, settings, there)
    return SemanticNetwork(devices.compiled(ready, there, wanted=settings.compile), info, names, settings, there)


def _member(known: Any, configuration: Configuration) -> Any:
    if configuration.weights is None:
        raise UserError(
            "There are no weights. Give a file (.safetensors or .pth), or name torchvision's own in the configuration: "
            f'"weights": {_choices(known)}.'
        )
    if configuration.weights not in known.__members__:
        raise UserError(
            f"weights: torchvision has no {configuration.weights!r} for {configuration.architecture}. Known: "
            f"{_choices(known)}."
        )
    return known[configuration.weights]


def _choices(known: Any) -> str:
    return " or ".join(f'"{member.name}"' for member in known)


def _recognised(known: Any, configuration: Configuration, weights: Path) -> Any:
    """Torchvision's weights that a file holds, by its hash; None for other weights.

    Raises:
        UserError: the configuration says that it holds torchvision's, and it does not.
    """
    if not weights.is_file():
        raise UserError(f"There is no file {weights}.")
    digest = sha256_of(weights)
    for member in known:
        published = _HASH_IN_NAME.search(member.url)
        same = configuration.weights in {None, member.name}
        if same and published is not None and digest.startswith(published[1]):
            return member
    if configuration.weights is not None:
        member = _member(known, configuration)
        raise UserError(
            f"{weights} does not hold torchvision's {member.name}, which is {member.url.rsplit('/', 1)[-1]}: its "
            f'sha256 is {digest}. Leave "weights" out of the configuration to use the file\'s own.'
        )
    return None


def _downloaded(member: Any) -> state_dicts.Tensors:
    try:
        with redirect_stdout(sys.stderr):  # where it tells of its download
            return dict(member.get_state_dict(progress=False, check_hash=True, weights_only=True))
    except (OSError, RuntimeError) as exc:  # URLError is an OSError; RuntimeError: another hash than published
        raise UserError(
            f"torchvision's weights {member.name} cannot be downloaded ({exc}). Fetch {member.url} where you can, and "
            "give the file."
        ) from exc


def _complete(configuration: Configuration, described: Any, member: Any) -> Configuration:
    changes: dict[str, Any] = {"weights": member.name if member else None}
    if configuration.categories is None:
        names = described.meta["categories"]
        # Not all of torchvision's lists have a background; those of its segmentation networks do.
        changes["categories"] = tuple(None if name in _NO_CATEGORY else name for name in names[1:])
    if isinstance(configuration, DetectionConfiguration) and configuration.norm_epsilon is None:
        changes["norm_epsilon"] = epsilon(configuration.architecture, changes["weights"])
    return configuration.model_copy(update=changes)


def _channels(tensors: Mapping[str, torch.Tensor], architecture: str) -> int:
    head = _HEADS[architecture.partition("_")[0]]
    if head not in tensors or not tensors[head].dim():
        raise UserError(f"The weights are not those of {architecture}: they have no {head}, which is its last layer.")
    return int(tensors[head].shape[0])


def _names(configuration: Configuration, count: int) -> tuple[str | None, ...]:
    names = channels(configuration.categories or (), _BACKGROUND)
    if len(names) != count:
        raise UserError(
            f"The weights are for {count} channels, which are the background and {count - 1} categories, but "
            f'{len(names) - 1} categories are named. Name each in "categories", in the channels\' order, without the '
            "background; null for one that is no thing."
        )
    return names


def _network(configuration: Configuration, count: int) -> torch.nn.Module:
    """The architecture with random weights."""
    nothing = {"weights": None, "weights_backbone": None}
    if isinstance(configuration, SemanticConfiguration):
        return _module(configuration.architecture, **nothing, num_classes=count, aux_loss=False)
    settings: dict[str, Any] = {
        "num_classes": count,
        "min_size": configuration.min_size,
        "max_size": configuration.max_size,
        "box_score_thresh": configuration.least_score,
        "box_detections_per_img": configuration.most,
    }
    if configuration.architecture == "maskrcnn_resnet50_fpn_v2":
        return _module(configuration.architecture, **nothing, **settings)
    # With trained weights torchvision freezes the normalisation, but with none it would not.
    detection = torchvision.models.detection
    backbone = detection.backbone_utils.resnet_fpn_backbone(backbone_name="resnet50", weights=None, trainable_layers=5)
    for module in backbone.modules():
        if isinstance(module, torchvision.ops.misc.FrozenBatchNorm2d) and configuration.norm_epsilon is not None:
            module.eps = configuration.norm_epsilon
    network: torch.nn.Module = detection.MaskRCNN(backbone, **settings)
    return network


def _module(architecture: str, **arguments: Any) -> torch.nn.Module:
    network: torch.nn.Module = torchvision.models.get_model(architecture, **arguments)
    return network
