"""A small catalogued job on the real stores: SQLite and a directory, with photographs and synthetic masks."""

from __future__ import annotations

import hashlib
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from watson.errors import ReasonCode
from watson.events import (
    FailedRecord,
    ImageCatalogued,
    ImageQuarantined,
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
from watson.storage.catalogue import StageCount
from watson.storage.directory import DirectoryObjectStore
from watson.storage.sqlite import SqliteCatalogue

JOB = "street-1"
CATEGORIES = ("tabby cat", "espresso", '<b>bold</b> & "quoted"', "rocket", "person")
MODEL = ModelInfo("ellipses", "0123456789ab", "synthetic", "c" * 64, CATEGORIES)
TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class Job:
    """A job in a catalogue, and what it takes to add to it."""

    catalogue: SqliteCatalogue
    objects: DirectoryObjectStore
    root: Path
    catalogued: int = 0
    quarantined: int = 0

    async def add(self, uri: str, picture: np.ndarray, instances: Sequence[Instance]) -> ImageCatalogued:
        """Catalogue a picture, (H, W, 3) uint8, as the chain would."""
        height, width = picture.shape[:2]
        encoded = io.BytesIO()
        Image.fromarray(picture).save(encoded, "JPEG", quality=90)
        data = encoded.getvalue()
        sha256 = hashlib.sha256(uri.encode()).hexdigest()
        key, normalised_sha256 = image_key(uri), hashlib.sha256(data).hexdigest()
        segmentation = segmentation_id(key, sha256, "1-1024", MODEL.reference)
        file, masks = encode_masks(
            Segmentation(tuple(instances)),
            MODEL,
            segmentation_id=segmentation,
            picture_sha256=normalised_sha256,
            width=width,
            height=height,
        )
        event = ImageCatalogued(
            time=TIME,
            job=JOB,
            image_key=key,
            dataset="street",
            original=Original(uri=uri, sha256=sha256, width=width * 2, height=height * 2, format="JPEG"),
            normalised=Normalised(
                object=f"preprocessed/1-1024/{sha256}.jpg",
                sha256=normalised_sha256,
                width=width,
                height=height,
                version="1-1024",
            ),
            model=MODEL.reference,
            weights_sha256=MODEL.weights_sha256,
            segmentation_id=segmentation,
            masks_object=f"masks/{segmentation}.json.gz",
            masks_sha256=hashlib.sha256(masks).hexdigest(),
            masks=tuple(
                MaskRecord(**mask.model_dump(), mask_id=mask_id(segmentation, mask.index)) for mask in file.summaries
            ),
            rejected=0,
            code_version="0.1.0",
            segmented_at=TIME,
        )
        await self.objects.put(event.normalised.object, data)
        await self.objects.put(event.masks_object, masks)
        await self.catalogue.put_image(event)
        self.catalogued += 1
        await self._count("catalogued", self.catalogued)
        return event

    async def quarantine(self, uri: str, reason: ReasonCode, message: str) -> None:
        """Quarantine a picture, as preprocess would."""
        failed = FailedRecord(topic="image-discovered", partition=0, offset=self.quarantined, key=b"k", value=b"{}")
        event = ImageQuarantined(
            time=TIME,
            job=JOB,
            image_key=image_key(uri),
            uri=uri,
            stage="preprocess",
            reason=reason,
            message=message,
            failed=failed,
            attempts=1,
            code_version="0.1.0",
        )
        await self.catalogue.put_dead_letter(event, resolved=False)
        self.quarantined += 1
        await self._count("quarantined", self.quarantined)

    async def _count(self, stage: str, count: int) -> None:
        await self.catalogue.put_count(StageCount(job=JOB, stage=stage, partition=0, count=count, time=TIME))


def ellipse(
    picture: np.ndarray, at: tuple[float, float], size: tuple[float, float], category: int, score: float
) -> Instance:
    """An elliptic instance; ``at`` and ``size`` are fractions of the picture's width and height."""
    height, width = picture.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    centre = int(at[0] * width), int(at[1] * height)
    cv2.ellipse(mask, centre, (int(size[0] * width), int(size[1] * height)), 15, 0, 360, 1, -1)
    return Instance(category, CATEGORIES[category], score, mask.astype(np.bool_))


def plain(width: int = 160, height: int = 120, shade: int = 90) -> np.ndarray:
    """A picture with a gradient."""
    ramp = np.linspace(0, 255, width, dtype=np.uint8)
    return np.dstack(
        [np.tile(ramp, (height, 1)), np.full((height, width), shade, np.uint8), np.tile(ramp[::-1], (height, 1))]
    )


@pytest.fixture
async def job(tmp_path: Path) -> AsyncIterator[Job]:
    """An empty job."""
    async with empty_job(tmp_path) as made:
        yield made


@pytest.fixture
async def fresh_job(tmp_path: Path) -> AsyncIterator[Job]:
    """Another empty job of the same name, in stores of its own."""
    (tmp_path / "other").mkdir()
    async with empty_job(tmp_path / "other") as made:
        yield made


@asynccontextmanager
async def empty_job(root: Path) -> AsyncIterator[Job]:
    catalogue = SqliteCatalogue(root / "catalogue.db")
    await catalogue.migrate()
    await catalogue.open()
    objects = DirectoryObjectStore(root / "objects")
    await objects.open()
    await catalogue.put_job(
        JobChanged(
            time=TIME,
            job=JOB,
            dataset="street",
            source=Source(kind="directory", uri="/photographs"),
            model=MODEL.reference,
            options=JobOptions(),
            state="complete",
            listed=3,
        )
    )
    await catalogue.put_submitted(JOB, TIME)
    yield Job(catalogue, objects, root / "objects")
    await objects.close()
    await catalogue.close()


@pytest.fixture
async def small_job(job: Job) -> Job:
    """Three pictures (one without masks, two of one name) and one quarantined."""
    picture = plain()
    cat = ellipse(picture, (0.3, 0.5), (0.2, 0.3), 0, 0.9)
    bold = ellipse(picture, (0.7, 0.5), (0.2, 0.3), 2, 0.4)
    await job.add("file:///photographs/a/cat.jpg", picture, [cat, bold])
    await job.add("file:///photographs/b/cat.jpg", plain(shade=200), [cat])
    await job.add("file:///photographs/wall.jpg", plain(90, 130), [])
    await job.quarantine("file:///photographs/broken.jpg", ReasonCode.TRUNCATED, "image file is truncated (3 bytes)")
    return job
