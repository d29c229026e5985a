"""Run a command and end it when the process that asked for it is gone, even by kill -9.

Started as ``python guard.py PARENT_PID COMMAND...``. PR_SET_PDEATHSIG would do the same for less, but it follows the
parent's *thread*: a server restarted from a worker thread would die with that thread.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

_POLL_SECONDS = 0.2


def main() -> int:
    """Run the command; the exit status is the command's own, as a shell gives it."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    # The whole group is signalled at once; the guard stays to see the command end. A handler (unlike SIG_IGN) is not
    # inherited by the command.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    child = subprocess.Popen(command)
    while True:
        try:
            code = child.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if os.getppid() != parent:
                os.killpg(0, signal.SIGKILL)
            continue
        return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
