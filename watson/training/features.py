"""Features of the frozen network: computed once for each picture and variant, kept in a file, read at random.

The file is bounded; what does not fit is computed anew each time. A training that was interrupted finds in it what was
already computed.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from watson.model.backbones import Base
from watson.model.efficientnet_network import input_size
from watson.model.fpn import maps_of
from watson.training.augment import scaled, variant
from watson.training.labelled import LabelledDataset, Labels, Sample
from watson.training.options import TrainingOptions

__all__ = ["FeatureCache", "Features", "PictureFeatures"]

Maps = list[NDArray[np.float16]]
"""(C, h, w) float16 each, finest first: half the space, and a thousandth of a value is far below a feature's noise."""


class PictureFeatures(NamedTuple):
    """What the network saw in a picture, and what is there.

    Attributes:
        maps: finest first.
        labels: (H, W) int16 of the network's input, H and W multiples of 32.
    """

    maps: Maps
    labels: Labels


class FeatureCache:
    """Features by number, in two files: ``features.bin``, and ``features.jsonl`` which says what is where in it."""

    def __init__(self, folder: Path, fingerprint: str, limit: int) -> None:
        """Open the cache, empty unless it holds features of the same fingerprint.

        Args:
            folder: exists.
            fingerprint: of all that decides the features.
            limit: bytes of the file.
        """
        self._limit = limit
        self._data = (folder / "features.bin").open("a+b")
        self._index = (folder / "features.jsonl").open("a+b")
        self._entries: list[dict[str, Any]] = []
        self._recover(fingerprint)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._data.close()
        self._index.close()

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, features: PictureFeatures) -> bool:
        """Keep the next features; False where they do not fit any more."""
        packed = zlib.compress(features.labels.tobytes(), 1)
        parts = [*(level.tobytes() for level in features.maps), packed]
        begin = self._end
        if begin + sum(map(len, parts)) > self._limit:
            return False
        self._data.write(b"".join(parts))
        self._data.flush()
        entry = {
            "begin": begin,
            "maps": [level.shape for level in features.maps],
            "packed": len(packed),
            "labels": features.labels.shape,
        }
        self._index.write(json.dumps(entry).encode() + b"\n")
        self._index.flush()
        self._entries.append(entry)
        return True

    def __getitem__(self, number: int) -> PictureFeatures:
        entry = self._entries[number]
        data = os.pread(self._data.fileno(), _length(entry), entry["begin"])
        maps, place = [], 0
        for shape in entry["maps"]:
            count = int(np.prod(shape))
            maps.append(np.frombuffer(data, np.float16, count, place).reshape(shape))
            place += count * np.dtype(np.float16).itemsize
        labels = np.frombuffer(zlib.decompress(data[place:]), np.int16).reshape(entry["labels"])
        return PictureFeatures(maps, labels)

    @property
    def _end(self) -> int:
        return self._entries[-1]["begin"] + _length(self._entries[-1]) if self._entries else 0

    def _recover(self, fingerprint: str) -> None:
        """Take what is whole and of this fingerprint; cut off the rest."""
        self._index.seek(0)
        head, *lines = self._index.read().splitlines(keepends=True) or [b""]
        wanted = json.dumps({"fingerprint": fingerprint}).encode() + b"\n"
        size = self._data.seek(0, os.SEEK_END)
        kept = len(wanted)
        if head == wanted:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                self._entries.append(json.loads(line))
                if self._end > size:
                    self._entries.pop()
                    break
                kept += len(line)
            self._index.truncate(kept)
        else:
            self._index.truncate(0)
            self._index.write(wanted)
            self._index.flush()
        self._data.truncate(self._end)


class Features:
    """Features of the held-out pictures, and of the variants of those to train with; of a square one, 0 is itself."""

    def __init__(
        self,
        backbone: torch.nn.Module,
        base: Base,
        training: LabelledDataset,
        held_out: LabelledDataset,
        options: TrainingOptions,
        cache: FeatureCache,
    ) -> None:
        self._backbone = backbone.to(memory_format=torch.channels_last)
        self._base = base
        self._training = training.samples
        self._held_out = held_out.samples
        self._options = options
        self._cache = cache

    @property
    def pictures(self) -> int:
        """How many there are to train with."""
        return len(self._training)

    @property
    def held_out_pictures(self) -> int:
        """How many there are to measure with."""
        return len(self._held_out)

    def compute(self, on_progress: Callable[[int, int], None]) -> None:
        """Compute what is missing, as far as there is room: the held-out pictures first, then variant by variant."""
        total = len(self._held_out) + len(self._training) * self._options.variants
        for number in range(len(self._cache), total):
            on_progress(number, total)
            if not self._cache.append(self._computed(number)):
                break
        on_progress(total, total)

    def held_out(self, number: int) -> PictureFeatures:
        """Of a held-out picture, in its own proportions."""
        return self._at(number)

    def training(self, number: int, variant: int) -> PictureFeatures:
        """Of a training picture: (side, side) pixels."""
        return self._at(len(self._held_out) + variant * len(self._training) + number)

    def _at(self, number: int) -> PictureFeatures:
        return self._cache[number] if number < len(self._cache) else self._computed(number)

    @torch.inference_mode()
    def _computed(self, number: int) -> PictureFeatures:
        picture, labels = self._input(number)
        prepared = self._base.prepared(picture, picture.shape[1::-1])
        batch = prepared[None].contiguous(memory_format=torch.channels_last)
        maps = [level[0].contiguous().numpy().astype(np.float16) for level in maps_of(self._backbone, batch)]
        return PictureFeatures(maps, labels)

    def _input(self, number: int) -> tuple[NDArray[np.uint8], Labels]:
        side = self._options.side
        if number < len(self._held_out):
            picture, labels = _both(self._held_out[number])
            return scaled(picture, labels, input_size(picture.shape[1], picture.shape[0], side))
        which, place = divmod(number - len(self._held_out), len(self._training))
        picture, labels = _both(self._training[place])
        if which == 0 and picture.shape[0] == picture.shape[1]:
            return scaled(picture, labels, (side, side))
        return variant(picture, labels, side, np.random.default_rng([self._options.seed, which, place]))


def _both(sample: Sample) -> tuple[NDArray[np.uint8], Labels]:
    return sample.picture(), sample.truth()[0]


def _length(entry: dict[str, Any]) -> int:
    values = sum(int(np.prod(shape)) for shape in entry["maps"])
    return values * np.dtype(np.float16).itemsize + int(entry["packed"])
