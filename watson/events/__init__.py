"""What happened: frozen models, versions, upcasts, ids, the wire form. Imports nothing of Watson's but errors."""

from watson.events.codec import FIRST_OFFSET, REDRIVE, REPAIR, RETRY, Record, decode, encode, encode_value, headers_of
from watson.events.event import Box, Event, ImageEvent, JobEvent, now
from watson.events.ids import event_id, image_key, mask_id, name_id, segmentation_id
from watson.events.image import (
    ImageCatalogued,
    ImageDiscovered,
    ImagePreprocessed,
    ImageSegmented,
    MaskRecord,
    MaskSummary,
    Normalised,
    Original,
    Stage,
)
from watson.events.job import JobChanged, JobState, PartitionProgressed, RetryRequested
from watson.events.manifest import (
    DEFAULT_MODEL,
    JobCancelled,
    JobOptions,
    JobPaused,
    JobResumed,
    ManifestSubmitted,
    Rules,
    Source,
)
from watson.events.model import ModelEvaluated, ModelRegistered, ModelWithdrawn
from watson.events.quarantine import FailedRecord, ImageQuarantined
from watson.events.topics import CHAIN, EVENT_TYPES, TOPICS, TopicSpec
from watson.events.training import TrainingEnded, TrainingOptions, TrainingRequested

__all__ = [
    "CHAIN",
    "DEFAULT_MODEL",
    "EVENT_TYPES",
    "FIRST_OFFSET",
    "REDRIVE",
    "REPAIR",
    "RETRY",
    "TOPICS",
    "Box",
    "Event",
    "FailedRecord",
    "ImageCatalogued",
    "ImageDiscovered",
    "ImageEvent",
    "ImagePreprocessed",
    "ImageQuarantined",
    "ImageSegmented",
    "JobCancelled",
    "JobChanged",
    "JobEvent",
    "JobOptions",
    "JobPaused",
    "JobResumed",
    "JobState",
    "ManifestSubmitted",
    "MaskRecord",
    "MaskSummary",
    "ModelEvaluated",
    "ModelRegistered",
    "ModelWithdrawn",
    "Normalised",
    "Original",
    "PartitionProgressed",
    "Record",
    "RetryRequested",
    "Rules",
    "Source",
    "Stage",
    "TopicSpec",
    "TrainingEnded",
    "TrainingOptions",
    "TrainingRequested",
    "decode",
    "encode",
    "encode_value",
    "event_id",
    "headers_of",
    "image_key",
    "mask_id",
    "name_id",
    "now",
    "segmentation_id",
]
