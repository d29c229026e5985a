"""Kinds of models that can be registered: each is a module that knows how to check and how to load one.

A kind is named in `ModelRegistered.model_kind`, its configuration travels in that event, its weights lie in the object
store under their sha256. Two functions make a kind: `prepare` turns what a person gave into what is kept, `load` turns
what was kept into a `Segmenter`. The modules import what they need (torch, onnxruntime) at their top: they are
themselves imported only when used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from pydantic import JsonValue

from watson.errors import UserError
from watson.model.segmenter import ModelInfo, Segmenter

__all__ = ["KINDS", "Kind", "Prepared", "kind_named"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model as it will be registered.

    Attributes:
        weights: the file to keep: safetensors for what are plain tensors, else the file that was given.
        configuration: all that decides the result besides the weights, with every default written out: part of the
            model's version. JSON values alone.
        categories: names by category id; without background.
        licence: of the weights, where their source says; else empty.
        description: one line for people, where the source says more than the person who registers; else empty.
    """

    weights: Path
    configuration: Mapping[str, JsonValue]
    categories: tuple[str, ...]
    licence: str = ""
    description: str = ""


class Kind(Protocol):
    """What a module in this package offers."""

    def prepare(self, given: Mapping[str, JsonValue], weights: Path | None, folder: Path) -> Prepared:
        """Check what a person gave and complete it. May take seconds and read all weights.

        Args:
            given: the configuration as in the model's file; keys that are left out get their defaults.
            weights: a local file; None where ``given`` says where they come from (torchvision's enumeration).
            folder: an empty directory for files that are made, such as tensors converted to safetensors.

        Raises:
            UserError: an unknown or wrong key (named), no weights, weights that are not this network's or not safe to
                read (a pickle of more than tensors).
        """
        ...

    def load(
        self, info: ModelInfo, configuration: Mapping[str, JsonValue], weights: Path, *, device: str, torch_threads: int
    ) -> Segmenter:
        """Return the model, ready. Takes seconds; may set torch's number of threads for the whole process.

        Args:
            info: what identifies it; the result's ``info``.
            configuration: as `prepare` returned it.
            weights: a file whose sha256 was checked.
            device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
            torch_threads: to compute with.

        Raises:
            UserError: the configuration or the weights are not what `prepare` would have returned, or the device is
                not there.
        """
        ...


KINDS: dict[str, str] = {
    "fpn": "watson.model.kinds.fpn",
    "onnx": "watson.model.kinds.onnx",
    "torch-export": "watson.model.kinds.torch_export",
    "torchscript": "watson.model.kinds.torchscript",
    "torchvision": "watson.model.kinds.torchvision",
}
"""Name of each kind → the module that offers it."""


def kind_named(name: str) -> Kind:
    """Return a kind, importing what it needs.

    Raises:
        UserError: there is none of that name: says which there are.
    """
    if name not in KINDS:
        raise UserError(f"there is no kind of model {name!r}. Known: {', '.join(sorted(KINDS))}.")
    return cast(Kind, import_module(KINDS[name]))
