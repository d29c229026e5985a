"""Jobs over the same synthetic pictures, each with masks of its own, on the real stores."""

from __future__ import annotations

import hashlib
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tests.export.conftest import TIME, plain
from watson.compare.side import Side
from watson.events import (
    ImageCatalogued,
    JobChanged,
    JobOptions,
    MaskRecord,
    Normalised,
    Original,
    Source,
    image_key,
    mask_id,
    segmentation_id,
)
from watson.model.masks import encode_masks
from watson.model.segmenter import Instance, ModelInfo, Segmentation
from watson.sources.uris import file_uri
from watson.storage.catalogue import JobRow, StageCount
from watson.storage.directory import DirectoryObjectStore
from watson.storage.sqlite import SqliteCatalogue

WIDTH, HEIGHT = 160, 120


def box(category: str, left: int, top: int, right: int, bottom: int, score: float = 0.9, scale: float = 1) -> Instance:
    """A rectangular instance, in pixels of a picture of `WIDTH` × `HEIGHT`."""
    mask = np.zeros((int(HEIGHT * scale), int(WIDTH * scale)), np.bool_)
    mask[int(top * scale) : int(bottom * scale), int(left * scale) : int(right * scale)] = True
    return Instance(0, category, score, mask)


@dataclass
class Scene:
    """A catalogue and an object store, and how to put jobs into them."""

    catalogue: SqliteCatalogue
    objects: DirectoryObjectStore
    root: Path
    counts: dict[str, int] = field(default_factory=dict)

    async def job(self, job: str, pictures: dict[str, Sequence[Instance]] | None = None, **changes) -> JobRow:
        """A job that is done; pictures by name."""
        model = changes.setdefault("model", f"model-{job}@1")
        event = {
            "time": TIME,
            "job": job,
            "dataset": "street",
            "source": Source(kind="directory", uri="/photographs"),
            "options": JobOptions(),
            "state": "complete",
            "listed": 3,
        }
        await self.catalogue.put_job(JobChanged(**{**event, **changes}))
        await self.catalogue.put_submitted(job, TIME)
        for name, instances in (pictures or {}).items():
            await self.add(job, name, instances, model=model)
        return await self.row(job)

    async def side(self, job: str) -> Side:
        return Side(self.catalogue, self.objects, await self.row(job))

    async def row(self, job: str) -> JobRow:
        row = await self.catalogue.job(job)
        assert row is not None
        return row

    async def add(
        self,
        job: str,
        name: str,
        instances: Sequence[Instance],
        *,
        model: str = "",
        scale: float = 1,
        original: str | None = None,
        keep: Sequence[int] | None = None,
        rejected: int = 0,
    ) -> ImageCatalogued:
        """Catalogue a picture, as the chain would. ``keep``: indices of the masks that the rules let through."""
        uri = file_uri(f"/photographs/{name}")
        width, height = int(WIDTH * scale), int(HEIGHT * scale)
        data = io.BytesIO()
        Image.fromarray(plain(width, height)).save(data, "JPEG", quality=90)
        picture = data.getvalue()
        sha256 = hashlib.sha256((original or uri).encode()).hexdigest()
        key = image_key(uri)
        reference = model or f"model-{job}@1"
        preprocessing = f"1-{width}"
        segmentation = segmentation_id(key, sha256, preprocessing, reference)
        name_, _, version = reference.partition("@")
        file, masks = encode_masks(
            Segmentation(tuple(instances)),
            ModelInfo(name_, version, "synthetic", "c" * 64, ()),
            segmentation_id=segmentation,
            picture_sha256=hashlib.sha256(picture).hexdigest(),
            width=width,
            height=height,
        )
        event = ImageCatalogued(
            time=TIME,
            job=job,
            image_key=key,
            dataset="street",
            original=Original(uri=uri, sha256=sha256, width=WIDTH * 2, height=HEIGHT * 2, format="JPEG"),
            normalised=Normalised(
                object=f"preprocessed/{preprocessing}/{sha256}.jpg",
                sha256=hashlib.sha256(picture).hexdigest(),
                width=width,
                height=height,
                version=preprocessing,
            ),
            model=reference,
            weights_sha256="c" * 64,
            segmentation_id=segmentation,
            masks_object=f"masks/{segmentation}.json.gz",
            masks_sha256=hashlib.sha256(masks).hexdigest(),
            masks=tuple(
                MaskRecord(**mask.model_dump(), mask_id=mask_id(segmentation, mask.index))
                for mask in file.summaries
                if keep is None or mask.index in keep
            ),
            rejected=rejected,
            code_version="0.1.0",
            segmented_at=TIME,
        )
        await self.objects.put(event.normalised.object, picture)
        await self.objects.put(event.masks_object, masks)
        await self.catalogue.put_image(event)
        self.counts[job] = self.counts.get(job, 0) + 1
        for stage in ("discovered", "catalogued"):
            count = StageCount(job=job, stage=stage, partition=0, count=self.counts[job], time=TIME)
            await self.catalogue.put_count(count)
        return event


@asynccontextmanager
async def scene_in(root: Path) -> AsyncIterator[Scene]:
    catalogue = SqliteCatalogue(root / "catalogue.db")
    await catalogue.migrate()
    await catalogue.open()
    objects = DirectoryObjectStore(root / "objects")
    await objects.open()
    yield Scene(catalogue, objects, root)
    await catalogue.close()
