"""Processes of the tests: each in a session of its own, with a log, ending with the test at the latest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_GUARD = Path(__file__).with_name("guard.py")
_POLL_SECONDS = 0.05


def spawn(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None, outlive: bool = False
) -> subprocess.Popen[bytes]:
    """Start `command` as leader of a new process group; its output is appended to `log`.

    Args:
        command: program and arguments.
        log: file for stdout and stderr.
        environment: added to this process's own.
        outlive: go on after this process ends; otherwise a guard kills the group as soon as this process is gone.
    """
    guard = [] if outlive else [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid())]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*guard, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )


def signal_group(pid: int, number: signal.Signals) -> None:
    """Signal the process group that `pid` leads; a group that is gone already is fine."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def group_is_frozen(pid: int) -> bool:
    """Whether no thread of the process group that `pid` leads runs: SIGSTOP is asked for, and obeyed a little later."""
    threads = ["-L"] if sys.platform == "linux" else []
    command = ["ps", "-A", *threads, "-o", "pgid=,stat="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    states = [state for group, state in map(str.split, listed.splitlines()) if int(group) == pid]
    return all(state[0] in "TZ" for state in states)


def command_of(pid: int) -> str:
    """The command line of a process; empty when it is gone or a zombie."""
    file = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self/cmdline").exists():
        try:
            return file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    found = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Poll until `condition` holds (True) or the time is over (False)."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def tail(log: Path, lines: int = 30) -> str:
    """The last lines of a log, for an error message."""
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) or "(the log is empty)"
