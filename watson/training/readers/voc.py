"""Pascal VOC's segmentations: PNGs whose palette indices are classes, 255 is the outline that nobody judges.

Source: M. Everingham et al., "The PASCAL Visual Object Classes Challenge 2012 Development Kit", section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from watson.errors import UserError
from watson.model.segmenter import Picture
from watson.training.labelled import BACKGROUND, IGNORED, LabelledDataset, Labels, Thing, contents, picture_in

__all__ = ["CATEGORIES", "read"]

CATEGORIES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""VOC's own, by index from 1."""

_VOID = 255
_NAME_FILES = ("class_names.txt", "classes.txt", "labels.txt")
_BACKGROUNDS = frozenset({"background", "_background_", "__background__"})
_IGNORED_FIRST = "__ignore__"
_NOTHING = "void"
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True, slots=True)
class _VocSample:
    name: str
    path: Path
    classes: Path
    objects: Path | None
    labels: tuple[int, ...]  # by the number in the file

    def picture(self) -> Picture:
        return picture_in(self.path, self._indices(self.classes).shape)

    def truth(self) -> tuple[Labels, tuple[Thing, ...]]:
        indices = self._indices(self.classes)
        known = indices[indices != _VOID]
        if known.size and int(known.max()) >= len(self.labels):
            raise UserError(
                f"{self.classes} has the class {int(known.max())}, but only {len(self.labels) - 1} classes have names: "
                f"write the names, one a line, into {self.classes.parent.parent / _NAME_FILES[0]}"
            )
        table = np.full(_VOID + 1, IGNORED, np.int16)
        table[: len(self.labels)] = self.labels
        labels = table[indices]
        return labels, tuple(self._things(labels))

    def content(self) -> bytes:
        return contents([self.path, self.classes, *([self.objects] if self.objects else [])])

    def _things(self, labels: Labels) -> list[Thing]:
        """Those of the object PNG; without one, what hangs together (8 neighbours) of a class is one thing."""
        if self.objects is not None:
            numbers = self._indices(self.objects)
            if numbers.shape != labels.shape:
                raise UserError(f"{self.objects} has not the size of {self.classes}")
            masks = [(numbers == number) & (labels > 0) for number in np.unique(numbers) if number not in (0, _VOID)]
            return [Thing(int(np.bincount(labels[mask]).argmax()) - 1, mask) for mask in masks if mask.any()]
        found = []
        for label in np.unique(labels[labels > 0]):
            count, islands = cv2.connectedComponents((labels == label).astype(np.uint8), connectivity=8)
            found += [Thing(int(label) - 1, np.asarray(islands == island)) for island in range(1, count)]
        return found

    def _indices(self, path: Path) -> NDArray[np.uint8]:
        try:
            with Image.open(path) as image:
                if image.mode not in ("P", "L"):
                    raise UserError(
                        f"{path} is of mode {image.mode}: classes must be palette indices or grey values, not colours"
                    )
                return np.asarray(image, dtype=np.uint8)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as exc:  # all of them Pillow's
            raise UserError(f"{path} cannot be read: {exc}") from exc


def read(folder: Path, images: Path | None = None) -> LabelledDataset:
    """Read a VOC folder: all pictures that have a PNG in ``SegmentationClass/``.

    Names of the classes, one a line, are in ``class_names.txt``, ``classes.txt`` or ``labels.txt``, in the order of
    their numbers: the first line is 1, or 0 where it says ``background``; ``__ignore__`` before that has no number, as
    labelme writes it. Pixels of a class called ``void`` are ignored. Without such a file they are VOC's own twenty.

    Args:
        folder: with ``SegmentationClass/``, and ``SegmentationObject/`` where things are told apart.
        images: the folder of the pictures; None takes ``JPEGImages/``.

    Raises:
        UserError: a picture is not there, or the file of names is wrong.
    """
    names = _categories(folder)
    categories = tuple(name for name in names if name.lower() != _NOTHING)
    labels = _labels_of(names)
    pictures = images or folder / "JPEGImages"
    samples = []
    for classes in sorted((folder / "SegmentationClass").glob("*.png")):
        objects = folder / "SegmentationObject" / classes.name
        samples.append(
            _VocSample(
                classes.stem,
                _picture(pictures, classes.stem),
                classes,
                objects if objects.is_file() else None,
                labels,
            )
        )
    return LabelledDataset(categories, tuple(samples), str(folder))


def _categories(folder: Path) -> tuple[str, ...]:
    for name in _NAME_FILES:
        if (path := folder / name).is_file():
            try:
                names = [line.strip() for line in path.read_text("utf-8").splitlines()]
            except UnicodeDecodeError as exc:
                raise UserError(f"{path} is not text in UTF-8") from exc
            while names and not names[-1]:
                names.pop()
            if names and names[0].lower() == _IGNORED_FIRST:
                names = names[1:]
            if names and names[0].lower() in _BACKGROUNDS:
                names = names[1:]
            if "" in names:
                raise UserError(f"{path} has an empty line among its names: which number has the name after it?")
            if not 1 <= len(names) < _VOID:
                raise UserError(f"{path} has {len(names)} names: between 1 and {_VOID - 1}, one a line, are needed")
            return tuple(names)
    return CATEGORIES


def _labels_of(names: tuple[str, ...]) -> tuple[int, ...]:
    """By the number of a class in the files: what a pixel of it shows."""
    labels, number = [BACKGROUND], 0
    for name in names:
        number += name.lower() != _NOTHING
        labels.append(IGNORED if name.lower() == _NOTHING else number)
    return tuple(labels)


def _picture(folder: Path, stem: str) -> Path:
    for suffix in _SUFFIXES:
        if (path := folder / f"{stem}{suffix}").is_file():
            return path
    raise UserError(f"the picture {stem}.jpg is not in {folder}: name the folder of the pictures with --images")
