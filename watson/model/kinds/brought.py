"""Networks that people bring as files: how a picture goes in, what comes out, and the `Segmenter` around it all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from watson.errors import UserError
from watson.model.kinds import Prepared
from watson.model.kinds.batches import batches
from watson.model.kinds.brought_input import Input, batch_of, input_size
from watson.model.kinds.brought_output import Instances, Mismatch, Outputs, Semantic, segmentations
from watson.model.kinds.configuration import Categories, Strict, channels, completed, named
from watson.model.segmenter import ModelInfo, Picture, Segmentation

__all__ = ["BroughtSegmenter", "Configuration", "Network", "file_given", "last_line", "prepared"]

_TRIAL = np.full((48, 64, 3), 127, np.uint8)
"""A blank picture, not square, so that height and width are not mistaken for each other unseen."""


class Configuration(Strict):
    """What is to be known of a network to use it.

    Attributes:
        algorithm: raised when the code here changes what comes out.
        input: how a picture becomes the network's input.
        output: what the network's output means.
        categories: by channel, without the background, whose channel ``output.background`` says.
    """

    algorithm: Literal[1] = 1
    input: Input
    output: Annotated[Semantic | Instances, Field(discriminator="kind")]
    categories: Categories

    @property
    def names(self) -> tuple[str | None, ...]:
        """The name of each channel or label; None for one that is no thing.

        Raises:
            UserError: the background's channel is not there, or names are not each its own.
        """
        return channels(self.categories, self.output.background)


class Network(Protocol):
    """A network made ready, whatever runs it."""

    def __call__(self, batch: NDArray[Any]) -> Outputs:
        """Run it.

        Args:
            batch: (N, 3, h, w) or (N, h, w, 3), as its `Input` says.

        Returns:
            arrays by name: a dictionary's keys; for what has no names, places from ``0``.
        """
        ...


class BroughtSegmenter:
    """A network that somebody brought, loaded. Not thread-safe."""

    def __init__(self, network: Network, info: ModelInfo, configuration: Configuration, *, alone: bool) -> None:
        """Take a network.

        Args:
            network: on its device.
            info: what identifies the model.
            configuration: as in ``info.version``.
            alone: each picture by itself, as on CPU, also where the network takes several.
        """
        self._network = network
        self._info = info
        self._configuration = configuration
        self._names = configuration.names
        self._alone = alone or not configuration.input.batch

    @property
    def info(self) -> ModelInfo:
        """What model this is."""
        return self._info

    def segment(self, pictures: Sequence[Picture]) -> list[Segmentation]:
        """Find the instances in each picture, best score first.

        Args:
            pictures: each (H, W, 3) uint8, RGB, 0–255.

        Raises:
            ValueError: what comes out is not what the configuration says.
        """
        sizes = [input_size(picture, self._configuration.input) for picture in pictures]
        results: dict[int, Segmentation] = {}
        for places in batches(sizes, alone=self._alone):
            together = [pictures[place] for place in places]
            results.update(zip(places, _segmented(self._network, together, self._configuration), strict=True))
        return [results[place] for place in range(len(pictures))]


def file_given(weights: Path | None, kind: str) -> Path:
    """Return the network's file.

    Raises:
        UserError: there is none.
    """
    if weights is None:
        raise UserError(f"A model of kind {kind} needs a file, which holds the network with its weights.")
    if not weights.is_file():
        raise UserError(f"There is no file {weights}.")
    return weights


def last_line(exc: Exception) -> str:
    """What a library says at the end of many lines; its exception's name where it says nothing."""
    return (str(exc).strip().splitlines() or [type(exc).__name__])[-1][:500]


def prepared(network: Network, configuration: Configuration, weights: Path) -> Prepared:
    """Try the network on a blank picture and say what will be registered.

    Raises:
        UserError: it cannot be run on the configured input, or its output is not what the configuration says.
    """
    names = configuration.names
    trials = [[_TRIAL], [_TRIAL, _TRIAL]] if configuration.input.batch else [[_TRIAL]]
    for pictures in trials:
        try:
            _segmented(network, pictures, configuration)
        except Mismatch as exc:
            raise UserError(f"On a blank picture the network's output is not what is configured: {exc}") from exc
        except Exception as exc:
            height, width = input_size(_TRIAL, configuration.input)
            raise UserError(
                f"The network cannot be run on {len(pictures)} blank picture(s), scaled to {width} × {height} pixels "
                f"({configuration.input.layout}, {configuration.input.dtype}): {last_line(exc)}"
            ) from exc
    return Prepared(weights, completed(configuration), named(names))


def _segmented(network: Network, pictures: Sequence[Picture], configuration: Configuration) -> list[Segmentation]:
    """Run the network on pictures of one input size."""
    outputs = network(batch_of(pictures, configuration.input))
    return segmentations(
        outputs,
        configuration.output,
        configuration.names,
        pictures=[picture.shape[:2] for picture in pictures],
        seen=input_size(pictures[0], configuration.input),
    )
