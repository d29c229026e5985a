"""Kind ``torch-export``: a program that ``torch.export.save`` wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision  # noqa: F401 - its operators (nms, roi_align) are part of many networks
from pydantic import JsonValue
from torch.export.passes import move_to_device_pass

from watson.errors import UserError
from watson.model import devices
from watson.model.kinds import Prepared
from watson.model.kinds.brought import BroughtSegmenter, file_given, last_line, prepared
from watson.model.kinds.configuration import parsed
from watson.model.kinds.exported_programs import checked
from watson.model.kinds.torch_network import TorchConfiguration, TorchNetwork
from watson.model.segmenter import ModelInfo, Segmenter

__all__ = ["load", "prepare"]


class ExportConfiguration(TorchConfiguration):
    """What is to be known of an exported program.

    Attributes:
        compile: on CUDA, by torch.compile: takes up to minutes at the first picture of each size.
    """

    compile: bool = False


def prepare(given: Mapping[str, JsonValue], weights: Path | None, folder: Path) -> Prepared:  # noqa: ARG001 - as `Kind`
    """Check what a person gave and try it on a blank picture; see `Kind`.

    Raises:
        UserError: the configuration is wrong, the file is no exported program or not safe, or what comes out is not
            what is configured.
    """
    path = file_given(weights, "torch-export")
    configuration = parsed(ExportConfiguration, given)
    return prepared(_network(path, configuration, torch.device("cpu")), configuration, path)


def load(
    info: ModelInfo, configuration: Mapping[str, JsonValue], weights: Path, *, device: str, torch_threads: int
) -> Segmenter:
    """Return the model, ready; see `Kind`. Sets torch's and OpenCV's numbers of threads for the whole process.

    Raises:
        UserError: the configuration or the file are not what `prepare` took, or the device is not there.
    """
    settings = parsed(ExportConfiguration, configuration)
    there = devices.ready(device, torch_threads)
    network = _network(weights, settings, there)
    return BroughtSegmenter(network, info, settings, alone=there.type == "cpu")


def _network(path: Path, configuration: ExportConfiguration, device: torch.device) -> TorchNetwork:
    archive = checked(path)
    try:
        program = torch.export.load(archive)
    except Exception as exc:  # whatever torch makes of a file that is not as it should be
        raise UserError(f"{path} is no exported program that this torch can load: {last_line(exc)}") from exc
    if device.type != "cpu":
        program = move_to_device_pass(program, device)
    module: Any = program.module()
    if configuration.channels_last:
        module = module.to(memory_format=torch.channels_last)
    return TorchNetwork(devices.compiled(module, device, wanted=configuration.compile), configuration, device)
