"""Deterministic identity: doing a thing twice yields the same ids, the same bytes, the same rows.

All ids are UUID version 5 (RFC 9562, section 5.5) in one namespace of Watson's own. The parts of a name are joined by
a unit separator (U+001F) after escaping, so that no two different lists of parts make the same name.
"""

from __future__ import annotations

from uuid import NAMESPACE_URL, UUID, uuid5

__all__ = ["NAMESPACE", "event_id", "image_key", "mask_id", "name_id", "segmentation_id"]

NAMESPACE = uuid5(NAMESPACE_URL, "https://watson.invalid/ids/v1")
_SEPARATOR = "\x1f"


def name_id(kind: str, *parts: str) -> UUID:
    """Return the UUIDv5 of ``kind`` and ``parts``; distinct lists of parts give distinct names."""
    escaped = (part.replace("\\", "\\\\").replace(_SEPARATOR, "\\u") for part in (kind, *parts))
    return uuid5(NAMESPACE, _SEPARATOR.join(escaped))


def image_key(uri: str) -> UUID:
    """Identity of a picture: where it comes from. Two jobs over one bucket share their image keys."""
    return name_id("image", uri)


def event_id(job: str, image: UUID, stage: str, *depends_on: str) -> UUID:
    """Identity of what a stage says of one image of one job, and of all that the stage's result depends on."""
    return name_id("event", job, str(image), stage, *depends_on)


def segmentation_id(image: UUID, sha256: str, preprocessing: str, model: str) -> UUID:
    """Identity of the masks of one picture by one model; the same for every job, so that jobs share the work.

    Args:
        image: the image key.
        sha256: of the original file, hexadecimal: a picture that was replaced in place is another picture.
        preprocessing: version of the preprocessing with its settings, for example ``1-1024``.
        model: ``name@version`` where the version is derived from the weights' sha256 and the configuration.
    """
    return name_id("segmentation", str(image), sha256, preprocessing, model)


def mask_id(segmentation: UUID, index: int) -> UUID:
    """Identity of one instance mask: its place (from 0) in its segmentation."""
    return name_id("mask", str(segmentation), str(index))
