"""Answers that take long: what was answered last is good enough, and nobody waits for more than a moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog
from cachetools import LRUCache

from watson.errors import WatsonError

__all__ = ["Lately"]

log = structlog.get_logger(__name__)

Key = TypeVar("Key")
Value = TypeVar("Value")


class Lately(Generic[Key, Value]):
    """Gives the last answer, however old, and asks anew behind the back of who asks where it is old.

    One question a key is under way at a time, and goes on when the one who asked has left. One that fails leaves the
    last answer as it is.
    """

    def __init__(self, ask: Callable[[Key], Awaitable[Value]], seconds: float, size: int = 256) -> None:
        self._ask = ask
        self._seconds = seconds
        self._answers: LRUCache[Key, tuple[float, Value]] = LRUCache(size)
        self._asking: dict[Key, asyncio.Task[None]] = {}

    async def get(self, key: Key, patience: float) -> Value | None:
        """The last answer; where there is none yet, one that comes within ``patience`` seconds, or None."""
        known = self._answers.get(key)
        if known is not None and time.monotonic() - known[0] < self._seconds:
            return known[1]
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._put_question(key))
        if known is not None:
            return known[1]
        await asyncio.wait({asking}, timeout=patience)
        known = self._answers.get(key)
        return None if known is None else known[1]

    async def _put_question(self, key: Key) -> None:
        try:
            self._answers[key] = (time.monotonic(), await self._ask(key))
        except WatsonError as exc:  # whoever asks next asks again
            log.warning("an answer did not come", key=str(key), error=str(exc))
        finally:
            del self._asking[key]
