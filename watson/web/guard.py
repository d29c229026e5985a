"""What holds for every response of every role: no page of Faust's own, security headers, errors that say what is wrong.

Faust would serve pages that show its tables' contents and the topology of the cluster; all of them are taken away,
whatever the settings say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import faust
import orjson
import structlog
from aiohttp import web
from faust.web.base import BlueprintManager
from faust.web.views import View

from watson.errors import ReasonCode, Refused, Retriable, ServiceUnavailable, UserError
from watson.web.templating import page

__all__ = ["Handler", "add_action", "add_page", "add_stream", "guard", "json_response"]

log = structlog.get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_GUARDED = web.AppKey("watson-guarded", bool)
_LASTING: web.AppKey[set[str]] = web.AppKey("watson-lasting", set)
"""Paths of the routes whose answers are streams, which no limit on an answer's time ends."""

_RETRY_AFTER_SECONDS = "5"
_KEPT_HEADERS = ("Allow", "Retry-After", "WWW-Authenticate")
_MACHINE_PATHS = ("/api/", "/health/", "/metrics")

_HEADERS = {
    # Nothing from elsewhere, nothing inline: a hostile file name that got past escaping could still do nothing.
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with "no-referrer", browsers would hide from us too which site sent a form
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Server": "watson",  # instead of the versions of Python and aiohttp
}

_STATUS = {
    ReasonCode.OBJECT_MISSING: 404,
    ReasonCode.ACCESS_DENIED: 502,
    ReasonCode.OBJECT_ALTERED: 502,
    ReasonCode.TOO_LARGE: 502,
}


def guard(app: faust.App, *, time_limit: float) -> None:
    """Apply the rules to an app's web server; doing it twice does no harm.

    Args:
        app: any role's app, before its web server has started.
        time_limit: seconds that one answer may take; then 503.
    """
    server = app.web.web_app
    if server.get(_GUARDED):
        return
    server[_GUARDED] = True
    server[_LASTING] = set()
    app.web.blueprints = BlueprintManager()
    server.middlewares.append(_errors_and_limit(time_limit))
    server.on_response_prepare.append(_add_headers)


def add_page(app: faust.App, path: str, handler: Handler, *, post: Handler | None = None) -> None:
    """Serve ``handler`` at ``path`` through a Faust web view, for GET and HEAD; and ``post`` for POST.

    What takes a POST must be wrapped by `watson.web.access`.
    """

    async def get(_view: object, request: web.Request, **_match: str) -> web.StreamResponse:
        return await handler(request)

    async def take(_view: object, request: web.Request, **_match: str) -> web.StreamResponse:
        return await (post or handler)(request)

    methods = {"get": get} if post is None else {"get": get, "post": take}
    app.page(path, name=path)(type("Page", (View,), methods))


def add_action(app: faust.App, path: str, post: Handler) -> None:
    """Serve ``post`` at ``path`` for POST alone; it must be wrapped by `watson.web.access`."""

    async def take(_view: object, request: web.Request, **_match: str) -> web.StreamResponse:
        return await post(request)

    app.page(path, name=f"POST {path}")(type("Action", (View,), {"post": take, "get_methods": lambda _view: {"POST"}}))


def add_stream(app: faust.App, path: str, handler: Handler) -> None:
    """Serve at ``path`` an answer that goes on: `guard`, which must have been called, sets it no time limit.

    The handler bounds what it waits for, and raises nothing once it has begun to answer.
    """
    app.web.web_app[_LASTING].add(path)
    add_page(app, path, handler)


def json_response(document: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON response; UUIDs and times become text."""
    return web.Response(
        body=orjson.dumps(document),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-cache", **(headers or {})},
    )


def _errors_and_limit(time_limit: float) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            async with asyncio.timeout(None if _is_lasting(request) else time_limit):
                return await handler(request)
        except Exception as exc:  # noqa: BLE001 - each becomes an answer, and what is a defect is logged with its trace
            return _error_response(request, exc)

    return middleware


def _is_lasting(request: web.Request) -> bool:
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical in request.app[_LASTING]


def _error_response(request: web.Request, exc: Exception) -> web.Response:
    status, message, headers = _explain(request, exc)
    if status >= 500:
        log.warning("a request failed", path=request.path, status=status, error=message, exc_info=status == 500)
    if request.path.startswith(_MACHINE_PATHS) or "text/html" not in request.headers.get("Accept", ""):
        return json_response({"error": message}, status, headers)
    response = page("error.html", status=status, message=message)
    response.set_status(status)
    response.headers.update(headers)
    return response


def _explain(request: web.Request, exc: Exception) -> tuple[int, str, dict[str, str]]:
    """Status, message for people, and headers."""
    if isinstance(exc, web.HTTPException):
        headers = {name: exc.headers[name] for name in _KEPT_HEADERS if name in exc.headers}
        message = exc.text or exc.reason
        if message == f"{exc.status}: {exc.reason}":  # aiohttp's own, which says nothing
            message = f"{exc.reason}: {request.method} {request.path}"
        return exc.status, message, headers
    if isinstance(exc, Retriable | ServiceUnavailable):
        return 503, str(exc), {"Retry-After": _RETRY_AFTER_SECONDS}
    if isinstance(exc, UserError):
        return 400, str(exc), {}
    if isinstance(exc, Refused):
        return _STATUS.get(exc.code, 502), f"{exc} ({exc.code})", {}
    if isinstance(exc, TimeoutError):
        return 503, "The answer took too long; please try again.", {"Retry-After": _RETRY_AFTER_SECONDS}
    return 500, "This is a defect of Watson: the worker's log has the details.", {}


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers[name] = value
    if request.path.startswith("/static/") and response.status == 200:
        # Pages name static files with a hash of their content; without it they are asked for again each time.
        fixed = "v" in request.query
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if fixed else "no-cache"
