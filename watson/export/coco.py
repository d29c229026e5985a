"""COCO's ``instances.json``, written as a stream: memory does not grow with the dataset.

Source: https://cocodataset.org/#format-data, and what pycocotools reads. Masks are run-length encoded with
``iscrowd`` 0, which pycocotools accepts.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self, TypedDict

import orjson

from watson.errors import WatsonError
from watson.events import ImageCatalogued, MaskRecord
from watson.export.names import file_name

__all__ = ["CocoRle", "CocoWriter"]


class CocoRle(TypedDict):
    """A mask as pycocotools takes it. ``size`` is [height, width] in pixels, ``counts`` the compressed text."""

    size: list[int]
    counts: str


class CocoWriter:
    """Writes images and annotations to part files and joins them at the end.

    Ids are whole numbers from 1 in the order of writing (which is by image key); a category's id is the model's
    index + 1, since 0 means background to many tools.
    """

    def __init__(self, path: Path, info: Mapping[str, Any]) -> None:
        self._path = path
        self._info = dict(info)
        self._images = path.with_suffix(".images.part")
        self._annotations = path.with_suffix(".annotations.part")
        self._files: list[BinaryIO] = []
        self._categories: dict[int, str] = {}
        self.pictures = 0
        self.masks = 0

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._files = [part.open("wb") for part in (self._images, self._annotations)]
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def add(self, event: ImageCatalogued, name: str, rles: Mapping[int, CocoRle]) -> None:
        """One picture and its masks.

        Args:
            event: the picture as catalogued.
            name: its file name under ``images/``.
            rles: mask index → run-length encoding; one for each mask of the event.
        """
        images, annotations = self._files
        self.pictures += 1
        _append(images, _image(self.pictures, event, name))
        for mask in event.masks:
            self._note_category(mask)
            self.masks += 1
            _append(annotations, _annotation(self.masks, self.pictures, mask, rles[mask.index]))

    def finish(self) -> None:
        """Join the parts into one valid JSON file, and remove them."""
        for file in self._files:
            file.close()
        categories = [
            {"id": number + 1, "name": name, "supercategory": "", "model_index": number}
            for number, name in sorted(self._categories.items())
        ]
        with self._path.open("wb") as out:
            out.write(b'{"info":' + orjson.dumps(self._info) + b',\n"licenses":[],\n')
            out.write(b'"categories":' + orjson.dumps(categories))
            for name, part in ((b"images", self._images), (b"annotations", self._annotations)):
                out.write(b',\n"' + name + b'":[')
                with part.open("rb") as source:
                    shutil.copyfileobj(source, out)
                out.write(b"\n]")
                part.unlink()
            out.write(b"}\n")

    def _note_category(self, mask: MaskRecord) -> None:
        known = self._categories.setdefault(mask.category_id, mask.category)
        if known != mask.category:
            raise WatsonError(
                f"Category {mask.category_id} is called {known!r} and {mask.category!r} in one job: the model changed "
                "its categories while the job ran. Submit the pictures as a new job."
            )


def _append(file: BinaryIO, record: Mapping[str, Any]) -> None:
    file.write(b",\n" if file.tell() else b"\n")
    file.write(orjson.dumps(record))


def _image(number: int, event: ImageCatalogued, name: str) -> dict[str, Any]:
    original = event.original
    return {
        "id": number,
        "file_name": name,
        "width": event.normalised.width,
        "height": event.normalised.height,
        "watson": {
            "image_key": str(event.image_key),
            "original_name": file_name(original.uri),
            "uri": original.uri,
            "sha256": original.sha256,
            "original_width": original.width,
            "original_height": original.height,
            "normalised_sha256": event.normalised.sha256,
            "preprocessing": event.normalised.version,
            "model": event.model,
            "weights_sha256": event.weights_sha256,
            "segmentation_id": str(event.segmentation_id),
            "masks_sha256": event.masks_sha256,
            "rejected_masks": event.rejected,
            "code_version": event.code_version,
        },
    }


def _annotation(number: int, image: int, mask: MaskRecord, rle: CocoRle) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image,
        "category_id": mask.category_id + 1,
        "segmentation": rle,
        "area": mask.area,
        "bbox": list(mask.box),
        "iscrowd": 0,
        "score": mask.score,
        "mask_id": str(mask.mask_id),
    }
