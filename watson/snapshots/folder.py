"""A snapshot as a folder with COCO annotations: what training and evaluation read."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from watson.errors import ReasonCode, Refused
from watson.model.masks import decode_masks
from watson.snapshots.content import SnapshotImage
from watson.snapshots.record import Snapshot
from watson.snapshots.store import read
from watson.storage.keys import MASKS_KEY, PICTURE_KEY
from watson.storage.objects import ObjectStore

__all__ = ["write_folder"]

_AT_ONCE = 16


async def write_folder(
    objects: ObjectStore, snapshot: Snapshot, folder: Path, on_progress: Callable[[int, int], None] | None = None
) -> Path:
    """Fetch a snapshot's pictures and masks; returns the folder. What is there already is not fetched again.

    ``images/`` holds the normalised pictures, ``annotations/instances.json`` (COCO) the masks, categories by name:
    jobs of one dataset may have used models that number them differently. All annotations are in memory at once.

    Args:
        objects: open.
        snapshot: its record.
        folder: made where it is missing.
        on_progress: told the pictures done and the pictures there are.

    Raises:
        Refused: ``OBJECT_MISSING`` or ``OBJECT_ALTERED``; the snapshot, a picture or masks are not what they were.
        Retriable: the store is unavailable.
    """
    report = on_progress or (lambda _done, _all: None)
    await asyncio.to_thread((folder / "images").mkdir, parents=True, exist_ok=True)
    await asyncio.to_thread((folder / "annotations").mkdir, exist_ok=True)
    document = _Document(snapshot)
    waiting: list[SnapshotImage] = []

    async def settle() -> None:
        fetched = await asyncio.gather(*(_fetched(objects, image, folder) for image in waiting))
        for image, masks in zip(waiting, fetched, strict=True):
            document.add(image, masks)
        waiting.clear()
        report(document.pictures, snapshot.images)

    async for image in read(objects, snapshot):
        waiting.append(image)
        if len(waiting) >= _AT_ONCE:
            await settle()
    await settle()
    await asyncio.to_thread(document.write, folder / "annotations" / "instances.json")
    return folder


class _Document:
    """COCO's ``instances.json``, as it grows."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._info = {"description": f"{snapshot.dataset}, snapshot {snapshot.id}"}
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    @property
    def pictures(self) -> int:
        return len(self._images)

    def add(self, image: SnapshotImage, masks: bytes) -> None:
        number = len(self._images) + 1
        self._images.append({"id": number, "file_name": _name(image), "width": image.width, "height": image.height})
        stored = {mask.index: mask for mask in decode_masks(masks).masks}
        for mask in image.masks:
            rle = stored[mask.index].rle
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": number,
                    "category_id": mask.category,  # its number, once all names are known
                    "segmentation": {"size": list(rle.size), "counts": rle.counts},
                    "area": mask.area,
                    "bbox": list(mask.box),
                    "iscrowd": 0,
                }
            )

    def write(self, path: Path) -> None:
        names = sorted({str(annotation["category_id"]) for annotation in self._annotations})
        numbers = {name: number for number, name in enumerate(names, start=1)}
        for annotation in self._annotations:
            annotation["category_id"] = numbers[str(annotation["category_id"])]
        categories = [{"id": number, "name": name} for name, number in numbers.items()]
        half = path.with_name(f".{path.name}.part")
        half.write_bytes(
            orjson.dumps(
                {
                    "info": self._info,
                    "categories": categories,
                    "images": self._images,
                    "annotations": self._annotations,
                }
            )
        )
        half.replace(path)


async def _fetched(objects: ObjectStore, image: SnapshotImage, folder: Path) -> bytes:
    """Keep the picture; returns the masks' bytes."""
    path = folder / "images" / _name(image)
    if not await asyncio.to_thread(_is_whole, path, image.picture_sha256):
        if not PICTURE_KEY.fullmatch(image.picture_object):
            raise _altered(image.picture_object)
        data = await objects.get(image.picture_object)
        if await asyncio.to_thread(_sha256, data) != image.picture_sha256:
            raise _altered(image.picture_object)
        await asyncio.to_thread(_keep, path, data)
    if not MASKS_KEY.fullmatch(image.masks_object):
        raise _altered(image.masks_object)
    masks = await objects.get(image.masks_object)
    if await asyncio.to_thread(_sha256, masks) != image.masks_sha256:
        raise _altered(image.masks_object)
    return masks


def _name(image: SnapshotImage) -> str:
    return f"{image.image_key}{Path(image.picture_object).suffix}"


def _is_whole(path: Path, sha256: str) -> bool:
    return path.is_file() and _sha256(path.read_bytes()) == sha256


def _keep(path: Path, data: bytes) -> None:
    half = path.with_name(f".{path.name}.part")
    half.write_bytes(data)
    half.replace(path)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _altered(key: str) -> Refused:
    return Refused(
        ReasonCode.OBJECT_ALTERED,
        f"{key} is not what the snapshot speaks of: `watson audit JOB --repair` makes good what was lost",
    )
