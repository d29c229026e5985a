"""The lister of a job's source."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from watson.errors import Refused, UserError
from watson.events import Source
from watson.settings import Settings
from watson.sources.directory import DirectoryLister
from watson.sources.listfile import open_list
from watson.sources.listing import Lister
from watson.sources.lists import ListLister, list_format, open_images_format
from watson.sources.roots import allowed_path
from watson.sources.s3 import S3Lister
from watson.sources.uris import FilePlace, HttpPlace, S3Place, parse_uri
from watson.storage.s3_connection import S3Connection

__all__ = ["open_source"]


@asynccontextmanager
async def open_source(source: Source, settings: Settings) -> AsyncIterator[Lister]:
    """Open a source for listing; it is closed when the context ends.

    Raises:
        UserError: it does not exist, may not be read, or is not of its kind; says what and where.
        Retriable: its store is unavailable.
    """
    place = _place(source)
    if isinstance(place, FilePlace):
        try:
            await asyncio.to_thread(allowed_path, place.path, settings)
        except Refused as exc:
            raise UserError(f"source: {exc}") from exc
    if source.kind == "directory":
        if not isinstance(place, FilePlace):
            raise UserError(f"source {source.uri!r} is not a directory's path: for a bucket the kind is 's3'")
        if not await asyncio.to_thread(os.path.isdir, place.path):
            raise UserError(f"source directory {place.path!r} is not there, or not a directory{_relative(source)}")
        yield DirectoryLister(place.path)
    elif source.kind == "s3":
        if not isinstance(place, S3Place):
            raise UserError(f"source {source.uri!r} is not s3://bucket/prefix: for files the kind is 'directory'")
        async with S3Connection(settings) as connection:
            yield S3Lister(connection, place)
    else:
        # The template is checked before anything is opened: it is the user's own text.
        form = open_images_format(place, source.template) if source.kind == "open-images" else list_format(place)
        async with open_list(place, settings) as file:
            yield ListLister(file, form)


def _place(source: Source) -> FilePlace | S3Place:
    try:
        place = parse_uri(source.uri if "://" in source.uri else os.path.abspath(source.uri))  # noqa: PTH100 - by the text
    except Refused as exc:
        raise UserError(f"source: {exc}") from exc
    if isinstance(place, HttpPlace):
        raise UserError(f"source: {place.url!r} is not a source: http addresses stand in a list, on a disk or in S3")
    return place


def _relative(source: Source) -> str:
    if "://" in source.uri or source.uri.startswith("/"):
        return ""
    return f" (given as {source.uri!r}, relative to where this worker runs: submit the absolute path)"
