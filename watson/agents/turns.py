"""One at a time for each key: what reads a mark, thinks and writes it back must not be interleaved with itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

__all__ = ["Turns"]


class Turns:
    """Holds nothing for keys that nobody is working on."""

    def __init__(self) -> None:
        self._busy: dict[Hashable, asyncio.Event] = {}

    @asynccontextmanager
    async def of(self, key: Hashable) -> AsyncIterator[None]:
        """Wait until nobody else works on ``key``, then hold it."""
        while (before := self._busy.get(key)) is not None:
            await before.wait()
        done = self._busy[key] = asyncio.Event()
        try:
            yield
        finally:
            del self._busy[key]
            done.set()
