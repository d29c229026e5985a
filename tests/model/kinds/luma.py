"""A kind of model that is quick to make and to run: its weights are two edges of luma, its masks what lies between."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from watson.errors import UserError
from watson.model.kinds import Prepared
from watson.model.segmenter import Instance, ModelInfo, Picture, Segmentation, Segmenter

NAME = "test-luma"
MODULE = __name__


def write_weights(path: Path, low: int = 100, high: int = 255) -> Path:
    path.write_text(json.dumps([low, high]))
    return path


def prepare(given: Mapping[str, JsonValue], weights: Path | None, folder: Path) -> Prepared:
    if weights is None:
        raise UserError("a model of kind test-luma needs weights")
    if unknown := given.keys() - {"category", "fails"}:
        raise UserError(f"configuration: there is no {min(unknown)!r}")
    _edges(weights)
    configuration = {"category": "grey", "fails": False, **given}
    return Prepared(weights, configuration, (str(configuration["category"]),), licence="CC0-1.0")


def load(
    info: ModelInfo, configuration: Mapping[str, JsonValue], weights: Path, *, device: str, torch_threads: int
) -> Segmenter:
    return _Luma(info, _edges(weights), fails=bool(configuration["fails"]))


def _edges(weights: Path) -> tuple[int, int]:
    try:
        low, high = json.loads(weights.read_text())
    except ValueError as exc:
        raise UserError(f"{weights} has no two edges") from exc
    return low, high


class _Luma:
    def __init__(self, info: ModelInfo, edges: tuple[int, int], *, fails: bool) -> None:
        self.info = info
        self._edges = edges
        self._fails = fails

    def segment(self, pictures: Sequence[Picture]) -> list[Segmentation]:
        if self._fails:
            raise ValueError("no luck")
        low, high = self._edges
        masks = [(picture.mean(axis=2) >= low) & (picture.mean(axis=2) <= high) for picture in pictures]
        return [
            Segmentation((Instance(0, self.info.categories[0], 0.9, np.asarray(mask)),) if mask.any() else ())
            for mask in masks
        ]
