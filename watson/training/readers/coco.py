"""COCO's instance annotations: polygons or run lengths. Watson's own exports are such files.

Source: https://cocodataset.org/#format-data
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from watson.errors import UserError
from watson.model.run_lengths import RunLengths
from watson.model.segmenter import Picture
from watson.training.labelled import LabelledDataset, Labels, Thing, contents, label_map, picture_in

__all__ = ["read"]

_Side = Annotated[int, Field(ge=1, le=2**16)]
_Coordinate = Annotated[float, Field(ge=-(2**16), le=2**17)]
"""Pixels. pycocotools draws whatever it is told, and beyond these ends the process or takes gigabytes."""
_Polygon = Annotated[list[_Coordinate], Field(min_length=6)]
_Polygons = Annotated[list[_Polygon], Field(min_length=1)]


class _Uncompressed(BaseModel):
    """Run lengths as numbers, as COCO has them for crowds."""

    size: tuple[_Side, _Side]
    counts: list[Annotated[int, Field(ge=0)]]


def _encoding(segmentation: object) -> str:
    """Which of COCO's three it is meant to be, so that an error is about that one; of what was read, which it is."""
    if isinstance(segmentation, list):
        return "polygons"
    counts = segmentation.get("counts") if isinstance(segmentation, dict) else None
    return "uncompressed" if isinstance(segmentation, _Uncompressed) or isinstance(counts, list) else "rle"


_Segmentation = Annotated[
    Annotated[RunLengths, Tag("rle")]
    | Annotated[_Uncompressed, Tag("uncompressed")]
    | Annotated[_Polygons, Tag("polygons")],
    Discriminator(_encoding),
]


class _Image(BaseModel):
    id: int | str
    file_name: str
    width: _Side
    height: _Side


class _Category(BaseModel):
    id: int
    name: Annotated[str, Field(min_length=1)]


class _Annotation(BaseModel):
    model_config = ConfigDict(frozen=True)

    image_id: int | str
    category_id: int
    segmentation: _Segmentation
    iscrowd: int = 0


class _Document(BaseModel):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Annotation]


@dataclass(frozen=True, slots=True)
class _CocoSample:
    name: str
    path: Path
    size: tuple[int, int]
    things: tuple[tuple[int, _Annotation], ...]

    def picture(self) -> Picture:
        return picture_in(self.path, self.size)

    def truth(self) -> tuple[Labels, tuple[Thing, ...]]:
        things = tuple(Thing(number, self._mask(one), bool(one.iscrowd)) for number, one in self.things)
        return label_map(things, self.size), things

    def content(self) -> bytes:
        return contents([self.path], *(f"{number} {one.model_dump_json()}" for number, one in self.things))

    def _mask(self, annotation: _Annotation) -> NDArray[np.bool_]:
        height, width = self.size
        shape = annotation.segmentation
        rle: Any
        if isinstance(shape, RunLengths):
            rle = shape.to_coco()
        elif isinstance(shape, _Uncompressed):
            rle = coco.frPyObjects(shape.model_dump(), height, width)
        else:
            rle = coco.merge(coco.frPyObjects(shape, height, width))
        return np.asarray(coco.decode(rle)).astype(np.bool_)


def read(path: Path, images: Path | None = None) -> LabelledDataset:
    """Read an annotation file.

    Args:
        path: the JSON file.
        images: the folder that file names are relative to; None tries the file's own folder, ``images/`` beside it,
            and ``images/`` beside its folder, as Watson's exports have it.

    Raises:
        UserError: the file is not such JSON, refers to what it does not define, or the pictures are not there.
    """
    document = _document(path)
    numbers = {category.id: number for number, category in enumerate(document.categories)}
    things: dict[int | str, list[tuple[int, _Annotation]]] = {image.id: [] for image in document.images}
    for place, annotation in enumerate(document.annotations):
        sizes = things.get(annotation.image_id)
        if sizes is None:
            raise UserError(f"{path}: annotations.{place}: there is no image of id {annotation.image_id!r}")
        if annotation.category_id not in numbers:
            raise UserError(f"{path}: annotations.{place}: there is no category of id {annotation.category_id}")
        sizes.append((numbers[annotation.category_id], annotation))
    folder = _folder(path, images, document)
    samples = []
    for image in document.images:
        size = (image.height, image.width)
        for number, annotation in things[image.id]:
            _check_size(path, image, document.categories[number].name, annotation)
        samples.append(_CocoSample(image.file_name, folder / image.file_name, size, tuple(things[image.id])))
    return LabelledDataset(tuple(category.name for category in document.categories), tuple(samples), str(path))


def _document(path: Path) -> _Document:
    try:
        document = _Document.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise UserError(f"{path} cannot be read: {exc.strerror}") from exc
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "document"
        raise UserError(f"{path} is not COCO's instances.json: {place}: {first['msg']}") from exc
    for what, ids in (
        ("images", [image.id for image in document.images]),
        ("images", [image.file_name for image in document.images]),
        ("categories", [category.id for category in document.categories]),
    ):
        if len(set(ids)) < len(ids):
            raise UserError(f"{path}: {what}: one id or file name stands there twice")
    return document


def _check_size(path: Path, image: _Image, category: str, annotation: _Annotation) -> None:
    shape = annotation.segmentation
    if isinstance(shape, list):
        return
    size = (image.height, image.width)
    runs = sum(shape.counts) if isinstance(shape, _Uncompressed) else size[0] * size[1]
    if shape.size != size or runs != size[0] * size[1]:
        raise UserError(
            f"{path}: a mask of {category!r} in {image.file_name} is not of the picture's {size[1]} × {size[0]} pixels"
        )


def _folder(path: Path, images: Path | None, document: _Document) -> Path:
    """Where the first picture is; of the others, each is asked for when it is read."""
    if not document.images:
        return path.parent
    first = document.images[0].file_name
    places = [images] if images else [path.parent, path.parent / "images", path.parent.parent / "images"]
    for place in places:
        if (place / first).is_file():
            return place
    tried = ", ".join(map(str, places))
    raise UserError(f"{path}: the picture {first} is not in {tried}: name the folder of the pictures with --images")
