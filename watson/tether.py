"""Runs a command that ends when the process that wanted it ends, even by SIGKILL: no orphans, no ports left behind.

Run as a script, ``python tether.py PARENT_PID COMMAND…``; imports nothing of Watson's, so that it starts in
milliseconds. It is a program of its own because the wish must be made between fork and exec, and Python code is not
safe there in a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time

_PR_SET_PDEATHSIG = 1  # Source: linux/prctl.h
_POLL_SECONDS = 0.5


def main() -> None:
    """Become the command (Linux), or watch over it (elsewhere, or with ``TETHER_WATCH`` set)."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux" and "TETHER_WATCH" not in os.environ:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
        # The parent may have died before the wish was made; then nobody would ever send the signal.
        if os.getppid() != parent:
            sys.exit("the parent is gone")
        os.execvp(command[0], command)  # noqa: S606 - the caller's own command, without a shell
    sys.exit(_watch(parent, command))


def _watch(parent: int, command: list[str]) -> int:
    child = subprocess.Popen(command)  # noqa: S603 - the caller's own command, without a shell
    # The supervisor signals the whole group, so the child has it too: this process outlives it to tell its code.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    while (code := child.poll()) is None:
        if os.getppid() != parent:
            child.kill()
        time.sleep(_POLL_SECONDS)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    main()
