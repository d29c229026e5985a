"""Tiny labelled datasets: red and green squares on grey noise, written in each of the formats."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco

CATEGORIES = ("red", "green")
COLOURS = np.array([[200, 30, 30], [30, 200, 30]], np.uint8)
HEIGHT, WIDTH = 48, 64


@dataclass(frozen=True)
class Square:
    """A square of a category in a picture."""

    category: int
    top: int
    left: int
    side: int

    @property
    def mask(self) -> np.ndarray:
        mask = np.zeros((HEIGHT, WIDTH), np.bool_)
        mask[self.top : self.top + self.side, self.left : self.left + self.side] = True
        return mask

    @property
    def polygon(self) -> list[float]:
        right, bottom = self.left + self.side, self.top + self.side
        return [self.left, self.top, right, self.top, right, bottom, self.left, bottom]


def squares(number: int) -> Square:
    """The square in picture ``number``."""
    random = np.random.default_rng(number)
    side = int(random.integers(14, 28))
    return Square(number % 2, int(random.integers(HEIGHT - side)), int(random.integers(WIDTH - side)), side)


def picture(number: int) -> np.ndarray:
    """Picture ``number``, (48, 64, 3) uint8."""
    random = np.random.default_rng(1000 + number)
    pixels = random.integers(90, 150, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    square = squares(number)
    pixels[square.mask] = COLOURS[square.category]
    return pixels


def run_lengths(mask: np.ndarray) -> dict:
    rle = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}


def coco_document(number: int, shape: str = "rle") -> dict:
    """``number`` pictures as COCO has them; ``shape`` is rle, polygon or uncompressed."""
    annotations = []
    for place in range(number):
        square = squares(place)
        annotations.append(
            {
                "id": place + 1,
                "image_id": place + 1,
                "category_id": square.category + 1,
                "iscrowd": 0,
                "segmentation": {
                    "rle": run_lengths(square.mask),
                    "polygon": [square.polygon],
                    "uncompressed": {"size": [HEIGHT, WIDTH], "counts": _counts(square.mask)},
                }[shape],
            }
        )
    return {
        "images": [
            {"id": place + 1, "file_name": f"{place}.png", "width": WIDTH, "height": HEIGHT} for place in range(number)
        ],
        "categories": [{"id": place + 1, "name": name} for place, name in enumerate(CATEGORIES)],
        "annotations": annotations,
    }


def write_coco(folder: Path, number: int = 6, **changes: object) -> Path:
    """Pictures and a COCO file; ``changes`` replace members of the document."""
    write_pictures(folder / "images", number)
    path = folder / "instances.json"
    path.write_text(json.dumps(coco_document(number) | changes))
    return path


def write_pictures(folder: Path, number: int, suffix: str = "png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for place in range(number):
        Image.fromarray(picture(place)).save(folder / f"{place}.{suffix}")


def write_voc(folder: Path, number: int = 4, names: str = "background\nred\ngreen\n") -> Path:
    write_pictures(folder / "JPEGImages", number, "jpg")
    (folder / "SegmentationClass").mkdir()
    for place in range(number):
        square = squares(place)
        indices = np.where(square.mask, np.uint8(1 + square.category), np.uint8(0))
        indices[0, :3] = 255
        image = Image.fromarray(indices)
        image.putpalette([*range(256)] * 3)
        image.save(folder / "SegmentationClass" / f"{place}.png")
    if names:
        (folder / "class_names.txt").write_text(names)
    return folder


def write_open_images(folder: Path, number: int = 4) -> Path:
    write_pictures(folder / "images", number, "jpg")
    (folder / "masks").mkdir()
    with (folder / "train-annotations-object-segmentation.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["MaskPath", "ImageID", "LabelName", "BoxID"])
        for place in range(number):
            square = squares(place)
            small = Image.fromarray(square.mask.astype(np.uint8) * 255).resize((WIDTH // 2, HEIGHT // 2), 0)
            small.save(folder / "masks" / f"{place}_m.png")
            table.writerow([f"{place}_m.png", place, f"/m/{square.category}", "box"])
    (folder / "class-descriptions-boxable.csv").write_text("/m/0,red\n/m/1,green\n/m/2,blue\n")
    return folder


def _counts(mask: np.ndarray) -> list[int]:
    flat = np.concatenate([[0], mask.ravel(order="F").astype(np.int8)])
    edges = np.flatnonzero(np.diff(flat)) if not mask.ravel(order="F")[0] else np.array([0])
    return np.diff([0, *edges, mask.size]).tolist()
