"""What the text of a list's entry means: a URI, an absolute path, or a path relative to the list's own folder."""

from __future__ import annotations

import os
import posixpath
import re

from watson.errors import Refused
from watson.sources.uris import MAX_URI, FilePlace, S3Place, canonical, file_uri, parse_uri, s3_uri, unreadable_uri

__all__ = ["resolve"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def resolve(text: str, folder: FilePlace | S3Place) -> str:
    """The canonical URI of an entry; the text as it is where it means nothing to Watson, for preprocess to refuse.

    A path, absolute or relative, is taken letter by letter: no percent sign in it is an escape. ``..`` is resolved by
    the text alone, as in a URL.

    Args:
        text: the entry, not blank; bytes that are not UTF-8 as surrogate escapes.
        folder: of the list: an absolute path, or a bucket and a key that is empty or ends in ``/``.
    """
    if text.startswith("/") or _SCHEME.match(text):
        try:
            return canonical(parse_uri(text))
        except Refused:
            return text if _is_sound(text) else unreadable_uri("not a URI", text)
    if "\0" in text:
        return unreadable_uri("a path cannot hold a NUL", text)
    if isinstance(folder, FilePlace):
        return file_uri("/" + os.path.normpath(posixpath.join(folder.path, text)).lstrip("/"))
    key = folder.key + text
    if not {".", ".."}.isdisjoint(text.split("/")):
        key = posixpath.normpath(key)
        if key.split("/")[0] == "..":
            return unreadable_uri("leads out of the list's bucket", text)
    return s3_uri(folder.bucket, key)


def _is_sound(text: str) -> bool:
    """Whether an event may carry it."""
    return len(text) <= MAX_URI and "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)
