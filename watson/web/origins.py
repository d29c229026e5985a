"""Whether a request was made by a page of this very server: browsers say so, and no page can make them lie."""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web

__all__ = ["check_origin"]

_ELSEWHERE = (
    "This was sent by a page of another site, or through a proxy that does not pass on the header Host as it was: "
    "open the page of this server and send it from there."
)
_UNTOLD = "Your browser does not say which page sent this. Use a newer one, the JSON API, or the command watson."


def check_origin(request: web.Request, *, program: bool = False) -> None:
    """Refuse what another site makes a browser send.

    ``Origin`` is compared by host and port: behind a proxy that speaks TLS the scheme is not known here.

    Args:
        request: that changes something.
        program: whether it may come from no browser at all, which says nothing; else a browser must say.

    Raises:
        HTTPForbidden: it comes from elsewhere, or does not say.
    """
    origin, fetched = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if fetched is not None and fetched not in (("same-origin", "none") if program else ("same-origin",)):
        raise web.HTTPForbidden(text=_ELSEWHERE)
    if origin is not None:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or parts.netloc.lower() != request.host.lower():
            raise web.HTTPForbidden(text=_ELSEWHERE)
    elif fetched is None and not program:
        raise web.HTTPForbidden(text=_UNTOLD)
