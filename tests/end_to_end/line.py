"""The whole line on real servers: topics, schema, bucket, and every role as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from tests.services.process import signal_group, spawn, tail, wait_until

ROLES = ("discover", "preprocess", "segment", "catalogue", "project", "web")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Worker:
    """One role process. ``program`` is the module that is run as ``watson``."""

    def __init__(
        self, role: str, name: str, environment: Mapping[str, str], folder: Path, program: str = "watson"
    ) -> None:
        self.role, self.name, self.program = role, name, program
        self.port = free_port()
        self.log = folder / f"{name}.log"
        self._environment = {
            **environment,
            "WATSON_STATE_DIR": str(folder / f"state-{name}"),
            "WATSON_WEB_PORT": str(self.port),
            "WATSON_GROUP_INSTANCE_ID": name,
            "PYTHONUNBUFFERED": "1",
        }
        self.process = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", self.program, "worker", self.role]
        return spawn(command, log=self.log, environment=self._environment)

    def kill(self) -> None:
        """SIGKILL, and see it dead."""
        signal_group(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)

    def restart(self) -> None:
        """A new process with the same identity and state directory."""
        self.process = self._spawn()

    def stop(self, seconds: float = 30) -> int:
        """SIGTERM; returns the exit code, or kills it and returns -9."""
        signal_group(self.process.pid, signal.SIGTERM)
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/ready", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False


class Line:
    """All roles against given servers; a context manager that leaves no process behind."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.environment = {"WATSON_LOG_FORMAT": "console", **environment}
        self.folder = folder
        self.workers: dict[str, Worker] = {}

    def __enter__(self) -> Self:
        self.cli("topics", "create")
        self.cli("catalogue", "migrate")
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers.values():
            signal_group(worker.process.pid, signal.SIGKILL)
        for worker in self.workers.values():
            worker.process.wait(timeout=10)

    def start(self, *roles: str, program: str = "watson") -> None:
        """Start one worker a role (name a role twice for two) and wait until all are ready."""
        for role in roles or ROLES:
            self.begin(role, program)
        self.wait(lambda: all(worker.ready() for worker in self.workers.values()), 90, "all workers ready")

    def begin(self, role: str, program: str = "watson") -> None:
        """Start one worker more, and do not wait for it."""
        number = sum(worker.role == role for worker in self.workers.values())
        name = f"{role}-{number}"
        self.workers[name] = Worker(role, name, self.environment, self.folder, program)

    def cli(
        self, *arguments: str, check: bool = True, seconds: float = 120, program: str = "watson"
    ) -> subprocess.CompletedProcess[str]:
        """Run a watson command as a user would."""
        done = subprocess.run(
            [sys.executable, "-m", program, *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"watson {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def status(self, job: str) -> dict:
        done = self.cli("status", job, "--json", check=False)
        return json.loads(done.stdout) if done.stdout.startswith("{") else {"state": "unknown", "counts": {}}

    def complete(self, job: str) -> bool:
        status = self.status(job)
        assert status["state"] not in ("failed", "cancelled"), status
        counts = status["counts"]
        ended = counts.get("catalogued", 0) + counts.get("quarantined", 0)
        return status["state"] == "complete" and ended == counts.get("discovered", -1)

    def wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Poll; on a time-out, fail with the logs' ends."""
        if not wait_until(condition, seconds=seconds):
            logs = "\n".join(f"--- {worker.name}\n{tail(worker.log, 15)}" for worker in self.workers.values())
            raise AssertionError(f"not within {seconds} s: {what}\n{logs}")


def pause(seconds: float) -> None:
    """For fault schedules only: the moment of a fault is part of the test, not a wait for a condition."""
    time.sleep(seconds)
