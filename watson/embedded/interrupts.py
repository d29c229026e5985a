"""Ctrl-C: the first one stops in order, the second one at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from rich.console import Console

from watson.errors import WatsonError

__all__ = ["Interrupted", "Interrupts", "interruptible"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(WatsonError):  # noqa: N818 - says what happened
    """The person stopped it. What was done is kept."""

    exit_code = 130


class Interrupts:
    """What the second signal does: ends all processes at once."""

    def __init__(self) -> None:
        self._force: Callable[[], None] | None = None

    def on_force(self, action: Callable[[], None]) -> None:
        """From now on, this is what ends everything."""
        self._force = action

    def force(self) -> None:
        """End everything now."""
        if self._force:
            self._force()


@asynccontextmanager
async def interruptible(console: Console) -> AsyncIterator[Interrupts]:
    """Within, the first SIGINT or SIGTERM cancels the task, so that everything stops in order.

    Args:
        console: where to say so.

    Raises:
        Interrupted: in place of the cancellation.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("interruptible() wants to be used in a task")
    loop = asyncio.get_running_loop()
    interrupts = Interrupts()
    asked = False

    def stop() -> None:
        nonlocal asked
        if asked:
            console.print("Ending everything now.", style="yellow")
            interrupts.force()
            return
        asked = True
        console.print("Stopping… (Ctrl-C again ends everything at once)", style="yellow")
        task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield interrupts
    except asyncio.CancelledError:
        if not asked:
            raise
        task.uncancel()
        raise Interrupted("Stopped. Run the same command again to go on: what was done is kept.") from None
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
