"""A ``watson`` that also knows the model ``poisoned``, which takes its time over a dark picture, and raises."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from watson.cli import main
from watson.model import registry, threshold
from watson.model.registry import ModelEntry
from watson.model.segmenter import ModelInfo, Picture, Segmentation

NAME = "poisoned"
SECONDS = 0.2
_DARK = 20  # mean of the pixels, 0-255


def info() -> ModelInfo:
    return replace(threshold.info(), name=NAME, kind=NAME)


class Poisoned:
    """The stand-in, but for dark pictures."""

    def __init__(self, *, device: str, torch_threads: int) -> None:
        self.info = info()
        self._rest = threshold.load(device=device, torch_threads=torch_threads)

    def segment(self, pictures: Sequence[Picture]) -> list[Segmentation]:
        if any(picture.mean() < _DARK for picture in pictures):
            time.sleep(SECONDS)  # in the model's own thread, as a model would compute
            raise ArithmeticError("a dark picture")
        return self._rest.segment(pictures)


if __name__ == "__main__":
    registry.register(NAME, ModelEntry(info, Poisoned))
    main()
