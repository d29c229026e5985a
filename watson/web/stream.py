"""Server-sent events: the state of the jobs and of the line, each time that it changed.

Source: WHATWG HTML, section 9.2 (server-sent events). A stream says ``event: progress`` with a JSON document at once,
and again whenever the document is another one, at most every second and a half; ``event: trouble`` where the catalogue
does not answer. A comment each 15 seconds keeps proxies from closing it. It ends after ten minutes, and when the worker
stops: browsers come again by themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import faust
import orjson
import structlog
from aiohttp import web

from watson.errors import Retriable, UserError
from watson.web.fresh import Fresh
from watson.web.guard import add_stream
from watson.web.queries import after_of, limit_of
from watson.web.state import State

__all__ = ["LONGEST_SECONDS", "MOST_STREAMS", "mount_streams"]

log = structlog.get_logger(__name__)

MOST_STREAMS = 64
"""Open at once in one process; one more is answered with 503."""

LONGEST_SECONDS = 600.0

_PERIOD_SECONDS = 1.5
_FRESH_SECONDS = 1.0
"""Those who watch the same share what was asked for so long."""

_HEARTBEAT_SECONDS = 15.0
_ANSWER_SECONDS = 15.0
_WRITE_SECONDS = 10.0
"""A reader that takes nothing for so long is let go of."""

_JOBS = 50
_TICKING = frozenset({"seconds", "rate"})
"""Fields of a job that change with the clock alone: no news."""

Produce = Callable[[], Awaitable[dict[str, Any]]]


def mount_streams(app: faust.App, state: State) -> None:
    """Add the routes to an app whose web server has not started and is guarded."""
    streams = _Streams(state)
    add_stream(app, "/api/v1/stream", streams.jobs)
    add_stream(app, "/api/v1/jobs/{job}/stream", streams.job)

    async def close(_server: web.Application) -> None:
        streams.closing.set()

    app.web.web_app.on_shutdown.append(close)


class _Streams:
    def __init__(self, state: State) -> None:
        self._state = state
        self._listed: Fresh[tuple[str | None, int], dict[str, Any]] = Fresh(self._list, _FRESH_SECONDS)
        self._whole: Fresh[str, dict[str, Any]] = Fresh(state.whole_job, _FRESH_SECONDS)
        self._open = 0
        self.closing = asyncio.Event()

    async def jobs(self, request: web.Request) -> web.StreamResponse:
        after, limit = after_of(request), limit_of(request, _JOBS)

        async def produce() -> dict[str, Any]:
            return {**await self._listed.get((after, limit)), "flow": self._state.flow()}

        return await self._serve(request, produce)

    async def job(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["job"]

        async def produce() -> dict[str, Any]:
            return {"job": await self._whole.get(name), "flow": self._state.flow()}

        return await self._serve(request, produce)

    async def _list(self, asked: tuple[str | None, int]) -> dict[str, Any]:
        return await self._state.jobs(*asked)

    async def _serve(self, request: web.Request, produce: Produce) -> web.StreamResponse:
        if self.closing.is_set() or self._open >= MOST_STREAMS:
            raise Retriable(f"{self._open} streams are open, and no more are served: ask for the document instead.")
        self._open += 1
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                first = await produce()  # what is wrong is said as in any other answer
            response = web.StreamResponse(
                headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            )
            await response.prepare(request)
            if request.method != "HEAD":
                await self._go_on(request, response, first, produce)
            return response
        finally:
            self._open -= 1

    async def _go_on(
        self, request: web.Request, response: web.StreamResponse, first: dict[str, Any], produce: Produce
    ) -> None:
        try:
            await _Stream(request, response, self.closing).run(first, produce)
        except (ConnectionError, TimeoutError) as exc:
            log.debug("the reader of a stream is gone", path=request.path, why=repr(exc))
        except Exception:
            log.exception("a stream failed", path=request.path)  # it ends; whoever reads it comes again


class _Stream:
    """One open stream."""

    def __init__(self, request: web.Request, response: web.StreamResponse, closing: asyncio.Event) -> None:
        self._request = request
        self._response = response
        self._closing = closing
        self._clock = asyncio.get_running_loop().time
        self._said: bytes | None = None
        self._said_at = self._clock()

    async def run(self, first: dict[str, Any], produce: Produce) -> None:
        """Say what changes, until the end of its time."""
        ends = self._clock() + LONGEST_SECONDS
        await self._write(b"retry: 3000\n\n")
        await self._say("progress", first)
        while not await self._closes_within(_PERIOD_SECONDS) and self._clock() < ends and not self._is_gone():
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    document = await produce()
            except (Retriable, UserError, TimeoutError) as exc:
                await self._say("trouble", {"error": str(exc) or "The catalogue does not answer"})
            except web.HTTPException as exc:  # the job is no longer there
                await self._say("trouble", {"error": exc.text or exc.reason})
                return
            else:
                await self._say("progress", document)

    async def _say(self, event: str, document: dict[str, Any]) -> None:
        news = orjson.dumps([event, _without_clock(document)])
        if news != self._said:
            self._said = news
            # one line: orjson writes no line breaks but as escapes
            await self._write(b"event: %b\ndata: %b\n\n" % (event.encode(), orjson.dumps(document)))
        elif self._clock() - self._said_at > _HEARTBEAT_SECONDS:
            await self._write(b": no news\n\n")

    async def _write(self, data: bytes) -> None:
        async with asyncio.timeout(_WRITE_SECONDS):
            await self._response.write(data)
        self._said_at = self._clock()

    async def _closes_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._closing.wait()
        except TimeoutError:
            return False

    def _is_gone(self) -> bool:
        transport = self._request.transport
        return transport is None or transport.is_closing()


def _without_clock(document: Any) -> Any:
    """The document without what changes by itself."""
    if isinstance(document, dict):
        return {key: _without_clock(value) for key, value in document.items() if key not in _TICKING}
    if isinstance(document, list):
        return [_without_clock(item) for item in document]
    return document
