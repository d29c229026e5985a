"""Where torch computes: the device by its setting, tensors that go there, and with how many bits. Imports torch."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import cv2
import torch

from watson.errors import UserError

__all__ = ["Precision", "autocast", "compiled", "ready", "sent", "usable"]

Precision = Literal["float32", "bfloat16", "float16"]
"""Numbers that a network computes with on CUDA; elsewhere it is always float32."""

_TYPES = ("cpu", "cuda", "mps")


def usable(name: str) -> torch.device:
    """Return the device ``cpu``, ``cuda``, ``cuda:N`` or ``mps``, once something was made on it.

    Raises:
        UserError: it is none of these, or it is not there.
    """
    try:
        device = torch.device(name)
        if device.type not in _TYPES:
            raise UserError(f"The device {name!r} (WATSON_DEVICE) is none of cpu, cuda, cuda:N, mps.")
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as exc:  # AssertionError: torch was built without CUDA
        raise UserError(f"The device {name!r} (WATSON_DEVICE) cannot be used: {exc}") from exc
    return device


def ready(name: str, threads: int) -> torch.device:
    """Return the device as `usable` does; sets torch's and OpenCV's numbers of threads for the whole process.

    Raises:
        UserError: as `usable`.
    """
    device = usable(name)
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    return device


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return the tensor on its device. To CUDA it goes from pinned memory, while the CPU does something else."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Return the context in which a network computes with ``precision``, where the device is CUDA."""
    if device.type != "cuda" or precision == "float32":
        return nullcontext()
    return torch.autocast("cuda", dtype=torch.bfloat16 if precision == "bfloat16" else torch.float16)


def compiled(network: Any, device: torch.device, *, wanted: bool) -> Any:
    """Return the network compiled by torch, where that is wanted and the device is CUDA.

    Not on CPU, where masks must not depend on what else was asked: code that is compiled for sizes seen before and
    code for any size differ in the last bits.
    """
    return torch.compile(network) if wanted and device.type == "cuda" else network
