"""The masks of one picture as one object: COCO run-length encodings in gzip JSON. `docs/formats.md` describes it.

The bytes follow from the masks alone (sorted keys, no time stamp, a fixed level of compression), so that segmenting a
picture twice writes the same object twice.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from typing import Literal
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from watson.errors import ReasonCode, Refused
from watson.events import MaskSummary
from watson.model.run_lengths import RunLengths
from watson.model.segmenter import Instance, ModelInfo, Segmentation

__all__ = ["FORMAT", "MAX_BYTES", "MaskFile", "StoredMask", "decode_masks", "encode_masks"]

FORMAT: Literal["watson-masks/1"] = "watson-masks/1"

_LEVEL = 6
_SCORE_DIGITS = 4
MAX_BYTES = 32 * 2**20
"""Of a masks object. Far above any real one, as are the limits below: what is in the store may be forged."""

_MAX_JSON_BYTES = 64 * 2**20
"""What it may become when it is unpacked: stops a bomb."""

_MAX_SIDE = 8192
"""Pixels; no picture is normalised to more (`watson.events.JobOptions.long_side`)."""

_MAX_MASKS = 10_000
_MOST_ERRORS = 1000


class StoredMask(MaskSummary):
    """One instance mask with its pixels."""

    rle: RunLengths

    @property
    def summary(self) -> MaskSummary:
        """Without the pixels: what events carry."""
        return MaskSummary(**self.model_dump(exclude={"rle"}))

    def pixels(self) -> NDArray[np.bool_]:
        """The mask, (H, W) bool, of the normalised picture's size."""
        return np.asarray(coco.decode(self.rle.to_coco())).astype(np.bool_)


class MaskFile(BaseModel):
    """All masks of one picture by one model, best score first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["watson-masks/1"] = FORMAT
    segmentation_id: UUID
    picture_sha256: str = Field(description="of the normalised picture's bytes")
    width: int = Field(ge=1, le=_MAX_SIDE)
    height: int = Field(ge=1, le=_MAX_SIDE)
    model: str = Field(description="name@version")
    weights_sha256: str
    masks: tuple[StoredMask, ...] = Field(max_length=_MAX_MASKS)

    @model_validator(mode="after")
    def _consistent(self) -> MaskFile:
        for place, mask in enumerate(self.masks):
            if mask.index != place:
                raise ValueError(f"mask {mask.index} stands in place {place}")
            if mask.rle.size != (self.height, self.width):
                raise ValueError(f"mask {place} is of {mask.rle.size}, the picture of {(self.height, self.width)}")
            if int(coco.area(mask.rle.to_coco())) != mask.area:
                raise ValueError(f"mask {place} has not the area {mask.area} that it states")
        return self

    @property
    def summaries(self) -> tuple[MaskSummary, ...]:
        """Of each mask, in order."""
        return tuple(mask.summary for mask in self.masks)


def encode_masks(
    segmentation: Segmentation,
    info: ModelInfo,
    *,
    segmentation_id: UUID,
    picture_sha256: str,
    width: int,
    height: int,
) -> tuple[MaskFile, bytes]:
    """Return the masks as they are stored, and the object's bytes.

    Args:
        segmentation: what the model found; each mask (height, width) bool.
        info: the model.
        segmentation_id: of these masks.
        picture_sha256: of the normalised picture's bytes.
        width: of the normalised picture, pixels.
        height: likewise.

    Raises:
        Refused: ``MODEL_FAILED``; a mask has not the picture's size, or a score is not in 0–1.
    """
    file = MaskFile(
        segmentation_id=segmentation_id,
        picture_sha256=picture_sha256,
        width=width,
        height=height,
        model=info.reference,
        weights_sha256=info.weights_sha256,
        masks=tuple(
            _stored(index, instance, (height, width), info) for index, instance in enumerate(segmentation.instances)
        ),
    )
    canonical = json.dumps(file.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return file, _packed(canonical.encode())


def decode_masks(data: bytes) -> MaskFile:
    """Return the masks in a masks object.

    Raises:
        Refused: ``OBJECT_ALTERED``; the bytes are not gzip, not JSON, or not of this format: says which.
    """
    try:
        return MaskFile.model_validate_json(_unpacked(data))
    except ValidationError as exc:
        if exc.error_count() > _MOST_ERRORS:  # to spell out a million takes minutes
            raise Refused(ReasonCode.OBJECT_ALTERED, f"not a masks object of {FORMAT}, in very many places") from exc
        first = exc.errors(include_url=False, include_input=False)[0]
        what = f"{'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}"
        raise Refused(ReasonCode.OBJECT_ALTERED, f"not a masks object of {FORMAT}: {what}") from exc
    except (OSError, EOFError, zlib.error, ValueError) as exc:
        raise Refused(ReasonCode.OBJECT_ALTERED, f"not a masks object: {exc}") from exc


def _stored(index: int, instance: Instance, size: tuple[int, int], info: ModelInfo) -> StoredMask:
    mask = instance.mask
    if mask.shape != size or mask.dtype != np.bool_:
        raise Refused(
            ReasonCode.MODEL_FAILED,
            f"{info.reference} gave a mask of {mask.shape} {mask.dtype} for a picture of {size}, bool expected",
        )
    if not 0 <= instance.score <= 1:  # also false for NaN
        raise Refused(ReasonCode.MODEL_FAILED, f"{info.reference} gave the score {instance.score}, not in 0–1")
    rle = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    x, y, width, height = coco.toBbox(rle).tolist()
    return StoredMask(
        index=index,
        category_id=instance.category_id,
        category=instance.category,
        score=round(float(instance.score), _SCORE_DIGITS),
        area=int(coco.area(rle)),
        box=(x, y, width, height),
        rle=RunLengths(size=size, counts=rle["counts"].decode("ascii")),
    )


def _packed(data: bytes) -> bytes:
    # Not gzip.compress: its header differs between Python versions.
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=out, mtime=0) as file:
        file.write(data)
    return out.getvalue()


def _unpacked(data: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        text = file.read(_MAX_JSON_BYTES + 1)
    if len(text) > _MAX_JSON_BYTES:
        raise ValueError(f"unpacks to more than {_MAX_JSON_BYTES} bytes")
    return text
