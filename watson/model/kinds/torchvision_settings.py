"""What is to be known of torchvision's networks to use them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, JsonValue, model_validator

from watson.model import devices
from watson.model.kinds.configuration import Categories, Chosen, Fraction, Strict, parsed

__all__ = ["Configuration", "DetectionConfiguration", "SemanticConfiguration", "epsilon", "read"]

Semantic = Literal[
    "deeplabv3_mobilenet_v3_large",
    "deeplabv3_resnet50",
    "deeplabv3_resnet101",
    "fcn_resnet50",
    "fcn_resnet101",
    "lraspp_mobilenet_v3_large",
]
Detection = Literal["maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"]

_WITHOUT_EPSILON = ("maskrcnn_resnet50_fpn", "COCO_V1")
"""Source: torchvision.models.detection.maskrcnn_resnet50_fpn, which sets it to 0 for these weights alone."""
_EPSILON = 1e-5
"""Source: torchvision.ops.misc.FrozenBatchNorm2d."""


class _Configuration(Strict):
    """What both families have.

    Attributes:
        algorithm: raised when the code here changes what comes out.
        weights: member of torchvision's enumeration, such as ``COCO_V1``; None: a file of other weights.
        categories: by channel, after the background, which is channel 0; None: those of the architecture's default
            weights.
        precision: on CUDA.
    """

    algorithm: Literal[1] = 1
    weights: str | None = None
    categories: Categories | None = None
    precision: devices.Precision = "float32"


class SemanticConfiguration(_Configuration, Chosen):
    """A network that says for each pixel what it shows.

    Attributes:
        resize: pixels of the shorter side at which the network sees a picture, as torchvision's own transforms have it.
        longest: pixels of the longer side at most, for panoramas.
        compile: on CUDA, by torch.compile: takes up to minutes at the first picture of each size.
    """

    architecture: Semantic
    resize: int = Field(520, ge=16, le=4096)
    longest: int = Field(2080, ge=16, le=16384)
    compile: bool = False


class DetectionConfiguration(_Configuration):
    """A network that finds things and outlines each.

    Attributes:
        min_size: pixels of the shorter side at which the network sees a picture, unless ``max_size`` forbids it.
        max_size: pixels of the longer side at most.
        least_score: of an instance.
        mask_threshold: probability from which on a pixel is in the mask.
        least_area: of a mask, as a fraction of the picture.
        most: instances of one picture, best first.
        norm_epsilon: of the backbone's batch normalisation (maskrcnn_resnet50_fpn alone); None: as torchvision has it.
    """

    architecture: Detection
    min_size: int = Field(800, ge=16, le=4096)
    max_size: int = Field(1333, ge=16, le=16384)
    least_score: Fraction = 0.5
    mask_threshold: Fraction = 0.5
    least_area: Fraction = 0.0
    most: int = Field(100, ge=1, le=1000)
    norm_epsilon: float | None = Field(None, ge=0, le=1)

    @model_validator(mode="after")
    def _epsilon_where_it_counts(self) -> Self:
        if self.norm_epsilon is not None and self.architecture != _WITHOUT_EPSILON[0]:
            raise ValueError(f"norm_epsilon is for {_WITHOUT_EPSILON[0]} alone")
        return self


Configuration = SemanticConfiguration | DetectionConfiguration


def read(given: Mapping[str, JsonValue]) -> Configuration:
    """Return the configuration of either family, by its architecture.

    Raises:
        UserError: names each key that is wrong, missing or unknown.
    """
    architecture = given.get("architecture")
    if isinstance(architecture, str) and architecture.startswith("maskrcnn"):
        return parsed(DetectionConfiguration, given)
    return parsed(SemanticConfiguration, given)


def epsilon(architecture: str, weights: str | None) -> float | None:
    """Return what torchvision's normalisation has with these weights; None where it cannot be chosen."""
    if architecture != _WITHOUT_EPSILON[0]:
        return None
    return 0.0 if weights == _WITHOUT_EPSILON[1] else _EPSILON
