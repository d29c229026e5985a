"""A proxy before the S3 server that can answer 503, be slow, and cut connections in the middle.

One request a connection: ``Connection: close`` is put into each request's head, so that only heads need be understood.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Literal, Self
from urllib.parse import urlsplit

__all__ = ["Gateway", "Trouble"]

_HEAD_BYTES = 65536
_BUSY = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)
_ANSWER_BUSY = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: "
    + str(len(_BUSY)).encode()
    + b"\r\n\r\n"
    + _BUSY
)


@dataclass(frozen=True)
class Trouble:
    """What the gateway does to a share (0–1) of the requests.

    ``busy``: answers 503. ``slow``: waits so many seconds before it passes the answer on. ``cut``: breaks the
    connection off, half of the time in the request, half of the time in the answer.
    """

    kind: Literal["busy", "slow", "cut"]
    share: float
    seconds: float = 0.0


class Gateway:
    """Serves in a thread of its own; a context manager."""

    def __init__(self, upstream: str, seed: int = 0) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._random = Random(seed)
        self._trouble: Trouble | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._connections: set[asyncio.Task[None]] = set()
        self.endpoint = ""
        self.done: Counter[str] = Counter()
        """Requests by what was done to them."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_HEAD_BYTES), self._loop
        ).result(10)
        self.endpoint = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @contextmanager
    def trouble(self, trouble: Trouble) -> Iterator[None]:
        """Make trouble until the end of the block."""
        self._trouble = trouble
        try:
            yield
        finally:
            self._trouble = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not a coroutine: asyncio asks the task that it makes of one for its exception even where it was cancelled,
        # and prints a traceback. Source: github.com/python/cpython/issues/110894
        task = asyncio.create_task(self._connection(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # either side went away: the other sees its connection end
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        trouble = self._trouble
        if trouble is not None and self._random.random() >= trouble.share:
            trouble = None
        self.done[trouble.kind if trouble is not None else "passed"] += 1
        if trouble is not None and trouble.kind == "busy":
            writer.write(_ANSWER_BUSY)
            await writer.drain()
            return
        upstream, sink = await asyncio.open_connection(*self._upstream)
        sink.write(_closing(head))
        request = asyncio.create_task(_pump(reader, sink))
        try:
            await self._answer(upstream, writer, trouble)
        finally:
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
            sink.close()

    async def _answer(
        self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, trouble: Trouble | None
    ) -> None:
        if trouble is not None and trouble.kind == "cut":
            if self._random.random() < 0.5:
                writer.write((await upstream.read(4096))[:-1])  # the server has done it, the client sees half of it
                await writer.drain()
            writer.transport.abort()
            return
        data = await upstream.read(65536)
        if trouble is not None:
            await asyncio.sleep(trouble.seconds)
        while data:
            writer.write(data)
            await writer.drain()
            data = await upstream.read(65536)


def _closing(head: bytes) -> bytes:
    lines = [line for line in head[:-4].split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*lines, b"Connection: close", b"", b""])


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
