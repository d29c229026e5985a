"""What a snapshot's hash is made of: one line of canonical JSON an image, after a line that names the dataset.

Nothing of when, where or by whom is in it: no times, no job ids, no version of the code. So the same pictures with the
same masks of the same models are the same bytes, on whatever machine and in whichever job they were made.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from watson.errors import ReasonCode, Refused
from watson.events import ImageCatalogued, MaskRecord
from watson.events.event import Box, Count, Name, Object, Sha256, Short

__all__ = ["FORMAT", "SnapshotHeader", "SnapshotImage", "SnapshotMask", "parse_header", "parse_image"]

FORMAT: Literal["watson-snapshot/1"] = "watson-snapshot/1"


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def line(self) -> bytes:
        """As it is hashed: sorted keys, no spaces, UTF-8, a line feed at the end."""
        document = self.model_dump(mode="json")
        return (json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n").encode()


class SnapshotHeader(_Line):
    """The first line."""

    format: Literal["watson-snapshot/1"] = FORMAT
    dataset: Name


class SnapshotMask(_Line):
    """One instance mask. Its pixels are in the image's ``masks_object``, in place ``index``."""

    mask_id: UUID
    index: Count
    category_id: Count
    category: Short
    score: float = Field(ge=0, le=1)
    area: Count = Field(description="pixels of the normalised picture")
    box: Box = Field(description="x, y, width, height in pixels of the normalised picture")

    @classmethod
    def of(cls, mask: MaskRecord) -> SnapshotMask:
        """The mask as it was catalogued."""
        return cls(**mask.model_dump())


class SnapshotImage(_Line):
    """One picture with the masks that entered the dataset, by reference: objects and what their bytes hash to."""

    image_key: UUID
    uri: Annotated[str, Field(min_length=1, max_length=8192)]
    original_sha256: Sha256 | None = Field(description="of the picture as it was found")
    original_width: Count | None = Field(description="pixels, after EXIF orientation")
    original_height: Count | None
    picture_object: Object = Field(description="key of the normalised picture in the object store")
    picture_sha256: Sha256
    width: Count = Field(ge=1, description="of the normalised picture, pixels")
    height: Count = Field(ge=1)
    masks_object: Object = Field(description="key of the masks, watson-masks/1, in the object store")
    masks_sha256: Sha256
    model: Short = Field(description="name@version")
    weights_sha256: Sha256
    masks: tuple[SnapshotMask, ...] = Field(description="those that entered the dataset, by index")

    @classmethod
    def of(cls, event: ImageCatalogued) -> SnapshotImage:
        """The picture as it was catalogued."""
        masks = sorted(event.masks, key=lambda mask: mask.index)
        return cls(
            image_key=event.image_key,
            uri=event.original.uri,
            original_sha256=event.original.sha256,
            original_width=event.original.width,
            original_height=event.original.height,
            picture_object=event.normalised.object,
            picture_sha256=event.normalised.sha256,
            width=event.normalised.width,
            height=event.normalised.height,
            masks_object=event.masks_object,
            masks_sha256=event.masks_sha256,
            model=event.model,
            weights_sha256=event.weights_sha256,
            masks=tuple(map(SnapshotMask.of, masks)),
        )


def parse_header(line: bytes) -> SnapshotHeader:
    """The first line, read back.

    Raises:
        Refused: ``OBJECT_ALTERED``; it is none, or of a format that this Watson does not know.
    """
    try:
        return SnapshotHeader.model_validate_json(line)
    except ValidationError as exc:
        raise _altered(exc) from exc


def parse_image(line: bytes) -> SnapshotImage:
    """The line of an image, read back.

    Raises:
        Refused: ``OBJECT_ALTERED``; it is none.
    """
    try:
        return SnapshotImage.model_validate_json(line)
    except ValidationError as exc:
        raise _altered(exc) from exc


def _altered(exc: ValidationError) -> Refused:
    first = exc.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or "line"
    return Refused(ReasonCode.OBJECT_ALTERED, f"not a line of a snapshot of {FORMAT}: {where}: {first['msg']}")
