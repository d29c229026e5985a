"""Runs a network that torch loaded from a file, whatever it makes of its output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from watson.model import devices
from watson.model.kinds.brought import Configuration

__all__ = ["TorchConfiguration", "TorchNetwork"]


class TorchConfiguration(Configuration):
    """What is to be known of a network that torch runs.

    Attributes:
        precision: on CUDA.
        channels_last: how the input lies in memory: faster for most networks of convolutions, but one that views
            tensors in another shape fails with it.
    """

    precision: devices.Precision = "float32"
    channels_last: bool = False


class TorchNetwork:
    """A network on its device."""

    def __init__(
        self, run: Callable[[torch.Tensor], Any], configuration: TorchConfiguration, device: torch.device
    ) -> None:
        """Take what torch loaded; in evaluation mode, on its device."""
        self._run = run
        self._configuration = configuration
        self._device = device

    @torch.inference_mode()
    def __call__(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Run it; see `watson.model.kinds.brought.Network`. What lies in another has a name of both: ``0.masks``."""
        tensor = devices.sent(torch.from_numpy(batch), self._device)
        if self._configuration.channels_last:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        with devices.autocast(self._device, self._configuration.precision):
            output = self._run(tensor)
        return dict(_arrays(output, ""))


def _arrays(output: Any, name: str) -> Iterator[tuple[str, NDArray[Any]]]:
    if isinstance(output, torch.Tensor):
        plain = output.float() if output.is_floating_point() else output  # numpy has no bfloat16
        yield name or "0", np.asarray(plain.cpu().numpy())
    elif isinstance(output, Mapping):
        for key, value in output.items():
            yield from _arrays(value, f"{name}.{key}" if name else str(key))
    elif isinstance(output, tuple | list):
        for place, value in enumerate(output):
            yield from _arrays(value, f"{name}.{place}" if name else str(place))
