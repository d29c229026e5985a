"""What waits for each role: many images' events, all of one small picture that is really there."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.end_to_end.conftest import picture
from watson.events import (
    Event,
    ImageCatalogued,
    ImageDiscovered,
    ImagePreprocessed,
    ImageSegmented,
    JobOptions,
    MaskRecord,
    MaskSummary,
    Normalised,
    Original,
    image_key,
    mask_id,
    segmentation_id,
)
from watson.events.event import now
from watson.model.registry import resolve
from watson.settings import Settings
from watson.stages.preprocess import object_key
from watson.storage.connect_objects import object_store

JOB = "limits"
MODEL = "test-threshold"
MASKS = 3  # of each image
_VERSION = "1-1024"
_SHA = "0" * 64


class Backlog:
    """Makes the events. The picture and its normalised form are put where stages find them."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._uri = (folder / "picture.png").as_uri()
        self._data = picture(1, size=64)
        self._sha = hashlib.sha256(self._data).hexdigest()
        (folder / "picture.png").write_bytes(self._data)
        self._normalised = Normalised(
            object=object_key(_VERSION, self._sha, "jpg"), sha256=self._sha, width=64, height=64, version=_VERSION
        )
        self._model = resolve(MODEL).reference
        asyncio.run(self._put(settings))

    async def _put(self, settings: Settings) -> None:
        store = object_store(settings)
        await store.open()
        await store.put(self._normalised.object, self._data, "image/jpeg")
        await store.close()

    def of_each_role(self, images: int) -> Iterator[Event]:
        """So many events on each topic of the chain, each of another image: something for every role."""
        makers = (self._discovered, self.preprocessed, self.segmented, self._catalogued)
        for number in range(images):
            for place, make in enumerate(makers):
                yield make(number * len(makers) + place)

    def _shared(self, number: int) -> dict[str, Any]:
        original = Original(uri=self._uri, size=len(self._data), sha256=self._sha, width=64, height=64, format="JPEG")
        key = image_key(f"{self._uri}#{number}")  # as if each were another file
        return {"job": JOB, "image_key": key, "dataset": JOB, "original": original, "model": self._model}

    def _discovered(self, number: int) -> ImageDiscovered:
        return ImageDiscovered(**self._shared(number), index=number, options=JobOptions())

    def preprocessed(self, number: int) -> ImagePreprocessed:
        return ImagePreprocessed(**self._shared(number), normalised=self._normalised)

    def segmented(self, number: int) -> ImageSegmented:
        masks = tuple(MaskSummary(**_mask(index)) for index in range(MASKS))
        return ImageSegmented(**self._shared(number), **self._result(number), masks=masks)

    def _catalogued(self, number: int) -> ImageCatalogued:
        result = self._result(number)
        ids = [mask_id(result["segmentation_id"], index) for index in range(MASKS)]
        masks = tuple(MaskRecord(**_mask(index), mask_id=ids[index]) for index in range(MASKS))
        last = {"masks": masks, "rejected": 0, "code_version": "0", "segmented_at": now()}
        return ImageCatalogued(**self._shared(number), **result, **last)

    def _result(self, number: int) -> dict[str, Any]:
        key = self._shared(number)["image_key"]
        segmentation = segmentation_id(key, self._sha, _VERSION, self._model)
        return {
            "normalised": self._normalised,
            "weights_sha256": _SHA,
            "segmentation_id": segmentation,
            "masks_object": f"masks/{segmentation}.json.gz",
            "masks_sha256": _SHA,
        }


def _mask(index: int) -> dict[str, Any]:
    box = (1.0, 2.0, 30.0, 40.0)
    return {"index": index, "category_id": index, "category": "bright", "score": 0.9, "area": 1000, "box": box}
