"""Labelled pictures whose labels are exact: photographic cut-outs pasted on photographs, as a COCO dataset."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from benchmarks.cut_outs import unpacked
from watson.embedded.demo import collect_photographs

FOLDERS = {
    "mammal": "animals/mammals",
    "bird": "animals/birds",
    "fish": "animals/fish",
    "insect": "animals/insects",
    "fruit": "food/fruit",
    "vegetable": "food/vegetables",
    "flower": "plants/flowers",
    "tree": "plants/trees",
    "tool": "household/tools",
    "instrument": "hobbies/music",
    "ball game": "sports",
    "vehicle": "vehicles",
}
"""Category → folder of the stamps."""

_DRAWN = frozenset({"cartoon", "toys", "plastic"})
_FEWEST_COLOURS = 500
"""Of a photograph, in steps of four levels; drawings have fewer."""

_SHOWING_A_CATEGORY = frozenset(
    (
        *("bald-eagle", "buckeye", "bull-mastiff", "cat-chelsea", "dalmatian", "drum", "dung-beetle", "flower"),
        *("goose", "jeep-blue", "jeep-grey", "leafhopper", "motorcycle", "spoonbill", "strawberry"),
    )
)
"""Photographs of which corners alone are backgrounds: what they show in the middle would be labelled background."""

_SIZES = (0.3, 0.55)
"""Long side of a thing as a fraction of the picture's."""
_WINDOW_SHARES = (0.3, 1.0)
"""Side of a background's window as a fraction of the photograph's short side."""
_CORNER_SHARES = (0.25, 0.45)
_MOST_THINGS = 2
_MOST_TURNED = 30.0  # degrees
_LEAST_VISIBLE = 0.3


@dataclass(frozen=True, slots=True)
class Stamp:
    """A cut-out: (H, W, 4) uint8, RGB and alpha."""

    category: int
    pixels: NDArray[np.uint8]


def stamps() -> list[Stamp]:
    """The photographic cut-outs of the twelve categories, in a fixed order."""
    root = unpacked()
    found = []
    for number, folder in enumerate(FOLDERS.values()):
        for path in sorted((root / folder).rglob("*.png")):
            if _DRAWN.intersection(path.relative_to(root).parts) or path.stem.endswith("_mirror"):
                continue
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGBA"))
            shown = pixels[..., 3] > 127
            colours = len(np.unique(pixels[shown][:, :3] // 4, axis=0))
            if colours >= _FEWEST_COLOURS and 0.05 < shown.mean() < 0.95:
                rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
                found.append(Stamp(number, pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]))
    return found


@dataclass(frozen=True, slots=True)
class Ground:
    """A photograph to paste on: (H, W, 3) uint8, RGB."""

    pixels: NDArray[np.uint8]
    corners_alone: bool

    def window(self, side: int, random: np.random.Generator) -> NDArray[np.float32]:
        """A square window at random, (side, side, 3) float32, 0–255."""
        shares = _CORNER_SHARES if self.corners_alone else _WINDOW_SHARES
        length = int(min(self.pixels.shape[:2]) * random.uniform(*shares))
        room = [size - length for size in self.pixels.shape[:2]]
        if self.corners_alone:
            top, left = (int(random.integers(2)) * most for most in room)
        else:
            top, left = (int(random.integers(most + 1)) for most in room)
        window = self.pixels[top : top + length, left : left + length]
        if random.random() < 0.5:
            window = window[:, ::-1]
        scaled = cv2.resize(window, (side, side), interpolation=cv2.INTER_AREA if length > side else cv2.INTER_CUBIC)
        return scaled.astype(np.float32)


def backgrounds() -> list[Ground]:
    """The demo's photographs, and three textures."""
    with TemporaryDirectory() as folder:
        collect_photographs(Path(folder))
        paths = [path for path in sorted(Path(folder).iterdir()) if not path.name.startswith("broken")]
        spec = find_spec("skimage")
        roots = [Path(root) for root in (spec.submodule_search_locations or ())] if spec else []
        paths += [root / "data" / name for root in roots for name in ("brick.png", "grass.png", "gravel.png")]
        return [Ground(np.asarray(Image.open(path).convert("RGB")), path.stem in _SHOWING_A_CATEGORY) for path in paths]


def write_composites(
    folder: Path,
    number: int,
    side: int,
    seed: int,
    cut_outs: Sequence[Stamp],
    grounds: Sequence[Ground],
) -> Path:
    """Write ``number`` square pictures as PNGs with a COCO file; returns the file. The same for the same seed.

    Each picture gets one or two things, categories equally often.
    """
    random = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    by_category = [[stamp for stamp in cut_outs if stamp.category == category] for category in range(len(FOLDERS))]
    usable = [category for category, some in enumerate(by_category) if some]
    images, annotations = [], []
    for image in range(1, number + 1):
        picture = grounds[random.integers(len(grounds))].window(side, random)
        labels = np.zeros((side, side), np.uint8)
        for thing in range(1, random.integers(1, _MOST_THINGS + 1) + 1):
            some = by_category[usable[random.integers(len(usable))]]
            stamp = some[random.integers(len(some))]
            alpha = _paste(picture, stamp.pixels, side, random)
            labels[alpha > 0.5] = thing
            annotations.append({"image_id": image, "category_id": stamp.category + 1, "thing": thing})
        for annotation in annotations[-_MOST_THINGS:]:
            if annotation["image_id"] == image:
                mask = labels == annotation.pop("thing")
                rle = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
                annotation["segmentation"] = {"size": [side, side], "counts": rle["counts"].decode()}
        name = f"{image:05}.jpg"
        Image.fromarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8)).save(folder / "images" / name, quality=92)
        images.append({"id": image, "file_name": name, "width": side, "height": side})
    categories = [{"id": place + 1, "name": name} for place, name in enumerate(FOLDERS)]
    path = folder / "instances.json"
    path.write_text(json.dumps({"images": images, "categories": categories, "annotations": annotations}))
    return path


def _paste(
    picture: NDArray[np.float32], stamp: NDArray[np.uint8], side: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """Paste a cut-out, turned and scaled, wholly inside; returns its alpha, (side, side) float32, 0–1."""
    alpha = stamp[..., 3:].astype(np.float32) / 255
    # Colours weighted by alpha: what a stamp has where it is transparent must not bleed into its edge.
    layers = np.concatenate([stamp[..., :3] * alpha, alpha], axis=2)
    if random.random() < 0.5:
        layers = layers[:, ::-1]
    height, width = layers.shape[:2]
    scale = side * random.uniform(*_SIZES) / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        layers, scale = cv2.resize(layers, size, interpolation=cv2.INTER_AREA), 1.0
        height, width = layers.shape[:2]
    turned = cv2.getRotationMatrix2D((width / 2, height / 2), random.uniform(-_MOST_TURNED, _MOST_TURNED), scale)
    reach = np.abs(turned[:, :2]) @ (width / 2, height / 2)
    centre = [random.uniform(min(half, side / 2), max(side - half, side / 2)) for half in reach]
    turned[:, 2] += np.array(centre) - (width / 2, height / 2)
    layers = cv2.warpAffine(np.ascontiguousarray(layers), turned, (side, side), flags=cv2.INTER_LINEAR)
    picture *= 1 - layers[..., 3:]
    picture += layers[..., :3]
    return np.asarray(layers[..., 3])
