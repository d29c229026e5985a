"""The default model's own rates on one core: without Kafka, without files, pictures in memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from watson.events import DEFAULT_MODEL
from watson.model.registry import load
from watson.model.segmenter import Segmenter

PICTURES = 16


def pictures(folder: Path, number: int) -> list[np.ndarray]:
    """Decoded photographs, (H, W, 3) uint8."""
    return [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())[:number]]


def rate(work: Callable[[], int], seconds: float) -> float:
    """Pictures a second: ``work`` returns how many it did; repeated for at least ``seconds``."""
    work()  # warm up
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        done += work()
    return done / (time.perf_counter() - began)


def measure(folder: Path, seconds: float = 12.0) -> tuple[float, float]:
    """Pictures a second on one thread: of the network's forward passes alone, and of `Segmenter.segment`.

    The second has the outlines too: class activation maps, GrabCut, scaling of the masks.
    """
    segmenter = load(DEFAULT_MODEL, device="cpu", torch_threads=1)
    some = pictures(folder, PICTURES)

    def forward() -> int:
        for area in segmenter._configuration.areas:  # noqa: SLF001 - what `segment` itself does first
            segmenter._network(some, area)  # noqa: SLF001 - ditto
        return len(some)

    return rate(forward, seconds), segment_rate(segmenter, some, seconds)


def segment_rate(segmenter: Segmenter, some: list[np.ndarray], seconds: float) -> float:
    """Pictures a second of `Segmenter.segment`, outlines and all."""

    def segment() -> int:
        segmenter.segment(some)
        return len(some)

    return rate(segment, seconds)
