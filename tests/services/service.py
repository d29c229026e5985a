"""What the three servers have in common: start, stop, kill, come back on the same port with the same data."""

from __future__ import annotations

import signal
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from tests.services.process import group_is_frozen, signal_group, spawn, tail, wait_until
from tests.services.report import ServiceError


class Service(ABC):
    """One server process. Port and data belong to the object, so that `kill` and `start` make a crash and recovery.

    Args:
        directory: for data, configuration and log; made if missing.

    The methods block: call them as ``await asyncio.to_thread(kafka.restart)`` in an asynchronous test.
    """

    name: ClassVar[str]
    endpoint: Any  # where it serves: a frozen dataclass of each server's own
    start_seconds: ClassVar[float] = 90.0  # the test machine may be busy with other things
    stop_seconds: ClassVar[float] = 30.0

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log = self.directory / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def prepare(self) -> None:
        """Write configuration and format data where that has not been done."""

    @abstractmethod
    def command(self) -> list[str]:
        """Program and arguments; `directory` occurs among them, by which a later process knows its own."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether the server answers a request of its own protocol."""

    def environment(self) -> dict[str, str]:
        """Variables for the server."""
        return {}

    @property
    def pid(self) -> int | None:
        """Leader of the server's process group while it runs."""
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, outlive: bool = False) -> None:
        """Start and wait until it serves.

        Args:
            outlive: leave it running when this process ends.

        Raises:
            ServiceError: it runs already, ended at once or did not answer in time.
        """
        if self.running:
            raise ServiceError(f"{self.name} runs already (pid {self.pid}).")
        self.prepare()
        began = time.monotonic()
        self._process = spawn(self.command(), log=self.log, environment=self.environment(), outlive=outlive)
        try:
            answered = wait_until(lambda: not self.running or self.ready(), seconds=self.start_seconds)
        except BaseException:  # Ctrl-C too must leave no process behind
            self.kill()
            raise
        if answered and self.running:
            return
        what = (
            f"ended with code {self._process.poll()}"
            if not self.running
            else f"did not answer within {time.monotonic() - began:.0f} s"
        )
        self.kill()
        raise ServiceError(f"{self.name} {what}. The end of {self.log}:\n{tail(self.log)}")

    def stop(self) -> None:
        """End it with SIGTERM, or SIGKILL when that takes too long; fine when it does not run."""
        if self._process is None:
            return
        signal_group(self._process.pid, signal.SIGCONT)
        signal_group(self._process.pid, signal.SIGTERM)
        if not wait_until(lambda: not self.running, seconds=self.stop_seconds):
            self.kill()

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL); fine when it does not run."""
        if self._process is None:
            return
        signal_group(self._process.pid, signal.SIGKILL)
        self._process.wait(self.stop_seconds)

    def restart(self) -> None:
        """Stop and start on the same port and data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open and nobody answers; returns when it is frozen.

        Raises:
            ServiceError: a thread of it still ran after `stop_seconds`.
        """
        if self._process is None:
            return
        pid = self._process.pid
        signal_group(pid, signal.SIGSTOP)
        if not wait_until(lambda: group_is_frozen(pid), seconds=self.stop_seconds):
            raise ServiceError(f"{self.name} (process group {pid}) still ran {self.stop_seconds:.0f} s after SIGSTOP.")

    def resume(self) -> None:
        """End a `pause`."""
        if self._process is not None:
            signal_group(self._process.pid, signal.SIGCONT)
