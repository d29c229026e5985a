"""Events as a catalogue gets them, made from little."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

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
    ModelWithdrawn,
    Normalised,
    Original,
    Source,
    image_key,
    mask_id,
    segmentation_id,
)

NOON = datetime(2026, 3, 14, 12, 0, 0, 123_456, tzinfo=UTC)
SHA = "0123456789abcdef" * 4


def at(microseconds: int) -> datetime:
    """So many microseconds after noon."""
    return NOON + timedelta(microseconds=microseconds)


def catalogued(
    job: str, name: str, categories: tuple[str, ...] = ("cat",), *, time: datetime = NOON, model: str = "m@1"
) -> ImageCatalogued:
    """The image ``name`` with one mask of each of the categories."""
    key = image_key(f"file:///{name}")
    segmentation = segmentation_id(key, SHA, "1-1024", model)
    masks = tuple(
        MaskRecord(
            index=index,
            category_id=index,
            category=category,
            score=0.1 + 0.2,
            area=10,
            box=(0.5, 1 / 3, 3, 4),
            mask_id=mask_id(segmentation, index),
        )
        for index, category in enumerate(categories)
    )
    return ImageCatalogued(
        time=time,
        job=job,
        image_key=key,
        dataset="animals",
        original=Original(uri=f"file:///{name}", size=5, sha256=SHA, width=20, height=10, format="JPEG"),
        normalised=Normalised(object=f"preprocessed/{SHA}.jpg", sha256=SHA, width=20, height=10, version="1-1024"),
        model=model,
        weights_sha256=SHA,
        segmentation_id=segmentation,
        masks_object=f"masks/{segmentation}.json.gz",
        masks_sha256=SHA,
        masks=masks,
        rejected=1,
        code_version="0.1.0",
        segmented_at=time,
    )


def quarantined(job: str | None, name: str, **changes: Any) -> ImageQuarantined:
    """A dead letter of the image ``name``; with job None, of a record that could not be decoded."""
    fields: dict[str, Any] = {
        "time": NOON,
        "job": job,
        "image_key": None if job is None else image_key(f"file:///{name}"),
        "stage": "preprocess",
        "reason": ReasonCode.TRUNCATED,
        "message": "the file ends early",
        "failed": FailedRecord(
            topic=f"image-discovered-{name}", partition=1, offset=2, key=b"\x00\xff", value=b"\xfe\x00'\"", headers=()
        ),
        "attempts": 1,
        "code_version": "0.1.0",
    }
    return ImageQuarantined(**{**fields, **changes})


def changed(job: str, **changes: Any) -> JobChanged:
    """A job that lists a directory."""
    fields: dict[str, Any] = {
        "time": NOON,
        "job": job,
        "dataset": "animals",
        "source": Source(kind="directory", uri="/photos"),
        "model": "m@1",
        "options": JobOptions(),
        "state": "listing",
        "listed": 3,
    }
    return JobChanged(**{**fields, **changes})


def evaluated(name: str, model_version: str, dataset: str, **changes: Any) -> ModelEvaluated:
    """How a model did on a dataset of ten images."""
    fields: dict[str, Any] = {
        "time": NOON,
        "name": name,
        "model_version": model_version,
        "dataset": dataset,
        "images": 10,
        "metrics": {"mean_iou": 1 / 3},
    }
    return ModelEvaluated(**{**fields, **changes})


def withdrawn(name: str, model_version: str, *, time: datetime = NOON) -> ModelWithdrawn:
    """The end of a model version."""
    return ModelWithdrawn(time=time, name=name, model_version=model_version)


def registered(name: str, model_version: str, **changes: Any) -> ModelRegistered:
    """A model of two categories."""
    fields: dict[str, Any] = {
        "time": NOON,
        "name": name,
        "model_version": model_version,
        "model_kind": "test-threshold",
        "weights_sha256": SHA,
        "categories": ("cat", "dog"),
        "metrics": {"iou": 1 / 3},
    }
    return ModelRegistered(**{**fields, **changes})


def found(
    job: str, name: str, *masks: tuple[str, float, int], time: datetime = NOON, model: str = "m@1", rejected: int = 0
) -> ImageCatalogued:
    """The image ``name``, 20 × 10 pixels, with masks of a category, a score and an area in pixels, all in one place."""
    event = catalogued(job, name, tuple(category for category, _, _ in masks), time=time, model=model)
    changed = tuple(
        mask.model_copy(update={"score": score, "area": area})
        for mask, (_, score, area) in zip(event.masks, masks, strict=True)
    )
    return event.model_copy(update={"masks": changed, "rejected": rejected})
