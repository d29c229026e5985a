"""A difference as one JSON document: what ``watson diff --json`` prints and ``diff.json`` holds."""

from __future__ import annotations

from typing import Any

from watson.compare.difference import Difference
from watson.compare.matching import LEAST_IOU, SAME_IOU, Kind
from watson.compare.pictures import Compared
from watson.storage.catalogue import JobRow

__all__ = ["FORMAT", "to_json"]

FORMAT = "watson-diff/1"
_DIGITS = 4


def to_json(found: Difference) -> dict[str, Any]:
    """The document. Categories with the most masks come first."""
    categories = sorted(found.categories.items(), key=lambda item: (-(item[1].before + item[1].after), item[0]))
    return {
        "format": FORMAT,
        "before": _job(found.before),
        "after": _job(found.after),
        "thresholds": {"least_iou": LEAST_IOU, "same_iou": SAME_IOU},
        "images": {name: found.images[name] for name in ("both", "same", "replaced", "only_before", "only_after")},
        "masks": {kind.value: found.masks[kind] for kind in Kind},
        "disagreement": round(found.disagreement, _DIGITS),
        "categories": {
            name: {
                "before": counts.before,
                "after": counts.after,
                "unchanged": counts.unchanged,
                "changed_shape": counts.shape,
                "became_another": counts.became,
                "was_another": counts.was,
                "gained": counts.gained,
                "lost": counts.lost,
                "quality": round(counts.quality, _DIGITS),
            }
            for name, counts in categories
        },
        "renamed": [
            {"before": old, "after": new, "masks": number} for (old, new), number in found.renamed.most_common()
        ],
        "largest": [_image(one) for one in found.largest],
    }


def _job(row: JobRow) -> dict[str, Any]:
    return {"job": row.job.job, "dataset": row.job.dataset, "model": row.job.model, "state": row.job.state}


def _image(one: Compared) -> dict[str, Any]:
    if one.before is None or one.after is None or one.pairs is None:
        raise ValueError("only pictures that were compared are among the largest")
    return {
        "uri": one.after.original.uri,
        "image_key": str(one.after.image_key),
        "disagreement": round(one.disagreement, _DIGITS),
        "masks": [
            {
                "kind": pair.kind.value,
                "before": None if pair.before is None else str(one.before.masks[pair.before].mask_id),
                "after": None if pair.after is None else str(one.after.masks[pair.after].mask_id),
                "iou": round(pair.iou, _DIGITS),
            }
            for pair in one.pairs
        ],
    }
