"""The one spelling of an ``http://`` or ``https://`` address.

Scheme and host in small letters, no default port, no fragment; characters that may not stand in a URL are
percent-encoded, everything else is left as the list has it: what means what is the server's business.
"""

from __future__ import annotations

import re

from watson.errors import ReasonCode, Refused

__all__ = ["http_url"]

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?\.?|\[[0-9a-f:.]+\]")
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
_NOT_PLAIN = re.compile(rb"[\x00-\x20\x7f-\xff\"<>\\^`{|}]")
"""Source: RFC 3986, section 2: what is neither reserved nor unreserved, and no percent sign."""


def http_url(scheme: str, rest: str) -> str:
    """The canonical URL of ``scheme`` and what follows ``://``.

    Raises:
        Refused: ``SOURCE_INVALID``: it names no host, or a user, or is no URL.
    """
    scheme = scheme.lower()
    end = min(place for place in (rest.find("/"), rest.find("?"), rest.find("#"), len(rest)) if place >= 0)
    authority, path = rest[:end], rest[end:].partition("#")[0]
    if "@" in authority:
        raise _refused("an address with a user or password is not read: it would stand in every event")
    match = _AUTHORITY.fullmatch(authority.lower())
    if match is None or not _HOST.fullmatch(match["host"]) or not 0 < int(match["port"] or 80) <= 65_535:
        raise _refused("names no host that can be; one with other letters is written xn--…")
    try:
        raw = path.encode()
    except UnicodeEncodeError:
        raise _refused("is not valid Unicode") from None
    port = "" if match["port"] in (None, _DEFAULT_PORTS[scheme]) else f":{int(match['port'])}"
    plain = _NOT_PLAIN.sub(lambda found: b"%%%02X" % found[0][0], raw).decode("ascii")
    return f"{scheme}://{match['host']}{port}{plain if plain.startswith('/') else '/' + plain}"


def _refused(why: str) -> Refused:
    return Refused(ReasonCode.SOURCE_INVALID, why)
