"""Memory of a worker process: what the kernel says, sampled while it works."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from typing import Self

MB = 1_000_000
_PERIOD_SECONDS = 0.25


def worker_pid(process: subprocess.Popen[bytes]) -> int:
    """The program behind the guard that `tests.services.process.spawn` puts before it."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1, f"the worker of {process.pid} is not running: {children}"
    return int(children[0])


def resident(pid: int) -> int:
    """Bytes that are resident now."""
    return _status(pid, "VmRSS")


def peak(pid: int) -> int:
    """The most bytes that ever were."""
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} is gone")


class Samples:
    """Resident bytes of a process, a few times a second, in a thread; a context manager."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._take, name=f"memory-{pid}", daemon=True)
        self.taken: list[int] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _take(self) -> None:
        while not self._over.wait(_PERIOD_SECONDS):
            try:
                self.taken.append(resident(self._pid))
            except (FileNotFoundError, ProcessLookupError, AssertionError):
                return  # it ended: the test sees that by itself

    def most(self) -> int:
        return max(self.taken)
