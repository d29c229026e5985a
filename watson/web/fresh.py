"""Answers that may be a few seconds old, so that many open browsers cost the catalogue one question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from cachetools import TTLCache

__all__ = ["Fresh"]

Key = TypeVar("Key")
Value = TypeVar("Value")


class Fresh(Generic[Key, Value]):
    """Asks once for each key; whoever asks again in the next ``seconds`` gets the same answer, or waits for it.

    A question goes on when the one who asked has left: the next to ask finds it answered. Errors are not kept.
    """

    def __init__(self, ask: Callable[[Key], Awaitable[Value]], seconds: float, size: int = 256) -> None:
        self._ask = ask
        self._tasks: TTLCache[Key, asyncio.Task[Value]] = TTLCache(size, seconds)

    async def get(self, key: Key) -> Value:
        """The answer for ``key``; raises what the question raised."""
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.create_task(self._put_question(key))
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._drop_failure(key, done))
        return await asyncio.shield(task)

    async def _put_question(self, key: Key) -> Value:
        return await self._ask(key)

    def _drop_failure(self, key: Key, task: asyncio.Task[Value]) -> None:
        failed = task.cancelled() or task.exception() is not None  # reading it also marks it as seen
        if failed and self._tasks.get(key) is task:
            del self._tasks[key]
