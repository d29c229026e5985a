"""A site to look at: real pictures, masks and rows in a directory and an SQLite file, served by Faust."""

from __future__ import annotations

import hashlib
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import faust
import numpy as np
from aiohttp import ClientSession, CookieJar
from PIL import Image

from tests.services.places import free_port
from tests.web.described import answers_checked
from watson.errors import ReasonCode
from watson.events import (
    FailedRecord,
    ImageCatalogued,
    ImageQuarantined,
    JobChanged,
    JobOptions,
    MaskRecord,
    ModelEvaluated,
    ModelRegistered,
    Normalised,
    Original,
    Source,
    image_key,
    mask_id,
    segmentation_id,
)
from watson.model.masks import encode_masks
from watson.model.segmenter import Instance, ModelInfo, Segmentation
from watson.settings import Settings
from watson.storage.catalogue import StageCount
from watson.storage.directory import DirectoryObjectStore
from watson.storage.sqlite import SqliteCatalogue
from watson.web.site import mount_site

NO_BROKER = "127.0.0.1:1"
"""Where nobody listens."""

START = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)
WEIGHTS = hashlib.sha256(b"weights").hexdigest()


@dataclass(frozen=True)
class Scene:
    """The stores behind a site."""

    catalogue: SqliteCatalogue
    objects: DirectoryObjectStore

    async def add_job(self, job: str, state: str = "complete", *, seconds: float = 100, **counts: int) -> JobChanged:
        event = JobChanged(
            time=START + timedelta(seconds=seconds),
            job=job,
            dataset="animals",
            source=Source(kind="directory", uri="/photographs"),
            model="painted@0123456789ab",
            options=JobOptions(),
            state=state,
            listed=counts.get("discovered", 0),
        )
        await self.catalogue.put_job(event)
        await self.catalogue.put_submitted(job, START)
        for stage, count in counts.items():
            await self.catalogue.put_count(StageCount(job=job, stage=stage, partition=0, count=count, time=START))
        return event

    async def add_image(
        self, job: str, uri: str, pixels: np.ndarray, instances: Sequence[Instance], *, suffix: str = "png",
        version: str = "0123456789ab",
    ) -> ImageCatalogued:  # fmt: skip
        """A picture, (H, W, 3) uint8, with its masks."""
        height, width = pixels.shape[:2]
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, {"png": "PNG", "jpg": "JPEG"}[suffix], quality=95)
        picture, original = out.getvalue(), hashlib.sha256(uri.encode()).hexdigest()
        key, sha256 = image_key(uri), hashlib.sha256(out.getvalue()).hexdigest()
        info = ModelInfo("painted", version, "painted", WEIGHTS, ("cat", "dog"))
        segmentation = segmentation_id(key, original, "1-1024", info.reference)
        file, masks = encode_masks(
            Segmentation(tuple(instances)),
            info,
            segmentation_id=segmentation,
            picture_sha256=sha256,
            width=width,
            height=height,
        )
        event = ImageCatalogued(
            time=START,
            job=job,
            image_key=key,
            dataset="animals",
            original=Original(uri=uri, size=1234, sha256=original, width=width * 2, height=height * 2, format="JPEG"),
            normalised=Normalised(
                object=f"preprocessed/1-1024/{original}.{suffix}",
                sha256=sha256,
                width=width,
                height=height,
                version="1-1024",
            ),
            model=info.reference,
            weights_sha256=WEIGHTS,
            segmentation_id=segmentation,
            masks_object=f"masks/{segmentation}.json.gz",
            masks_sha256=hashlib.sha256(masks).hexdigest(),
            masks=tuple(
                MaskRecord(**mask.model_dump(), mask_id=mask_id(segmentation, mask.index)) for mask in file.summaries
            ),
            rejected=1,
            code_version="0.1.0",
            segmented_at=START,
        )
        await self.objects.put(event.normalised.object, picture)
        await self.objects.put(event.masks_object, masks)
        await self.catalogue.put_image(event)
        return event

    async def add_dead_letter(
        self, job: str | None, uri: str, *, reason: ReasonCode = ReasonCode.TRUNCATED, message: str = "it ends early",
        resolved: bool = False, offset: int | None = 7, value: bytes = b'{"job": "j"}', cut: bool = False,
        stage: str = "preprocess", topic: str = "image-discovered",
    ) -> ImageQuarantined:  # fmt: skip
        event = ImageQuarantined(
            time=START,
            job=job,
            image_key=None if job is None else image_key(uri),
            uri=None if job is None else uri,
            stage=stage,
            reason=reason,
            message=message,
            failed=FailedRecord(topic=topic, partition=3, offset=offset, key=b"k\xff", value=value, cut=cut),
            attempts=1,
            code_version="0.1.0",
        )
        await self.catalogue.put_dead_letter(event, resolved=resolved)
        return event

    async def add_model(self, name: str, categories: tuple[str, ...], *, on: str | None = None) -> None:
        """A model and, with ``on``, how it did on that dataset."""
        await self.catalogue.put_model(
            ModelRegistered(
                time=START,
                name=name,
                model_version="0123456789ab",
                model_kind="painted",
                weights_sha256=WEIGHTS,
                categories=categories,
                licence="Apache-2.0",
                description="Paints rectangles.",
                configuration={"brush": {"width": 3}},
                metrics={"iou": 0.75},
                base="white canvas",
                dataset="nursery",
            )
        )
        if on is not None:
            metrics = {"mean_iou": 0.4444, **{f"iou/{category}": 0.5 for category in categories}}
            await self.catalogue.put_evaluation(
                ModelEvaluated(
                    time=START, name=name, model_version="0123456789ab", dataset=on, images=1234, metrics=metrics
                )
            )


def rectangle(
    shape: tuple[int, int], rows: slice, columns: slice, *, category: str = "cat", score: float = 0.9
) -> Instance:
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return Instance(0 if category == "cat" else 1, category, score, mask)


@asynccontextmanager
async def open_scene(directory: Path) -> AsyncIterator[Scene]:
    scene = Scene(SqliteCatalogue(directory / "catalogue.db"), DirectoryObjectStore(directory / "objects"))
    await scene.catalogue.migrate()
    await scene.catalogue.open()
    await scene.objects.open()
    try:
        yield scene
    finally:
        await scene.catalogue.close()
        await scene.objects.close()


def plain_app(settings: Settings) -> faust.App:
    """A Faust app with Faust's own defaults but for the address: all that it would expose is on."""
    return faust.App(
        "test-web", broker="kafka://127.0.0.1:1", store="memory://", autodiscover=False, debug=True,
        web_bind=settings.web_host, web_host=settings.web_host, web_port=settings.web_port,
    )  # fmt: skip


@asynccontextmanager
async def serving(app: faust.App) -> AsyncIterator[ClientSession]:
    """The app's own web server, as a worker starts it, and a client of it."""
    app.web.init_server()
    await app.web.start_server()
    try:
        async with ClientSession(
            f"http://127.0.0.1:{app.conf.web_port}",
            cookie_jar=CookieJar(unsafe=True),  # aiohttp's word for cookies of addresses that are no names
            trace_configs=[answers_checked()],
        ) as client:
            yield client
    finally:
        await app.web.stop_server()


@asynccontextmanager
async def site(scene: Scene, **changes: object) -> AsyncIterator[ClientSession]:
    settings = Settings(**{"web_port": free_port(), "brokers": NO_BROKER, **changes})
    app = plain_app(settings.model_copy(update={"web_host": "127.0.0.1"}))  # whatever the site is told
    mount_site(app, scene.catalogue, scene.objects, settings)
    async with serving(app) as client:
        yield client
