"""A labelled dataset as training and evaluation see it: pictures, and what each of their pixels shows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from watson.errors import Refused, UserError
from watson.imaging.decode import decode
from watson.imaging.normalise import upright
from watson.model.kinds.configuration import shared_names
from watson.model.segmenter import Picture

__all__ = [
    "BACKGROUND",
    "IGNORED",
    "LabelledDataset",
    "Labels",
    "Sample",
    "Thing",
    "contents",
    "label_map",
    "picture_in",
    "split",
]

Labels = NDArray[np.int16]
"""(H, W) int16: 0 background, 1 + category id, or `IGNORED`."""

BACKGROUND = 0
IGNORED = -1
"""Of a pixel of which nobody says what it shows: outlines in VOC, crowds in COCO."""

_MAX_PIXELS = 178_956_970  # as Pillow's decoders of GIF and WebP have it
_MOST_CATEGORIES = 32_000  # what int16 holds


@dataclass(frozen=True, slots=True)
class Thing:
    """One labelled thing.

    Attributes:
        category_id: index into the dataset's categories.
        mask: (H, W) bool, of the picture's size.
        crowd: a group that nobody outlined one by one: neither right nor wrong to find.
    """

    category_id: int
    mask: NDArray[np.bool_]
    crowd: bool = False


class Sample(Protocol):
    """One picture of a dataset. Reads its files when asked, each time anew."""

    @property
    def name(self) -> str:
        """Its own in the dataset: decides the split, and stands in messages."""
        ...

    def picture(self) -> Picture:
        """(H, W, 3) uint8, RGB, 0–255.

        Raises:
            UserError: it cannot be read, or has not the size that the labels are for.
        """
        ...

    def truth(self) -> tuple[Labels, tuple[Thing, ...]]:
        """What its pixels show, and its things.

        Raises:
            UserError: a file of labels cannot be read, or is wrong.
        """
        ...

    def content(self) -> bytes:
        """Bytes that differ wherever picture or labels differ.

        Raises:
            UserError: a file cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class LabelledDataset:
    """Pictures with labels.

    Attributes:
        categories: names by category id; without background.
        samples: in an order that follows from the dataset alone.
        place: where it was read from; for messages.
    """

    categories: tuple[str, ...]
    samples: tuple[Sample, ...]
    place: str

    def __post_init__(self) -> None:
        if not self.samples:
            raise UserError(f"{self.place} has no labelled picture")
        if not self.categories:
            raise UserError(f"{self.place} has no category")
        if len(self.categories) > _MOST_CATEGORIES:
            raise UserError(f"{self.place} has {len(self.categories)} categories, at most {_MOST_CATEGORIES} work")
        if shared := shared_names(self.categories):
            twice = [name for name in self.categories if name.casefold() == shared[0]]
            raise UserError(
                f"{self.place} has several categories called {' and '.join(map(repr, twice))} (capitals do not tell "
                "them apart): give each a name of its own"
            )

    def digest(self) -> str:
        """Sha256 of categories, names, pictures and labels, hexadecimal. Reads every file."""
        whole = hashlib.sha256(repr(self.categories).encode())
        for sample in self.samples:
            content = hashlib.sha256(sample.content()).hexdigest()
            whole.update(f"\n{sample.name!r} {content}".encode())
        return whole.hexdigest()


def split(dataset: LabelledDataset, held_out: float, seed: int) -> tuple[LabelledDataset, LabelledDataset]:
    """Return the part to train with and the part held out; which is which follows from seed and names alone.

    Args:
        dataset: at least two pictures.
        held_out: fraction of the pictures, 0–1; at least one picture is in each part.
        seed: another one holds out other pictures.

    Raises:
        UserError: there is but one picture.
    """
    if len(dataset.samples) < 2:
        raise UserError(f"{dataset.place} has one labelled picture: at least one to train with and one to hold out")

    def order(sample: Sample) -> bytes:
        return hashlib.sha256(f"{seed}:{sample.name}".encode()).digest()

    number = min(max(1, round(held_out * len(dataset.samples))), len(dataset.samples) - 1)
    chosen = {id(sample) for sample in sorted(dataset.samples, key=order)[:number]}
    parts = [
        tuple(sample for sample in dataset.samples if (id(sample) in chosen) == wanted) for wanted in (False, True)
    ]
    return replace(dataset, samples=parts[0]), replace(dataset, samples=parts[1])


def label_map(things: Sequence[Thing], size: tuple[int, int]) -> Labels:
    """Return what each pixel shows where things are known; of those that overlap, the smaller one lies on top.

    Args:
        things: each mask of ``size``.
        size: height, width in pixels.
    """
    labels = np.full(size, BACKGROUND, np.int16)
    for thing in sorted(things, key=lambda thing: (not thing.crowd, -int(thing.mask.sum()))):
        labels[thing.mask] = IGNORED if thing.crowd else 1 + thing.category_id
    return labels


def picture_in(path: Path, expected: tuple[int, int] | None = None) -> Picture:
    """Return a file's picture, upright; as it lies in the file where that alone has the size that the labels are for.

    Args:
        path: JPEG, PNG, WebP, BMP, TIFF or GIF.
        expected: height, width in pixels of the labels; None takes any.

    Raises:
        UserError: it cannot be read or decoded, or has another size.
    """
    data = _read(path)
    try:
        # So large a side that a JPEG is decoded whole: labels are for all pixels.
        decoded = decode(data, long_side=2**16, max_pixels=_MAX_PIXELS)
    except Refused as exc:
        raise UserError(f"{path}: {exc}") from exc
    lying = np.asarray(decoded.image.convert("RGB"))
    pixels = np.asarray(upright(decoded.image, decoded.orientation).convert("RGB"))
    if expected is None or pixels.shape[:2] == expected:
        return pixels
    if lying.shape[:2] == expected:
        return lying
    height, width = pixels.shape[:2]
    raise UserError(f"{path} is {width} × {height} pixels, but its labels are for {expected[1]} × {expected[0]}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise UserError(f"{path} cannot be read: {exc.strerror}") from exc


def contents(paths: Sequence[Path], *more: str) -> bytes:
    """Return a digest of files and texts, in order, for `Sample.content`.

    Raises:
        UserError: a file cannot be read.
    """
    whole = hashlib.sha256()
    for part in (*map(_read, paths), *(text.encode() for text in more)):
        whole.update(hashlib.sha256(part).digest())
    return whole.digest()
