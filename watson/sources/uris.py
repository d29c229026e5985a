"""The one spelling of where a picture is: file names and S3 keys to URIs and back, without loss.

An image's identity is derived from its URI, so these spellings are for ever: they depend on fixed sets of bytes, not on
the Unicode tables of a Python version.

* A file: ``file:///abs/path`` as RFC 8089 and `pathlib.Path.as_uri` have it; any name round-trips, also one that is not
  UTF-8.
* An object: ``s3://bucket/key``, the key as S3's own tools show it, but for ``%``, white space and control characters,
  which are percent-encoded. Read back, a ``%`` with two hexadecimal digits is an escape; any other ``%`` is itself.
* A picture on a web server: its URL, as `watson.sources.http_uris` has it.
* What a source lists but cannot be read: ``unreadable:<why>: <text>``, so that it ends in quarantine, with the reason,
  and not in silence.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote_from_bytes, unquote_to_bytes

from watson.errors import ReasonCode, Refused
from watson.sources.http_uris import http_url

__all__ = [
    "MAX_URI",
    "FilePlace",
    "HttpPlace",
    "Place",
    "S3Place",
    "canonical",
    "file_uri",
    "parse_uri",
    "s3_uri",
    "unreadable_uri",
]

MAX_URI = 8192
"""Characters; `watson.events.Original.uri` takes no more."""

_SHOWN = 500
"""Characters of a text that are kept where it is too long or unreadable."""

_UNREADABLE = "unreadable:"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
"""Source: Amazon S3 User Guide, "General purpose bucket naming rules"; the older ones of us-east-1 allowed as much."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_NOT_PLAIN = re.compile(rb"[\x00-\x20%\x7f]")
"""Bytes of a key that its URI escapes: white space, control characters, and the escape itself."""


@dataclass(frozen=True, slots=True)
class FilePlace:
    """A file. ``path`` is absolute and may hold surrogate escapes, as Python's file functions take it."""

    path: str


@dataclass(frozen=True, slots=True)
class S3Place:
    """An object, or with an empty or partial key a prefix of objects."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class HttpPlace:
    """A picture on a web server. ``url`` is canonical (`watson.sources.http_uris`)."""

    url: str


Place = FilePlace | S3Place | HttpPlace


def file_uri(path: str | bytes) -> str:
    """The URI of an absolute path."""
    return _bounded("file://" + quote_from_bytes(os.fsencode(path), safe="/"))


def s3_uri(bucket: str, key: str) -> str:
    """The URI of an object."""
    try:
        escaped = _NOT_PLAIN.sub(lambda found: b"%%%02X" % found[0][0], key.encode())
    except UnicodeEncodeError:
        return unreadable_uri("a key is UTF-8, this is not", f"s3://{bucket}/{key}")
    return _bounded(f"s3://{bucket}/{escaped.decode()}")


def unreadable_uri(why: str, text: str | bytes) -> str:
    """What stands for an entry that cannot be read, bounded in length; `parse_uri` refuses it with ``why``.

    Different texts give different URIs, so that none is taken for a repetition of another.
    """
    raw = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    shown = raw.decode(errors="backslashreplace").replace("\0", "\\0")
    if len(shown) > _SHOWN:
        shown = f"{shown[:_SHOWN]}… (sha256 {sha256(raw).hexdigest()[:12]})"
    return f"{_UNREADABLE}{why}: {shown}"


def parse_uri(uri: str) -> Place:
    """Where a URI, or an absolute path, points.

    Raises:
        Refused: ``SOURCE_INVALID``: relative, of another scheme, malformed.
    """
    if uri.startswith("/"):
        return FilePlace(_clean(uri, uri))
    if uri.startswith(_UNREADABLE):
        raise Refused(ReasonCode.SOURCE_INVALID, f"the source lists it, but: {uri.removeprefix(_UNREADABLE)}")
    scheme = _SCHEME.match(uri)
    if scheme is None:
        raise Refused(ReasonCode.SOURCE_INVALID, f"{_shown(uri)} is neither a URI nor an absolute path")
    rest = uri[scheme.end() :]
    match scheme[1].lower():
        case "file":
            return _parse_file(uri, rest)
        case "s3":
            bucket, _, key = rest.partition("/")
            return S3Place(_bucket(uri, bucket), _key(uri, _decoded(uri, key)))
        case "http" | "https" as scheme_name:
            return HttpPlace(_http(uri, scheme_name, rest))
        case other:
            why = f"{_shown(uri)}: scheme {other}:// is not supported; use s3://, file:// or an absolute path"
            raise Refused(ReasonCode.SOURCE_INVALID, why)


def _bucket(uri: str, bucket: str) -> str:
    """A bucket's own name. An ARN would make the client call a host of the list's choosing, dots another path."""
    if _BUCKET.fullmatch(bucket) and ".." not in bucket:
        return bucket
    why = "names no bucket" if not bucket else f"names no bucket: {bucket[:100]!r} can be none (nor is an ARN one)"
    raise Refused(ReasonCode.SOURCE_INVALID, f"{_shown(uri)} {why}")


def _key(uri: str, key: str) -> str:
    """A key that every server takes as it is: some would take ``bucket/../other/x`` for an object of another bucket."""
    if {".", ".."} & set(key.split("/")):
        raise Refused(ReasonCode.SOURCE_INVALID, f"{_shown(uri)}: a key with . or .. between slashes is not asked for")
    return key


def _http(uri: str, scheme: str, rest: str) -> str:
    try:
        return _bounded(http_url(scheme, rest))
    except Refused as exc:
        raise Refused(exc.code, f"{_shown(uri)} {exc}") from None


def canonical(place: Place) -> str:
    """The one spelling of a place."""
    if isinstance(place, HttpPlace):
        return place.url
    return file_uri(place.path) if isinstance(place, FilePlace) else s3_uri(place.bucket, place.key)


def _parse_file(uri: str, rest: str) -> FilePlace:
    host, slash, path = rest.partition("/")
    if host not in {"", "localhost"} or not slash:
        why = f"{_shown(uri)}: a file URI is written file:///absolute/path, without a host"
        raise Refused(ReasonCode.SOURCE_INVALID, why)
    return FilePlace(_clean(uri, unquote_to_bytes(_raw(uri, slash + path)).decode(errors="surrogateescape")))


def _clean(uri: str, path: str) -> str:
    """Normalised as RFC 3986, section 5.2.4, does it: by the text alone, without asking the file system."""
    if b"\0" in _raw(uri, path):
        raise Refused(ReasonCode.SOURCE_INVALID, f"{_shown(uri)}: a path cannot hold a NUL")
    return "/" + os.path.normpath(path).lstrip("/")


def _decoded(uri: str, key: str) -> str:
    try:
        return unquote_to_bytes(_raw(uri, key)).decode()
    except UnicodeDecodeError:
        raise Refused(ReasonCode.SOURCE_INVALID, f"{_shown(uri)}: a key is UTF-8, this is not") from None


def _raw(uri: str, text: str) -> bytes:
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        raise Refused(ReasonCode.SOURCE_INVALID, f"{_shown(uri)} is not valid Unicode") from None


def _bounded(uri: str) -> str:
    return uri if len(uri) <= MAX_URI else unreadable_uri(f"URI of {len(uri)} characters, more than {MAX_URI}", uri)


def _shown(text: str) -> str:
    """For a message: short, and valid Unicode."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
