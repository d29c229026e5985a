"""One example of each event, every field filled, with values that never change."""

from __future__ import annotations

from datetime import UTC, datetime

from watson.errors import ReasonCode
from watson.events import (
    Event,
    FailedRecord,
    ImageCatalogued,
    ImageDiscovered,
    ImagePreprocessed,
    ImageQuarantined,
    ImageSegmented,
    JobCancelled,
    JobChanged,
    JobOptions,
    JobPaused,
    JobResumed,
    ManifestSubmitted,
    MaskRecord,
    MaskSummary,
    ModelEvaluated,
    ModelRegistered,
    ModelWithdrawn,
    Normalised,
    Original,
    PartitionProgressed,
    RetryRequested,
    Rules,
    Source,
    TrainingEnded,
    TrainingOptions,
    TrainingRequested,
    image_key,
    mask_id,
    segmentation_id,
)

TIME = datetime(2026, 3, 14, 15, 9, 26, 535897, tzinfo=UTC)
JOB = "holiday-2026"
URI = "s3://photos/2026/küste/IMG_0001.jpg"
SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
PICTURE_SHA = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
WEIGHTS_SHA = "fd61a03af4f77d870fc21e05e7e80678095c92d808cfb3b5c279ee04c74aca13"
MASKS_SHA = "a4e624d686e03ed2767c0abd85c14426b0b1157d2ce81d27bb4fe4f6f01d688a"
MODEL = "efficientnet-lite0-cam@0123456789ab"

KEY = image_key(URI)
SEGMENTATION = segmentation_id(KEY, SHA, "1-1024", MODEL)
OPTIONS = JobOptions(
    long_side=1024, rules=Rules(least_score=0.25, least_area=0.01, categories=("tabby", "beagle")), weight=2.5
)
SOURCE = Source(kind="open-images", uri="s3://lists/ids.csv", template="s3://open-images-dataset/{subset}/{id}.jpg")
FOUND = Original(uri=URI, size=345_678, etag="5d41402abc4b2a76b9719d911017c592")
ORIGINAL = FOUND.model_copy(update={"sha256": SHA, "width": 4000, "height": 3000, "format": "JPEG"})
NORMALISED = Normalised(
    object=f"preprocessed/1-1024/{SHA}.jpg", sha256=PICTURE_SHA, width=1024, height=768, version="1-1024"
)
MASK = MaskSummary(
    index=0, category_id=281, category="tabby", score=0.875, area=123_456, box=(10.0, 20.5, 300.0, 400.0)
)
MASKS_OBJECT = f"masks/{SEGMENTATION}.json.gz"
FAILED = FailedRecord(
    topic="image-discovered",
    partition=3,
    offset=4711,
    key=str(KEY).encode(),
    value=b'{"not": "an event"}\xff',
    headers=(("ce_type", b"watson.image-discovered.v1"),),
    cut=True,
)
_IMAGE = {"time": TIME, "job": JOB, "image_key": KEY, "dataset": "coast"}

EXAMPLES: dict[str, Event] = {
    event.kind: event
    for event in (
        ManifestSubmitted(time=TIME, job=JOB, dataset="coast", source=SOURCE, model=MODEL, options=OPTIONS),
        JobCancelled(time=TIME, job=JOB),
        JobPaused(time=TIME, job=JOB, resumes=1),
        JobResumed(time=TIME, job=JOB, resumes=1, retry=False),
        JobChanged(
            time=TIME, job=JOB, dataset="coast", source=SOURCE, model=MODEL, options=OPTIONS,
            state="failed", listed=42, message="the list has no column uri", resumes=2,
            submitted_at=TIME,
        ),
        PartitionProgressed(
            time=TIME, job=JOB, partition=5, listed=101, discovered=100, catalogued=90, quarantined=4, accused=3,
            retried=2, round=1, accusation="segment: model-failed: the model raised RuntimeError: no device",
            owner=1_773_500_966_535,
        ),
        RetryRequested(time=TIME, job=JOB, partition=5, round=1),
        ImageDiscovered(**_IMAGE, original=FOUND, within="file:///photos", index=17, model=MODEL, options=OPTIONS),
        ImagePreprocessed(**_IMAGE, original=ORIGINAL, normalised=NORMALISED, model=MODEL, options=OPTIONS),
        ImageSegmented(
            **_IMAGE, original=ORIGINAL, normalised=NORMALISED, model=MODEL, weights_sha256=WEIGHTS_SHA,
            segmentation_id=SEGMENTATION, masks_object=MASKS_OBJECT, masks_sha256=MASKS_SHA, masks=(MASK,),
            options=OPTIONS,
        ),
        ImageCatalogued(
            **_IMAGE, original=ORIGINAL, normalised=NORMALISED, model=MODEL, weights_sha256=WEIGHTS_SHA,
            segmentation_id=SEGMENTATION, masks_object=MASKS_OBJECT, masks_sha256=MASKS_SHA,
            masks=(MaskRecord(**MASK.model_dump(), mask_id=mask_id(SEGMENTATION, 0)),),
            rejected=2, code_version="0.1.0", segmented_at=TIME,
        ),
        ImageQuarantined(
            time=TIME, job=JOB, image_key=KEY, uri=URI, stage="preprocess", reason=ReasonCode.TRUNCATED,
            message="the JPEG ends too early: upload it again", failed=FAILED, attempts=3, code_version="0.1.0",
        ),
        ModelRegistered(
            time=TIME, name="efficientnet-lite0-cam", model_version="0123456789ab",
            model_kind="efficientnet-lite0-cam", weights_sha256=WEIGHTS_SHA, categories=("tabby", "beagle"),
            licence="Apache-2.0", description="class activation maps, refined", metrics={"top1": 0.85},
            weights_size=13_000_000, configuration={"areas": [288, 416], "foreground": {"side": 256}, "smooth": True},
            base="efficientnet_lite0", dataset="0123456789ab",
        ),
        TrainingRequested(
            time=TIME, training="street-1", name="street", base="efficientnet_lite0", snapshot=SHA,
            options=TrainingOptions(side=320, epochs=40, held_out=0.25, seed=7),
        ),
        TrainingEnded(
            time=TIME, training="street-1", state="complete", model="street@0123456789ab",
            metrics={"mean_iou": 0.444}, message="said",
        ),
        ModelWithdrawn(time=TIME, name="efficientnet-lite0-cam", model_version="0123456789ab"),
        ModelEvaluated(
            time=TIME, name="efficientnet-lite0-cam", model_version="0123456789ab", dataset="0123456789ab",
            images=200, metrics={"mean_iou": 0.444, "iou/tabby": 0.5},
        ),
    )
}  # fmt: skip

OLD: dict[tuple[str, int], Event] = {
    ("image-discovered", 1): EXAMPLES["image-discovered"].model_copy(update={"within": None}),
    ("partition-progressed", 1): EXAMPLES["partition-progressed"].model_copy(
        update={"accused": 0, "retried": 0, "round": 0, "accusation": "", "owner": 0}
    ),
    ("partition-progressed", 2): EXAMPLES["partition-progressed"].model_copy(update={"owner": 0}),
    ("job-changed", 1): EXAMPLES["job-changed"].model_copy(update={"resumes": 0, "submitted_at": None}),
    ("job-changed", 2): EXAMPLES["job-changed"].model_copy(update={"submitted_at": None}),
    ("image-quarantined", 1): EXAMPLES["image-quarantined"].model_copy(
        update={"failed": FAILED.model_copy(update={"cut": False})}
    ),
    ("model-registered", 1): EXAMPLES["model-registered"].model_copy(
        update={"weights_size": 0, "configuration": {}, "base": "", "dataset": ""}
    ),
}
"""Kind and version → what a golden example decodes to that was written before today's event had all its fields."""
