"""Kind ``onnx``: any segmentation network in a file that onnxruntime runs. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from pydantic import JsonValue

from watson.errors import UserError
from watson.model.kinds import Prepared
from watson.model.kinds.brought import BroughtSegmenter, Configuration, file_given, prepared
from watson.model.kinds.configuration import parsed
from watson.model.segmenter import ModelInfo, Segmenter

__all__ = ["load", "prepare"]

_FATAL_ALONE = 4
"""Source: onnxruntime's log levels; what goes wrong is raised as well."""
_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}
_PROVIDERS = {"cuda": "CUDAExecutionProvider", "mps": "CoreMLExecutionProvider"}


def prepare(given: Mapping[str, JsonValue], weights: Path | None, folder: Path) -> Prepared:  # noqa: ARG001 - as `Kind`
    """Check what a person gave and try it on a blank picture; see `Kind`.

    Raises:
        UserError: the configuration is wrong, the file cannot be run, or what comes out is not what is configured.
    """
    path = file_given(weights, "onnx")
    configuration = parsed(Configuration, given)
    network = _Network(path, configuration, device="cpu", threads=1)
    return prepared(network, configuration, path)


def load(
    info: ModelInfo, configuration: Mapping[str, JsonValue], weights: Path, *, device: str, torch_threads: int
) -> Segmenter:
    """Return the model, ready; see `Kind`. Sets OpenCV's number of threads for the whole process.

    Raises:
        UserError: the configuration or the file are not what `prepare` took, or the device is not there.
    """
    settings = parsed(Configuration, configuration)
    cv2.setNumThreads(torch_threads)
    network = _Network(weights, settings, device=device, threads=torch_threads)
    return BroughtSegmenter(network, info, settings, alone=device == "cpu")


class _Network:
    def __init__(self, path: Path, configuration: Configuration, *, device: str, threads: int) -> None:
        self._session = _session(path, _providers(device), threads)
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._input = _checked_input(self._session.get_inputs(), configuration)

    def __call__(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        values = self._session.run(self._outputs, {self._input: batch})
        return {name: np.asarray(value) for name, value in zip(self._outputs, values, strict=True)}


def _session(path: Path, providers: Sequence[Any], threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = _FATAL_ALONE
    try:
        # From bytes, not from the path: so a file that says that its weights lie in other files reads none.
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=list(providers))
    except OSError as exc:
        raise UserError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    except Exception as exc:  # onnxruntime's own, which have no ancestor of theirs
        reason = str(exc).strip().splitlines()[0][:500]
        hint = " Save it with its weights inside: it names files beside it." if "xternal data" in reason else ""
        hint = " Save it with its weights inside: it names files beside it." if "model_path" in reason else hint
        raise UserError(f"{path} is no ONNX file that onnxruntime can run: {reason}{hint}") from exc


def _providers(device: str) -> list[Any]:
    known = re.fullmatch(r"(cpu|cuda|mps)(?::(\d+))?", device)
    if known is None or (known[2] and known[1] != "cuda"):
        raise UserError(f"The device {device!r} (WATSON_DEVICE) is none of cpu, cuda, cuda:N, mps.")
    if known[1] == "cpu":
        return ["CPUExecutionProvider"]
    provider = _PROVIDERS[known[1]]
    if provider not in onnxruntime.get_available_providers():
        remedy = "pip install onnxruntime-gpu in place of onnxruntime" if known[1] == "cuda" else "WATSON_DEVICE=cpu"
        raise UserError(
            f"The device {device!r} (WATSON_DEVICE) cannot be used: this onnxruntime has no {provider}. Do: {remedy}"
        )
    options = {"device_id": int(known[2] or 0)} if known[1] == "cuda" else {}
    return [(provider, options), "CPUExecutionProvider"]  # the CPU for what the other has not


def _checked_input(inputs: Sequence[Any], configuration: Configuration) -> str:
    """Return the input's name.

    Raises:
        UserError: the network has not the one input, or it takes another type or shape than is configured.
    """
    wanted = configuration.input
    names = [one.name for one in inputs]
    if len(inputs) != 1 or wanted.name not in {None, names[0]}:
        raise UserError(
            f"input.name: {wanted.name!r} should be the network's only input, but it has: {', '.join(names) or 'none'}."
        )
    dtype, shape = _TYPES.get(inputs[0].type, inputs[0].type), inputs[0].shape
    if dtype != wanted.dtype:
        raise UserError(f"input.dtype: the network takes {dtype}, but {wanted.dtype} is configured.")
    colours, other = (1, 3) if wanted.layout == "NCHW" else (3, 1)
    if len(shape) != 4 or (shape[colours] != 3 and (isinstance(shape[colours], int) or shape[other] == 3)):
        raise UserError(
            f"input.layout: {wanted.layout} is configured, with three colours in place {colours}, but the network "
            f"takes {shape}."
        )
    return str(names[0])
