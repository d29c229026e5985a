"""Torchvision's networks with random weights that do not change, and the pictures that they are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision

from watson.model.kinds import Prepared
from watson.model.kinds import torchvision as kind
from watson.model.segmenter import ModelInfo, Picture, Segmentation, Segmenter

SMALLEST = "lraspp_mobilenet_v3_large"


def network(architecture: str, classes: int, **arguments: Any) -> Any:
    """The architecture as torchvision makes it, in evaluation mode, with weights from one seed.

    Its normalisations have seen pictures and its last layers speak up, so that channels, boxes and masks differ.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        made = torchvision.models.get_model(
            architecture, weights=None, weights_backbone=None, num_classes=classes, **arguments
        )
    shown = torch.stack([torch.from_numpy(picture(64, 96, seed)).permute(2, 0, 1) for seed in range(4)])
    shown = (shown.float() / 255 - 0.45) / 0.225
    norms = [module for module in made.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        (made.train().backbone if architecture.startswith("maskrcnn") else made.train())(shown)
        made.eval()
        for name, parameter in made.named_parameters():
            if name.startswith(("roi_heads.box_predictor.cls_score.", "roi_heads.mask_predictor.mask_fcn_logits.")):
                parameter.mul_(30)
            elif name in {"classifier.4.bias", "classifier.low_classifier.bias"}:
                parameter.sub_(made(shown[:1])["out"].mean((0, 2, 3)))
    return made


def saved(made: Any, path: Path) -> Path:
    torch.save(made.state_dict(), path)
    return path


def picture(height: int, width: int, seed: int = 0) -> Picture:
    """Coarse blotches of colour: something with edges, unlike noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    rows, columns = np.arange(height) * 5 // height, np.arange(width) * 7 // width
    return np.ascontiguousarray(coarse[rows][:, columns])


def loaded(prepared: Prepared) -> Segmenter:
    info = ModelInfo("mine", "0" * 12, "torchvision", "0" * 64, prepared.categories)
    return kind.load(info, prepared.configuration, prepared.weights, device="cpu", torch_threads=1)


def equal(one: Segmentation, other: Segmentation) -> bool:
    """To the last bit."""
    return len(one.instances) == len(other.instances) and all(
        (a.category_id, a.category, a.score) == (b.category_id, b.category, b.score) and np.array_equal(a.mask, b.mask)
        for a, b in zip(one.instances, other.instances, strict=True)
    )
