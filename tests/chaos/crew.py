"""The workers of a run, started again when they die, as Kubernetes would; every end is counted by its exit code."""

from __future__ import annotations

import os
import resource
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Self

from tests.end_to_end.line import free_port
from tests.services.process import signal_group, spawn, wait_until

__all__ = ["WATSON", "Crew", "Worker"]

WATSON = ("-m", "watson", "worker")

_LOOK_SECONDS = 0.1
_BACKOFF_SECONDS, _BACKOFF_MAX_SECONDS = 0.5, 8.0
_GOOD_RUN_SECONDS = 20.0  # after so long the backoff begins anew

# What a worker does when it may write no byte to any file: every write is refused with EFBIG (Python ignores SIGXFSZ)
_WITHOUT_DISK = (
    "import os,resource,sys; resource.setrlimit(resource.RLIMIT_FSIZE,(0,-1)); os.execv(sys.argv[1],sys.argv[1:])"
)


class Worker:
    """One role process with its own name and state directory. Its log goes through a pipe, so that a full disk of the
    process (`Crew.without_disk`) is no full disk of its log."""

    def __init__(
        self, role: str, name: str, environment: Mapping[str, str], folder: Path, entry: Sequence[str]
    ) -> None:
        self.role, self.name = role, name
        self.state = folder / f"state-{name}"
        self.log = folder / f"{name}.log"
        self.pipe = folder / f"{name}.pipe"
        self.lock = threading.RLock()  # one fault at a time
        self.held = False  # not to be started again for now
        self.disk_full = False
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.restarts_in_a_row = 0
        self._entry = entry
        self._environment = {
            **environment,
            "WATSON_STATE_DIR": str(self.state),
            "WATSON_WEB_PORT": str(free_port()),
            "WATSON_GROUP_INSTANCE_ID": name,
            "PYTHONUNBUFFERED": "1",
        }

    def start(self) -> None:
        before = [sys.executable, "-c", _WITHOUT_DISK] if self.disk_full else []
        command = [*before, sys.executable, *self._entry, self.role]
        self.process = spawn(command, log=self.pipe, environment=self._environment)
        self.started_at = time.monotonic()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None:
            signal_group(self.process.pid, number)

    def end(self, number: signal.Signals, seconds: float = 25.0) -> None:
        """Signal it and see it gone."""
        self.signal(number)
        if not wait_until(lambda: not self.running, seconds=seconds):
            self.signal(signal.SIGKILL)
            wait_until(lambda: not self.running, seconds=10)

    def limit_files(self, size: int) -> None:
        """Bytes that any file of the running process may have."""
        if self.process is None:
            return
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            for pid in map(int, children.read_text().split()):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        except (FileNotFoundError, ProcessLookupError):
            return  # it died meanwhile


class Crew:
    """All workers; a context manager that leaves no process behind."""

    def __init__(self, environment: Mapping[str, str], folder: Path, entry: Sequence[str] = WATSON) -> None:
        self.workers: dict[str, Worker] = {}
        self.exits: Counter[tuple[str, int]] = Counter()
        self._environment, self._folder, self._entry = environment, folder, entry
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._supervise, self._copy_logs)]
        self._pipes = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)
        for worker in self.workers.values():
            worker.signal(signal.SIGKILL)
        for worker in self.workers.values():
            if worker.process is not None:
                worker.process.wait(10)
        for key in list(self._pipes.get_map().values()):
            os.close(key.fd)
            key.data.close()
        self._pipes.close()

    def start(self, numbers: Mapping[str, int]) -> None:
        """Start so many workers of each role."""
        for role, number in numbers.items():
            for place in range(number):
                name = f"{role}-{place}"
                worker = Worker(role, name, self._environment, self._folder, self._entry)
                os.mkfifo(worker.pipe)
                # opened for reading and writing: it never blocks, and never ends when a worker does
                self._pipes.register(os.open(worker.pipe, os.O_RDWR), selectors.EVENT_READ, worker.log.open("ab"))
                worker.start()
                self.workers[name] = worker

    def of(self, role: str) -> list[Worker]:
        return [worker for worker in self.workers.values() if worker.role == role]

    @contextmanager
    def held(self, *workers: Worker) -> Iterator[None]:
        """Workers that die are not started again before the end of the block."""
        for worker in workers:
            worker.held = True
        try:
            yield
        finally:
            for worker in workers:
                worker.held = False

    @contextmanager
    def without_disk(self, worker: Worker) -> Iterator[None]:
        """No file of the worker can be written: in this process and in those that follow it."""
        worker.disk_full = True
        worker.limit_files(0)
        try:
            yield
        finally:
            worker.disk_full = False
            worker.limit_files(resource.RLIM_INFINITY)

    def _supervise(self) -> None:
        due: dict[str, float] = {}
        while not self._stop.wait(_LOOK_SECONDS):
            for worker in list(self.workers.values()):
                process = worker.process
                if process is None or process.poll() is None:
                    continue
                if worker.name not in due:
                    self._note_end(worker, process.returncode)
                    due[worker.name] = time.monotonic() + self._backoff(worker)
                elif not worker.held and time.monotonic() > due[worker.name]:
                    worker.start()
                    del due[worker.name]

    def _note_end(self, worker: Worker, code: int) -> None:
        self.exits[worker.role, code if code >= 0 else 128 - code] += 1

    @staticmethod
    def _backoff(worker: Worker) -> float:
        lived = time.monotonic() - worker.started_at
        worker.restarts_in_a_row = 0 if lived > _GOOD_RUN_SECONDS else worker.restarts_in_a_row + 1
        return min(_BACKOFF_MAX_SECONDS, _BACKOFF_SECONDS * 2.0**worker.restarts_in_a_row)

    def _copy_logs(self) -> None:
        while not self._stop.is_set():
            if not self._pipes.get_map():
                self._stop.wait(_LOOK_SECONDS)
                continue
            for key, _ in self._pipes.select(timeout=_LOOK_SECONDS):
                log: BinaryIO = key.data
                log.write(os.read(key.fd, 65536))
                log.flush()
