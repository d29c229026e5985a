"""What every role's app has beyond the transport: things to open and close, and things to do every so often."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from watson.agents.transport import TransportApp
from watson.errors import PartitionRevoked
from watson.settings import Settings

__all__ = ["RoleApp"]

log = structlog.get_logger(__name__)

_Step = Callable[[], Awaitable[None]]

_CLOSE_SECONDS = 5.0


class RoleApp(TransportApp):
    """A transport app that a role module adds its resources and periodic work to."""

    def __init__(self, role: str, settings: Settings, **options: Any) -> None:
        self._resources: list[tuple[_Step, _Step]] = []
        self._opened: list[_Step] = []
        super().__init__(role, settings, **options)

    def add_resource(self, open_it: _Step, close_it: _Step) -> None:
        """Await ``open_it`` before the worker consumes, and ``close_it`` after it has stopped consuming."""
        self._resources.append((open_it, close_it))

    async def on_start(self) -> None:
        """Open what the role needs before anything is consumed."""
        for open_it, close_it in self._resources:
            await open_it()
            self._opened.append(close_it)
        await super().on_start()

    async def on_shutdown(self) -> None:
        """Close in the opposite order, each within a limit."""
        await super().on_shutdown()
        while self._opened:
            close_it = self._opened.pop()
            try:
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await close_it()
            except TimeoutError:
                log.warning("a resource did not close in time", resource=getattr(close_it, "__qualname__", "?"))

    def every(self, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        """Do ``work`` again and again, ``seconds`` apart, while the worker is ready; what it raises ends the worker."""

        async def again_and_again() -> None:
            while not self.should_stop:
                await asyncio.sleep(seconds)
                if not self.is_ready():
                    continue
                try:
                    await work()
                except PartitionRevoked as revoked:
                    log.debug("interrupted by a rebalance", why=str(revoked))

        again_and_again.__name__ = f"every_{getattr(work, '__name__', 'work')}"
        self.task(again_and_again)

    def crash_soon(self, exc: BaseException) -> None:
        """End the worker because of ``exc``, from outside a task of Faust's."""
        self.poisoned = True
        self.add_future(self.crash(exc))
