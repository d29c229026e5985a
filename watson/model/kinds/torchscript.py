"""Kind ``torchscript``: a network that ``torch.jit.save`` wrote.

Its code is TorchScript, which torch's own interpreter runs: no Python, no pickled objects. It can still do two things
that a network has no need of, write files and read them. A network that names these, or torch's custom classes, is
refused before it is loaded. That is no proof against a hostile file: bring networks from people you trust, or as ONNX.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision  # noqa: F401 - its operators (nms, roi_align) are part of many networks
from pydantic import JsonValue

from watson.errors import UserError
from watson.model import devices
from watson.model.kinds import Prepared, archives
from watson.model.kinds.brought import BroughtSegmenter, file_given, last_line, prepared
from watson.model.kinds.configuration import parsed
from watson.model.kinds.torch_network import TorchConfiguration, TorchNetwork
from watson.model.segmenter import ModelInfo, Segmenter

__all__ = ["load", "prepare"]

_JIT: Any = torch.jit  # which has no types
_KEPT = re.compile(r"code/.+\.py|(?:data|constants)(?:\.pkl|/.+)|version|byteorder|\.data/\w+")
"""Code, values and numbers. Not: an older format's index (``model.json``), which could call any file code."""
_REFUSED = re.compile(rb"\b(?:save|from_file|torch\s*\.\s*classes|ops(?!\.(?:aten|prim|quantized|torchvision)\.\w))\b")
"""Source: torch's aten::save and aten::from_file; __torch__.torch.classes, whose code is C++ and may do anything; and
operators of whatever else is loaded in a worker, such as torchvision's image::write_file."""


def prepare(given: Mapping[str, JsonValue], weights: Path | None, folder: Path) -> Prepared:  # noqa: ARG001 - as `Kind`
    """Check what a person gave and try it on a blank picture; see `Kind`.

    Raises:
        UserError: the configuration is wrong, the file is not TorchScript or not safe, or what comes out is not what
            is configured.
    """
    path = file_given(weights, "torchscript")
    configuration = parsed(TorchConfiguration, given)
    return prepared(_network(path, configuration, torch.device("cpu")), configuration, path)


def load(
    info: ModelInfo, configuration: Mapping[str, JsonValue], weights: Path, *, device: str, torch_threads: int
) -> Segmenter:
    """Return the model, ready; see `Kind`. Sets torch's and OpenCV's numbers of threads for the whole process.

    Raises:
        UserError: the configuration or the file are not what `prepare` took, or the device is not there.
    """
    settings = parsed(TorchConfiguration, configuration)
    there = devices.ready(device, torch_threads)
    return BroughtSegmenter(_network(weights, settings, there), info, settings, alone=there.type == "cpu")


def _network(path: Path, configuration: TorchConfiguration, device: torch.device) -> TorchNetwork:
    try:
        with warnings.catch_warnings():  # that it is deprecated is not for whoever brings a network to hear
            warnings.simplefilter("ignore", FutureWarning)
            module = _JIT.load(_checked(path), map_location=device)
    except RuntimeError as exc:
        raise UserError(f"{path} is not TorchScript that this torch can load: {last_line(exc)}") from exc
    module.eval()
    if configuration.channels_last:
        module = module.to(memory_format=torch.channels_last)

    def run(tensor: torch.Tensor) -> Any:
        # Else the first runs differ from later ones, which are specialised by what was seen.
        with _JIT.optimized_execution(should_optimize=False):
            return module(tensor)

    return TorchNetwork(run, configuration, device)


def _checked(path: Path) -> io.BytesIO:
    """The archive without what is not needed, when nothing in it is named that a network has no need of."""
    files = archives.entries(path)
    if "constants.pkl" not in files or not any(name.startswith("code/") for name in files):
        raise UserError(f"{path} is not TorchScript: make it with torch.jit.save.")
    kept = {name: content for name, content in files.items() if _KEPT.fullmatch(name)}
    for name, content in kept.items():
        refused = _REFUSED.search(content) if name.endswith((".py", ".pkl")) else None
        if refused is not None:
            raise UserError(
                f"{path} names {refused[0].decode()!r} in {name}: it could read or write files, which no network "
                "needs. It was not loaded. Export the network without it, or as ONNX."
            )
    return archives.packed(kept)
