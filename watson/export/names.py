"""File names for exported pictures: readable, safe on any file system, unique, and the same at each export."""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from typing import Self
from urllib.parse import unquote, urlsplit
from uuid import UUID

__all__ = ["StemRegistry", "file_name", "readable_stem"]

_UNSAFE = re.compile(r"[^\w.-]+")
_MAX_STEM_BYTES = 80
_MAX_SUFFIX = 8
# Source: Microsoft, "Naming Files, Paths, and Namespaces": reserved whatever the extension.
_RESERVED = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)}


def file_name(uri: str) -> str:
    """Last component of a URI or path, as people know the file; not safe to write to.

    Sources write keys escaped (`watson.sources.uris`); what has no scheme is a path as it is.
    """
    if uri.startswith("file://"):
        uri = unquote(urlsplit(uri).path)
    elif uri.startswith("s3://"):
        uri = unquote(uri)
    return uri.rstrip("/").rpartition("/")[2] or uri


def readable_stem(uri: str) -> str:
    """A safe file stem that still reads like the original's name.

    Holds letters, digits, ``_``, ``-`` and inner dots alone; 1 to 80 bytes of UTF-8; never hidden, never a device
    name of Windows, and never a path.
    """
    name = unicodedata.normalize("NFC", file_name(uri)).replace("\\", "/").rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    if not dot or not stem or len(suffix) > _MAX_SUFFIX:
        stem = name
    stem = _UNSAFE.sub("_", stem).strip("._- ")
    stem = stem.encode()[:_MAX_STEM_BYTES].decode(errors="ignore").rstrip("._- ")
    if not stem:
        return "picture"
    return f"_{stem}" if stem.partition(".")[0].casefold() in _RESERVED else stem


class StemRegistry:
    """Makes stems unique, without regard to case (macOS, Windows). Memory stays bounded: SQLite spills to disk.

    The first picture of a name gets the bare name, later ones the first digits of their image key after it, so the
    same pictures in the same order get the same names.
    """

    def __init__(self) -> None:
        # "" is a private temporary database that SQLite keeps in memory while small and on disk when it grows.
        # Calls come one after another, though from changing threads of asyncio.to_thread.
        self._db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._db.execute("CREATE TABLE stems (stem TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def take(self, uri: str, image_key: UUID) -> str:
        """A stem that no other picture of this export has."""
        stem = readable_stem(uri)
        for candidate in (stem, *(f"{stem}-{image_key.hex[:digits]}" for digits in (6, 12, 32))):
            done = self._db.execute("INSERT OR IGNORE INTO stems VALUES (?)", (candidate.casefold(),))
            if done.rowcount:
                return candidate
        raise ValueError(f"image key {image_key} was exported already: {uri}")
