"""Rows as JSON documents: what the API answers, and what the pages show."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from watson.events import ImageCatalogued, ModelEvaluated, ModelRegistered
from watson.storage.catalogue import DeadLetterRow, JobRow
from watson.web.flow.board import JobPace
from watson.web.flow.documents import pace_document

__all__ = ["STAGE_ORDER", "dead_letter_document", "image_document", "job_document", "model_document"]

STAGE_ORDER = ("discovered", "preprocessed", "segmented", "catalogued", "quarantined")

_ENDED = {"complete", "cancelled", "failed"}
_UNFINISHED = {"listing", "paused"}
_EXCERPT_BYTES = 400


def job_document(row: JobRow, at: datetime, pace: JobPace) -> dict[str, Any]:
    """A job with its counts.

    ``expected`` is what the bars are measured against: the distinct images known so far. ``seconds`` runs from the
    submission to the end or to now; ``rate`` is images that ended (catalogued or quarantined) a second over all of it,
    and ``now`` tells of the last minutes.
    """
    job = row.job
    counts = {stage: row.counts.get(stage, 0) for stage in STAGE_ORDER}
    done = counts["catalogued"] + counts["quarantined"]
    seconds = max(0.0, ((job.time if job.state in _ENDED else at) - row.submitted_at).total_seconds())
    return {
        "job": job.job,
        "dataset": job.dataset,
        "state": job.state,
        "message": job.message,
        "model": job.model,
        "source": job.source.model_dump(mode="json"),
        "options": job.options.model_dump(mode="json"),
        "submitted_at": row.submitted_at,
        "changed_at": job.time,
        "listed": job.listed,
        "expected": max(counts["discovered"], job.listed if job.state in _UNFINISHED else 0),
        "counts": counts,
        "in_flight": row.in_flight,
        "seconds": seconds,
        "rate": done / seconds if seconds else 0.0,
        "now": pace_document(pace, row.in_flight, job.state),
        "links": {"page": f"/jobs/{quote(job.job, safe='')}", "self": f"/api/v1/jobs/{quote(job.job, safe='')}"},
    }


def image_document(event: ImageCatalogued) -> dict[str, Any]:
    """An image with its masks and its provenance."""
    page = f"/jobs/{quote(event.job, safe='')}/images/{event.image_key}"
    return {
        **event.model_dump(mode="json"),
        "links": {
            "self": f"/api/v1{page}",
            "page": page,
            "picture": f"{page}/picture",
            "overlay": f"{page}/overlay.png",
            "masks": f"{page}/masks.json",
            "thumbnail": f"{page}/thumbnail.jpg",
        },
    }


def dead_letter_document(row: DeadLetterRow) -> dict[str, Any]:
    """A dead letter, with the start of the record that failed."""
    event, failed = row.event, row.event.failed
    value = failed.value or b""
    return {
        "id": event.id,
        "job": event.job,
        "image_key": event.image_key,
        "uri": event.uri,
        "stage": event.stage,
        "reason": event.reason.value,
        "message": event.message,
        "attempts": event.attempts,
        "resolved": row.resolved,
        "time": event.time,
        "code_version": event.code_version,
        "record": {
            "topic": failed.topic,
            "partition": failed.partition,
            "offset": failed.offset,
            "key": None if failed.key is None else failed.key.decode("utf-8", "replace"),
            "size": len(value),
            "cut": failed.cut,
            "excerpt": value[:_EXCERPT_BYTES].decode("utf-8", "replace"),
        },
    }


def model_document(event: ModelRegistered, evaluations: Sequence[ModelEvaluated]) -> dict[str, Any]:
    """A model version; categories by number of them alone would hide what the model can see, so all are named."""
    evaluated = [
        {"dataset": one.dataset, "images": one.images, "metrics": one.metrics, "time": one.time} for one in evaluations
    ]
    return {**event.model_dump(mode="json"), "reference": event.key, "evaluations": evaluated}
