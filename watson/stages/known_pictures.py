"""What is known of a normalised picture that is in the store already: enough not to make it again.

Beside ``preprocessed/<version>/<sha256 of the original>.jpg|png`` lies a note, ``….json``, put after it: the picture's
own sha256, its size, and what the original was. So another job over the same originals (another model, another dataset)
reads and hashes them, and decodes none. A picture is used only if its bytes have the sha256 that was noted when it was
made.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from watson.errors import ReasonCode, Refused
from watson.events.event import Count, Object, Sha256, Short
from watson.storage.keys import PICTURE_KEY
from watson.storage.objects import ObjectStore

__all__ = ["KnownPicture", "known_picture", "remember_picture"]

log = structlog.get_logger(__name__)

_MOST_BYTES = 4096
_MOST_PICTURE_BYTES = 256_000_000  # a PNG of 8192 × 8192 pixels at most


class KnownPicture(BaseModel):
    """A normalised picture in the store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["watson-normalised/1"] = "watson-normalised/1"
    object: Object
    sha256: Sha256 = Field(description="of the object's bytes")
    width: Count = Field(ge=1, description="pixels")
    height: Count = Field(ge=1)
    original_width: Count = Field(ge=1, description="pixels, after EXIF orientation")
    original_height: Count = Field(ge=1)
    original_format: Short


async def known_picture(objects: ObjectStore, version: str, original_sha256: str) -> KnownPicture | None:
    """The picture of an original; None where there is none in the store that is whole.

    Raises:
        Retriable: the store is unavailable.
        Refused: ``ACCESS_DENIED``.
    """
    key = _key(version, original_sha256)
    try:
        known = KnownPicture.model_validate_json(await objects.get(key, _MOST_BYTES))
        wrong = await _wrong(objects, key, known)
    except ValidationError as exc:
        wrong = str(exc)
    except Refused as exc:
        if exc.code in (ReasonCode.OBJECT_MISSING, ReasonCode.TOO_LARGE):
            return None
        raise
    if wrong:
        log.warning("a stored picture cannot be used; making it again", key=key, why=" ".join(wrong.split())[:300])
        return None
    return known


async def _wrong(objects: ObjectStore, key: str, known: KnownPicture) -> str:
    """What is wrong with a picture and its note; empty where nothing is."""
    if not PICTURE_KEY.fullmatch(known.object) or known.object.rpartition(".")[0] != key.rpartition(".")[0]:
        return f"the note names {known.object}"
    data = await objects.get(known.object, _MOST_PICTURE_BYTES)
    whole = await asyncio.to_thread(_sha256, data) == known.sha256
    return "" if whole else f"{known.object} is not what was put"


async def remember_picture(objects: ObjectStore, version: str, original_sha256: str, known: KnownPicture) -> None:
    """Write down what was put. Done twice, it writes the same bytes.

    Raises:
        Retriable, Refused: as `known_picture`.
    """
    await objects.put(_key(version, original_sha256), known.model_dump_json().encode() + b"\n", "application/json")


def _key(version: str, original_sha256: str) -> str:
    return f"preprocessed/{version}/{original_sha256}.json"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
