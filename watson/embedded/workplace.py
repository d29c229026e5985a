"""``DATASET/.watson``: where the embedded mode keeps what it needs to run, and to resume."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from watson.errors import UserError
from watson.export.staging import check_target

__all__ = ["Workplace", "claim"]


@dataclass(frozen=True, slots=True)
class Workplace:
    """The paths. ``objects`` is what a later run uses again; the rest is of one run."""

    root: Path

    @property
    def objects(self) -> Path:
        """Normalised pictures and masks, under content addresses."""
        return self.root / "objects"

    @property
    def models(self) -> Path:
        """Weights of registered models, as the segment worker fetched them."""
        return self.root / "models"

    @property
    def catalogue(self) -> Path:
        """SQLite."""
        return self.root / "catalogue.db"

    @property
    def state(self) -> Path:
        """RocksDB of the stage tables, a directory a role."""
        return self.root / "state"

    @property
    def logs(self) -> Path:
        """A log a role, of the last run."""
        return self.root / "logs"

    def forget_state(self) -> None:
        """Drop the stage tables: they speak of a log that ended with its broker."""
        if self.state.exists():
            shutil.rmtree(self.state)
        self.state.mkdir(parents=True)


@contextmanager
def claim(out: Path) -> Iterator[Workplace]:
    """The workplace of a dataset directory, for one run alone. The claim ends with the process, however it ends.

    Raises:
        UserError: ``out`` holds something else, cannot be written, or another run works on it.
    """
    check_target(out)
    root = out / ".watson"
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / "run.lock").open("a+")
    except OSError as exc:
        raise UserError(f"{out} cannot be written: {exc.strerror}. Name another directory") from exc
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise UserError(
                f"Another `watson run` (process {holder}) works on {out}; wait for it, stop it, or name another "
                "directory"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        workplace = Workplace(root)
        if workplace.logs.exists():
            shutil.rmtree(workplace.logs)
        workplace.logs.mkdir()
        yield workplace
