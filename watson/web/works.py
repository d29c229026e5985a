"""Work that takes longer than an answer may: it goes on in this process; who asks again is told how far it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Generic, TypeVar

from watson.errors import Retriable

__all__ = ["Work", "Works"]

Result = TypeVar("Result")


class Work(Generic[Result]):
    """One piece of work, under way or done.

    Attributes:
        done: how many things are done.
        of: of how many; 0 where that is not known.
        began: seconds since 1970.
    """

    def __init__(self) -> None:
        self.done = 0
        self.of = 0
        self.began = time.time()
        self._task: asyncio.Task[Result] | None = None
        self._over_at: float | None = None

    def begin(self, doing: Coroutine[object, object, Result]) -> None:
        """Begin; once."""
        self._task = asyncio.create_task(doing)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Result]) -> None:
        self._over_at = time.monotonic()
        if not task.cancelled():
            task.exception()  # so that it counts as seen: whoever asks is told

    def progress(self, done: int, of: int | None = None) -> None:
        """Say how far it is."""
        self.done, self.of = done, self.of if of is None else of

    @property
    def over(self) -> bool:
        """Whether it has come to an end, also to a bad one."""
        return self._task is not None and self._task.done()

    @property
    def failed(self) -> bool:
        """Whether that end was a bad one."""
        task = self._task
        return task is not None and task.done() and (task.cancelled() or task.exception() is not None)

    def result(self) -> Result:
        """What came out; raises what it ended with. Only once it is `over`."""
        if self._task is None:
            raise RuntimeError("it has not begun")
        return self._task.result()

    def ended_before(self, moment: float) -> bool:
        """Whether it was over by a moment of the monotonic clock."""
        return self._over_at is not None and self._over_at <= moment

    async def stop(self) -> None:
        """Break it off."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def wait(self, seconds: float) -> bool:
        """Wait for its end, but no longer than this; whether it is over. It goes on when the one who waits leaves."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)
        return self.over


class Works(Generic[Result]):
    """Pieces of work by what they are about: who asks for one that is under way is given that one."""

    def __init__(self, *, at_once: int, most: int, seconds: float, kept: float) -> None:
        """Set the limits.

        Args:
            at_once: pieces that are worked on; further ones wait for their turn.
            most: pieces waiting or worked on; further ones are refused.
            seconds: that one may take.
            kept: seconds that a result is kept.
        """
        self._turns = asyncio.Semaphore(at_once)
        self._most = most
        self._seconds = seconds
        self._kept = kept
        self._works: dict[Hashable, Work[Result]] = {}

    def start(self, key: Hashable, do: Callable[[Work[Result]], Awaitable[Result]]) -> Work[Result]:
        """The work under way or kept for this key; else begin it. What failed is told once more, and then begun anew.

        Raises:
            Retriable: too much is under way.
        """
        self._forget()
        if (work := self._works.get(key)) is not None:
            if work.failed:
                del self._works[key]
            return work
        if sum(not other.over for other in self._works.values()) >= self._most:
            raise Retriable(f"{self._most} requests like this one are under way: try again in a moment")
        work = self._works[key] = Work()
        work.begin(self._run(work, do))
        return work

    async def close(self) -> None:
        """Break off what is under way."""
        for work in self._works.values():
            await work.stop()

    async def _run(self, work: Work[Result], do: Callable[[Work[Result]], Awaitable[Result]]) -> Result:
        async with self._turns:
            try:
                async with asyncio.timeout(self._seconds):
                    return await do(work)
            except TimeoutError as exc:
                raise Retriable(f"it was not done after {self._seconds:.0f} s, and was given up") from exc

    def _forget(self) -> None:
        before = time.monotonic() - self._kept
        for key, work in list(self._works.items()):
            if work.ended_before(before):
                del self._works[key]
