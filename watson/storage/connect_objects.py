"""The object store that the settings name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from watson.errors import Refused, UserError
from watson.settings import Settings
from watson.storage.directory import DirectoryObjectStore
from watson.storage.keys import checked_key
from watson.storage.objects import ObjectStore
from watson.storage.s3 import S3ObjectStore

__all__ = ["object_store", "opened_object_store"]


def object_store(settings: Settings) -> ObjectStore:
    """Make the store of ``settings.objects``: ``file:PATH`` or ``s3://bucket[/prefix]``. It is not open yet.

    Raises:
        UserError: the setting is neither.
    """
    place = settings.objects
    if place.startswith("file:"):
        path = place.removeprefix("file:")
        path = path.removeprefix("//") if path.startswith("///") else path
        if path and not path.startswith("//"):
            return DirectoryObjectStore(_directory(place, path))
    elif place.startswith("s3://"):
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        prefix = prefix.rstrip("/")
        if bucket and _is_prefix(prefix):
            return S3ObjectStore(settings, bucket, prefix)
    raise UserError(
        f"WATSON_OBJECTS is {place!r}: write file:PATH (for example file:/var/lib/watson) or s3://bucket[/prefix]"
    )


@asynccontextmanager
async def opened_object_store(settings: Settings) -> AsyncIterator[ObjectStore]:
    """The store of the settings, open; closed at the end.

    Raises:
        UserError: the setting names none, or it cannot be opened.
    """
    objects = object_store(settings)
    await objects.open()
    try:
        yield objects
    finally:
        await objects.close()


def _directory(place: str, path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as exc:  # pathlib's word for a home that is not known
        raise UserError(f"WATSON_OBJECTS is {place!r}: {exc}") from exc


def _is_prefix(prefix: str) -> bool:
    try:
        return not prefix or checked_key(prefix) == prefix
    except Refused:
        return False
