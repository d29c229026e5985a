"""Object keys: one rule for every store, so that what one store takes every store takes."""

from __future__ import annotations

import re

from watson.errors import ReasonCode, Refused

__all__ = ["MASKS_KEY", "MAX_COMPONENT_BYTES", "MAX_KEY_BYTES", "PICTURE_KEY", "TEMPORARY", "checked_key"]

PICTURE_KEY = re.compile(r"preprocessed/[A-Za-z0-9._-]{1,100}/[0-9a-f]{64}\.(jpg|png)")
MASKS_KEY = re.compile(r"masks/[0-9a-f-]{36}\.json\.gz")
"""Keys of the objects that Watson writes, to be matched in full. A row may be forged: what has another key is neither
shown nor exported."""

MAX_KEY_BYTES = 1024
"""Source: Amazon S3 User Guide, "Naming Amazon S3 objects": at most 1024 bytes of UTF-8."""

MAX_COMPONENT_BYTES = 255
"""NAME_MAX of Linux's file systems, which also binds S3 servers that keep objects as files."""

TEMPORARY = ".watson-tmp-"
"""Begins the name of a half-written file beside its object; no key may have a component that begins so."""


def checked_key(key: str) -> str:
    """Return ``key`` if it is a proper object key.

    Keys reach a store from events too, so a wrong one is refused, never followed out of the store.

    Raises:
        Refused: ``SOURCE_INVALID``, with what is wrong.
    """
    if wrong := _fault(key):
        shown = key if len(key) <= 200 else f"{key[:200]}…"
        raise Refused(ReasonCode.SOURCE_INVALID, f"object key {shown!r} {wrong}")
    return key


def _fault(key: str) -> str | None:
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if size > MAX_KEY_BYTES:
        return f"has {size} bytes, more than the {MAX_KEY_BYTES} that stores allow"
    if any(ord(char) < 0x20 or char == "\x7f" for char in key):
        return "has a control character"
    return next(filter(None, map(_component_fault, key.split("/"))), None)


def _component_fault(component: str) -> str | None:
    if component in {"", ".", ".."}:
        return f"has the component {component!r}; keys are relative, components are separated by one '/'"
    if component.startswith(TEMPORARY):
        return f"has a component that begins with {TEMPORARY!r}, kept for half-written files"
    if len(component.encode()) > MAX_COMPONENT_BYTES:
        return f"has a component of more than {MAX_COMPONENT_BYTES} bytes"
    return None
