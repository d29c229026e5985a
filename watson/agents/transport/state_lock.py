"""One worker a state directory: an advisory lock, which the kernel drops when the process dies."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from watson.errors import UserError

__all__ = ["StateLock"]

_PATIENCE_SECONDS = 15.0  # a worker that is being stopped still has it
_POLL_SECONDS = 0.1


class StateLock:
    """Holds ``directory/lock``."""

    def __init__(self, directory: Path, patience: float = _PATIENCE_SECONDS) -> None:
        self._path = directory / "lock"
        self._patience = patience
        self._file: int | None = None

    def acquire(self) -> None:
        """Take it; blocks for a while. Called before anything else runs.

        Raises:
            UserError: another process keeps it.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + self._patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    owner = os.pread(file, 32, 0).decode(errors="replace").strip() or "unknown"
                    os.close(file)
                    raise UserError(
                        f"{self._path.parent} is in use by another worker (process {owner}): "
                        "give each worker its own WATSON_STATE_DIR"
                    ) from None
                time.sleep(_POLL_SECONDS)
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        self._file = file

    def release(self) -> None:
        """Give it back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
