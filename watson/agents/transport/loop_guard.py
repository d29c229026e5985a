"""Notices from a thread that the event loop does not run: the watchdog runs in it, and would be blocked with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from time import monotonic

__all__ = ["LoopGuard"]

_STEP_SECONDS = 1.0
_JUMP = 2.0
"""Times a step: more than that between two steps, and it is not the loop that did not run but the whole process
(SIGSTOP, a paused virtual machine), or this thread for want of a core. It counts for no more than that."""


class LoopGuard:
    """Calls ``end`` once, in its own thread, when the loop has not run for ``limit`` seconds.

    A library that holds the interpreter's lock holds this thread up too. Then the consumer's thread sends no heartbeats
    either: the worker loses its partitions to others, and does not sit on them.

    Args:
        loop: the event loop, running.
        limit: seconds.
        end: is told for how many seconds the loop has not run.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: float, end: Callable[[float], None]) -> None:
        self._loop = loop
        self._limit = limit
        self._end = end
        self._step = min(_STEP_SECONDS, limit / 4)
        self._answered = threading.Event()
        self._answered.set()
        self._stopped = threading.Event()
        self._before = 0.0
        self.blocked = 0.0

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._run, name="loop-guard", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def _run(self) -> None:
        self._before = monotonic()
        while not self._stopped.wait(self._step) and not self._loop.is_closed():
            if self.look(monotonic()):
                self._end(self.blocked)
                return

    def look(self, now: float) -> bool:
        """Take one look and ask the loop to answer before the next; whether it has not run for too long."""
        passed, self._before = now - self._before, now
        if self._answered.is_set():
            self.blocked = 0.0
            self._answered.clear()
            try:
                self._loop.call_soon_threadsafe(self._answered.set)
            except RuntimeError:  # closed just now
                self._stopped.set()
        else:
            self.blocked += min(passed, self._step * _JUMP)
        return self.blocked > self._limit
