"""The default model's own rate on one core: without Kafka, without files, pictures in memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from watson.events import DEFAULT_MODEL
from watson.model.registry import load


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


def measure(folder: Path, seconds: float = 15.0) -> float:
    """Pictures a second of `Segmenter.segment`, one thread."""
    segmenter = load(DEFAULT_MODEL, device="cpu", torch_threads=1)
    some = pictures(folder, 16)

    def work() -> int:
        segmenter.segment(some)
        return len(some)

    return rate(work, seconds)
