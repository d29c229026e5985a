"""Whether an address is of this machine alone."""

from __future__ import annotations

import ipaddress
import re

from aiohttp import web

__all__ = ["comes_from_here", "is_loopback"]

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(:[0-9]{1,5})?")

_FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")
"""Headers that proxies add. A proxy on this machine asks from the loopback address for people who are elsewhere."""


def is_loopback(name: str) -> bool:
    """Whether a host, written as a name or as an address, is this machine and nobody else's way to it.

    Only ``localhost`` and the loopback addresses in their usual spelling: any other name may be made to lead here.
    """
    name = name.strip("[]")
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def comes_from_here(request: web.Request) -> bool:
    """Whether a request was made on this machine, to this machine by one of its own names.

    A browser sends in ``Host`` the name that the page's address has. A page from elsewhere whose name was changed to
    lead here (DNS rebinding) is told by it.
    """
    hosts = request.headers.getall("Host", [])
    match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    return (
        match is not None
        and is_loopback(match["name"])
        and is_loopback(request.remote or "")
        and not any(name in request.headers for name in _FORWARDED)
    )
