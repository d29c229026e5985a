"""OpenImages' instance masks: a table of masks, a PNG for each, and names of the classes.

Source: https://storage.googleapis.com/openimages/web/download_v7.html (Segmentations; "Data Formats")
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import cv2
import numpy as np
from numpy.typing import NDArray

from watson.errors import UserError
from watson.model.segmenter import Picture
from watson.training.labelled import LabelledDataset, Labels, Thing, contents, label_map, picture_in

__all__ = ["is_table", "read"]

_COLUMNS = ("MaskPath", "ImageID", "LabelName")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_NAMES = "*class-descriptions*.csv"


@dataclass(frozen=True, slots=True)
class _OpenImagesSample:
    name: str
    path: Path
    masks: tuple[tuple[int, Path], ...]

    def picture(self) -> Picture:
        return picture_in(self.path)

    def truth(self) -> tuple[Labels, tuple[Thing, ...]]:
        size = self.picture().shape[:2]
        things = tuple(Thing(number, _mask(path, (size[0], size[1]))) for number, path in self.masks)
        return label_map(things, (size[0], size[1])), things

    def content(self) -> bytes:
        paths = [self.path, *(path for _, path in self.masks)]
        return contents(paths, *(str(number) for number, _ in self.masks))


def is_table(path: Path) -> bool:
    """Whether a CSV file is a table of masks, by its head.

    Raises:
        UserError: it cannot be read.
    """
    with _table(path) as file:
        head = next(csv.reader(file), [])
    return set(_COLUMNS) <= set(head)


def read(path: Path, images: Path | None = None) -> LabelledDataset:
    """Read a table of masks. Masks lie beside it or in ``masks/``; names of classes in ``*class-descriptions*.csv``.

    Args:
        path: the CSV file, with the columns MaskPath, ImageID and LabelName; others are ignored.
        images: the folder of the pictures, ``<ImageID>.jpg`` or ``.png``; None takes ``images/`` beside the table, or
            the table's own folder.

    Raises:
        UserError: a column is missing, a row is incomplete, a mask or a picture is not there: says which, and where.
    """
    names = _class_names(path.parent)
    rows: dict[str, list[tuple[str, Path]]] = {}
    for line, row in _rows(path):
        mask, image, label = (row.get(column) or "" for column in _COLUMNS)
        if not (mask and image and label):
            raise UserError(f"{path}, line {line}: one of {', '.join(_COLUMNS)} is empty")
        rows.setdefault(image, []).append((names.get(label, label), _mask_path(path, line, mask)))
    categories = sorted({name for row in rows.values() for name, _ in row})
    numbers = {name: number for number, name in enumerate(categories)}
    folder = images or (path.parent / "images" if (path.parent / "images").is_dir() else path.parent)
    samples = tuple(
        _OpenImagesSample(image, _picture(folder, image), tuple((numbers[name], mask) for name, mask in rows[image]))
        for image in sorted(rows)
    )
    return LabelledDataset(tuple(categories), samples, str(path))


@contextmanager
def _table(path: Path) -> Iterator[TextIO]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except OSError as exc:
        raise UserError(f"{path} cannot be read: {exc.strerror}") from exc
    except (csv.Error, UnicodeDecodeError) as exc:
        raise UserError(f"{path} is no CSV in UTF-8: {exc}") from exc


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    with _table(path) as file:
        table = csv.DictReader(file)
        if missing := [column for column in _COLUMNS if column not in (table.fieldnames or ())]:
            raise UserError(f"{path}, line 1: the column {missing[0]} is missing; needed: {', '.join(_COLUMNS)}")
        for row in table:
            yield table.line_num, row


def _class_names(folder: Path) -> dict[str, str]:
    """Label → name; empty where there is no such file: labels are then their own names."""
    names: dict[str, str] = {}
    for path in sorted(folder.glob(_NAMES)):
        with _table(path) as file:
            names.update((row[0], row[1]) for row in csv.reader(file) if len(row) >= 2 and row[1])
    return names


def _mask_path(table: Path, line: int, name: str) -> Path:
    for place in (table.parent, table.parent / "masks"):
        if (place / name).is_file():
            return place / name
    raise UserError(f"{table}, line {line}: the mask {name} is neither beside the table nor in masks/")


def _picture(folder: Path, image: str) -> Path:
    for suffix in _SUFFIXES:
        if (path := folder / f"{image}{suffix}").is_file():
            return path
    raise UserError(f"the picture {image}.jpg is not in {folder}: name the folder of the pictures with --images")


def _mask(path: Path, size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask, scaled to the picture's size: OpenImages' masks often are of another."""
    data = np.frombuffer(path.read_bytes(), np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    if pixels is None:
        raise UserError(f"{path} is not a PNG that can be decoded")
    scaled = cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)
    return np.asarray(scaled > 127)
