"""The evidence of a run in which nothing went wrong, made by hand, for the oracle's own tests to plant errors in."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import uuid
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from tests.chaos.evidence import Evidence, LogRecord
from tests.chaos.pictures import Expected, Sources, make_sources
from tests.chaos.truth import regions

__all__ = ["flawless"]

_TIME = "2026-03-14T12:00:00Z"


def flawless(folder: Path, number: int = 12) -> tuple[Sources, Evidence]:
    """Three small jobs, and what is to be seen when all went well."""
    sources = make_sources(number, "bucket", folder)
    evidence = Evidence([], {name: [] for name in ("jobs", "job_counts", "images", "masks")})
    evidence.rows |= {"dead_letters": [], "dead_letters_by_reason": []}
    for job in sources.jobs:
        _job(job, sources, evidence)
    return sources, evidence


def _job(job: Expected, sources: Sources, evidence: Evidence) -> None:
    for uri, wanted in job.ends.items():
        about = {"dataset": job.dataset, "model": f"{job.model}@0123456789ab"}
        head = {"time": _TIME, "job": job.job, "image_key": _id(uri), **about}
        original: dict[str, Any] = {"uri": uri, "format": "PNG"}
        discovered = _record(
            evidence, "image-discovered", {**head, "original": original, "index": job.entries.index(uri)}
        )
        if wanted:
            _quarantined(evidence, head, uri, min(wanted), discovered)
        else:
            original["sha256"] = hashlib.sha256(sources.originals[uri]).hexdigest()
            _catalogued(evidence, {**head, "original": original}, sources.originals[uri])
    state = {"time": _TIME, "job": job.job, "state": "complete", "listed": len(job.entries), "message": ""}
    _record(evidence, "jobs", state)
    shard = zlib.crc32(job.job.encode()) % 16
    evidence.rows["jobs"].append({"shard": shard, "job": job.job, "event": _stored(state)})
    good = sum(not end for end in job.ends.values())
    for stage, count in {"discovered": len(job.ends), "quarantined": len(job.ends) - good}.items():
        evidence.rows["job_counts"].append({"job": job.job, "stage": stage, "partition": 0, "count": count})
    for stage in ("preprocessed", "segmented", "catalogued"):
        evidence.rows["job_counts"].append({"job": job.job, "stage": stage, "partition": 0, "count": good})


def _catalogued(evidence: Evidence, head: dict[str, Any], original: bytes) -> None:
    with Image.open(io.BytesIO(original)) as image:
        pixels = np.asarray(image.convert("RGB"))
        head["original"] |= {"format": image.format, "width": image.width, "height": image.height}
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    masks = [_mask(index, *region) for index, region in enumerate(regions(pixels))]
    stored = gzip.compress(json.dumps({"masks": masks}).encode(), mtime=0)  # jobs share it: the same each time
    names = {f"preprocessed/{head['image_key']}.png": out.getvalue(), f"masks/{head['image_key']}.json.gz": stored}
    evidence.objects.update(names)
    picture, file = names
    _record(evidence, "preprocessed", head)
    _record(evidence, "segmented", head)
    entered = [
        {
            **{name: mask[name] for name in ("index", "category", "score", "area", "box")},
            "mask_id": _id(f"{file}{mask['index']}"),
        }
        for mask in masks
        if mask["score"] >= 0.1
    ]
    event = {
        **head,
        "normalised": {
            "object": picture,
            "sha256": hashlib.sha256(names[picture]).hexdigest(),
            "width": pixels.shape[1],
            "height": pixels.shape[0],
        },
        "masks_object": file,
        "masks_sha256": hashlib.sha256(stored).hexdigest(),
        "masks": entered,
    }
    _record(evidence, "catalogued", event)
    key = uuid.UUID(head["image_key"])
    place = {"job": head["job"], "bucket": key.bytes[0], "image_key": key}
    evidence.rows["images"].append({**place, "event": _stored(event)})
    for mask in entered:
        row = {**place, "category": mask["category"], "mask_index": mask["index"]}
        evidence.rows["masks"].append({**row, "mask": json.dumps(mask)})


def _mask(index: int, category: str, share: float, pixels: Any) -> dict[str, Any]:
    rle = coco.encode(np.asfortranarray(pixels, dtype=np.uint8))
    encoding = {"size": rle["size"], "counts": rle["counts"].decode()}
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    box = [int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]
    said = {"index": index, "category": category, "score": round(share, 4), "area": int(pixels.sum())}
    return {**said, "box": box, "rle": encoding}


def _quarantined(evidence: Evidence, head: dict[str, Any], uri: str, reason: str, failed: LogRecord) -> None:
    kept = {
        "topic": failed.topic,
        "partition": failed.partition,
        "offset": failed.offset,
        "key": _base64(failed.key),
        "value": _base64(failed.value),
        "headers": [[name, _base64(value)] for name, value in failed.headers],
    }
    event = {**head, "uri": uri, "reason": reason, "failed": kept}
    record = _record(evidence, "dead-letters", event)
    id_ = uuid.UUID(record.header("ce_id"))
    place = {"job": head["job"], "bucket": id_.bytes[0], "id": id_}
    evidence.rows["dead_letters"].append({**place, "resolved": False, "event": _stored(event)})
    evidence.rows["dead_letters_by_reason"].append({**place, "reason": reason})


def _record(evidence: Evidence, topic: str, event: dict[str, Any]) -> LogRecord:
    id_ = _id(f"{topic} {event['job']} {event.get('image_key')}").encode()
    record = LogRecord(topic, 0, len(evidence.log), b"key", json.dumps(event).encode(), (("ce_id", id_),))
    evidence.log.append(record)
    return record


def _id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def _stored(event: dict[str, Any]) -> str:
    return json.dumps({"version": 1, "data": event})


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()
