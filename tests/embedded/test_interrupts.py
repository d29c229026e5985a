from __future__ import annotations

import asyncio
import io
import os
import signal

import pytest
from rich.console import Console

from watson.embedded.interrupts import Interrupted, interruptible


def _console() -> Console:
    return Console(file=io.StringIO())


async def test_the_first_signal_stops_in_order_and_says_how_to_go_on() -> None:
    console = _console()
    tidied = []

    async def work() -> None:
        async with interruptible(console):
            try:
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.sleep(20)
            finally:
                tidied.append(True)

    with pytest.raises(Interrupted, match="Run the same command again"):
        await work()
    assert tidied
    assert "Stopping" in console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


async def test_the_second_signal_forces() -> None:
    forced = asyncio.Event()

    async def work() -> None:
        async with interruptible(_console()) as interrupts:
            interrupts.on_force(forced.set)
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                await asyncio.sleep(20)
            finally:
                assert not forced.is_set()
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.wait_for(forced.wait(), 20)

    with pytest.raises(Interrupted):
        await work()


async def test_a_cancellation_that_nobody_asked_for_by_a_signal_stays_one() -> None:
    async def work() -> None:
        async with interruptible(_console()):
            await asyncio.sleep(20)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_afterwards_ctrl_c_is_pythons_own_again() -> None:
    async with interruptible(_console()):
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
