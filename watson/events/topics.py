"""The one table of topics: what is in each, how it is partitioned and kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from watson.events.event import Event
from watson.events.image import ImageCatalogued, ImageDiscovered, ImagePreprocessed, ImageSegmented
from watson.events.job import JobChanged, PartitionProgressed, RetryRequested
from watson.events.manifest import JobCancelled, JobPaused, JobResumed, ManifestSubmitted
from watson.events.model import ModelEvaluated, ModelRegistered, ModelWithdrawn
from watson.events.quarantine import ImageQuarantined
from watson.events.training import TrainingEnded, TrainingRequested

__all__ = ["CHAIN", "EVENT_TYPES", "TOPICS", "TopicSpec"]

_FOREVER_MS = -1
_NO_LIMIT = "-1"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic. All have the same number of partitions (a setting), so that tables are co-partitioned.

    The first of ``events`` is what a record without CloudEvents headers is taken for.
    """

    name: str
    events: tuple[type[Event], ...]
    written_by: str
    cleanup: Literal["delete", "compact"] = "delete"
    retention_ms: int = _FOREVER_MS
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> dict[str, str]:
        """Kafka's topic configuration. A broker may have limits of its own for what does not state them."""
        return {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention_ms),
            "retention.bytes": _NO_LIMIT,
            **self.extra,
        }


# The log is the truth: nothing expires unless an operator says so (docs/operations.md says what each choice costs).
TOPICS: dict[str, TopicSpec] = {
    spec.name: spec
    for spec in (
        TopicSpec("manifests", (ManifestSubmitted, JobCancelled, JobPaused, JobResumed), "the user"),
        TopicSpec("jobs", (JobChanged, PartitionProgressed, RetryRequested), "discover"),
        TopicSpec("image-discovered", (ImageDiscovered,), "discover"),
        TopicSpec("preprocessed", (ImagePreprocessed,), "preprocess"),
        TopicSpec("segmented", (ImageSegmented,), "segment"),
        TopicSpec("catalogued", (ImageCatalogued,), "catalogue"),
        TopicSpec("dead-letters", (ImageQuarantined,), "any stage"),
        TopicSpec(
            "models",
            (ModelRegistered, ModelWithdrawn, ModelEvaluated),
            "watson models, watson train, watson evaluate; discover, of the models that Watson brings",
            cleanup="compact",
        ),
        TopicSpec("trainings", (TrainingRequested, TrainingEnded), "watson train --submit; train"),
    )
}

CHAIN = ("image-discovered", "preprocessed", "segmented", "catalogued")
"""The image chain, in order."""

EVENT_TYPES: dict[tuple[str, str], type[Event]] = {
    (spec.name, event.kind): event for spec in TOPICS.values() for event in spec.events
}
