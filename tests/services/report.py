"""What the tests' servers tell the person at the terminal: progress and errors."""

from __future__ import annotations

import sys


class ServiceError(RuntimeError):
    """A server cannot be had, started or stopped; the message says why, with the end of a log where there is one."""


def say(text: str) -> None:
    """A line of progress; pytest shows it only when something fails."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - for the person at the terminal
