"""Keeps programs running: restarts what dies, with backoff and an end, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from watson import tether
from watson.errors import WatsonError

__all__ = ["Patience", "Program", "ProgramFailed", "Supervisor", "log_tail"]

_TAIL_LINES = 20
_TAIL_BYTES = 16_384
_LINE_CHARACTERS = 300
_REAP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Program:
    """A program to keep running.

    Attributes:
        environment: added to this process's own.
        log: its stdout and stderr, appended.
        restart: whether to start it again when it dies.
        grace: seconds from SIGTERM to SIGKILL.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    restart: bool = True
    grace: float = 15.0


class ProgramFailed(WatsonError):  # noqa: N818 - says what happened
    """A program died and is not started again. The message has the end of its log."""

    exit_code = 1

    def __init__(self, program: Program, code: int, deaths: int) -> None:
        self.program = program
        self.code = code
        times = f" {deaths} times in quick succession, the last time" if deaths > 1 else ""
        super().__init__(
            f"{program.name} ended{times} with {_code_text(code)}. The end of its log ({program.log}):\n"
            f"{log_tail(program.log)}"
        )


@dataclass(frozen=True, slots=True)
class Patience:
    """When to give up. A life of at least ``quick`` seconds clears the count of deaths.

    Attributes:
        deaths: quick deaths in a row after which a program counts as failed.
        backoff: seconds before the first restart; doubles up to ``backoff_max``.
    """

    quick: float = 20.0
    deaths: int = 5
    backoff: float = 0.5
    backoff_max: float = 10.0


class Supervisor:
    """Runs programs, each in its own process group, tied to the life of this process.

    Use as an async context manager: at its end all programs are stopped, gently at first. Belongs to the main
    thread: on Linux a child is tied to the thread that started it.
    """

    def __init__(self, patience: Patience | None = None, on_death: Callable[[str], None] | None = None) -> None:
        self._patience = patience or Patience()
        self._on_death = on_death or (lambda _message: None)
        self._stopping = asyncio.Event()
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._programs: dict[str, Program] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def start(self, program: Program) -> None:
        """Keep this program running from now on."""
        self._programs[program.name] = program
        self._tasks[program.name] = asyncio.create_task(self._keep(program), name=f"keep {program.name}")

    def pid(self, name: str) -> int | None:
        """Process id of a program while it runs."""
        process = self._processes.get(name)
        return process.pid if process else None

    async def failed(self) -> None:
        """Wait until a program has failed for good.

        Raises:
            ProgramFailed: always, at the end.
        """
        done, _ = await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def stop(self) -> None:
        """Ask all programs to end (SIGTERM), and end those that do not within their grace (SIGKILL)."""
        self._stopping.set()
        for name in tuple(self._processes):
            self._signal(name, signal.SIGTERM)
        if self._tasks:
            grace = max(program.grace for program in self._programs.values())
            _, late = await asyncio.wait(self._tasks.values(), timeout=grace)
            if late:
                self.kill()
                await asyncio.wait(late, timeout=_REAP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End all programs now."""
        self._stopping.set()
        for name in tuple(self._processes):
            self._signal(name, signal.SIGKILL)

    async def _keep(self, program: Program) -> None:
        patience = self._patience
        loop = asyncio.get_running_loop()
        deaths = 0
        while not self._stopping.is_set():
            started = loop.time()
            code = await self._live(program)
            if self._stopping.is_set():
                return
            deaths = deaths + 1 if loop.time() - started < patience.quick else 1
            if not program.restart or deaths >= patience.deaths:
                raise ProgramFailed(program, code, deaths)
            delay = min(patience.backoff * 2 ** (deaths - 1), patience.backoff_max)
            self._on_death(f"{program.name} ended with {_code_text(code)}; starts again in {delay:g} s")
            await _wait(self._stopping, delay)

    async def _live(self, program: Program) -> int:
        """One life of a program, from its start to its exit code."""
        program.log.parent.mkdir(parents=True, exist_ok=True)
        with program.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-E", "-S", tether.__file__, str(os.getpid()), *program.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **program.environment},
                start_new_session=True,  # Ctrl-C in the terminal is for the supervisor, which stops them in order
            )
        self._processes[program.name] = process
        try:
            if self._stopping.is_set():
                self._signal(program.name, signal.SIGTERM)
            return await process.wait()
        finally:
            # What the program started, and did not take along, ends with it.
            self._signal(program.name, signal.SIGKILL)
            del self._processes[program.name]

    def _signal(self, name: str, number: signal.Signals) -> None:
        try:
            os.killpg(self._processes[name].pid, number)
        except ProcessLookupError:
            return  # it ended by itself meanwhile: what was wanted


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def log_tail(log: Path) -> str:
    """The last lines of a log, for a message; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    lines = deque((line[:_LINE_CHARACTERS] for line in text.splitlines() if line.strip()), maxlen=_TAIL_LINES)
    return "\n".join(f"  {line}" for line in lines)


def _code_text(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"
