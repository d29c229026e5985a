"""Making and checking the tables of an SQLite catalogue."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import stamina

from watson.errors import UserError
from watson.events import ImageCatalogued
from watson.storage.schema_steps import check_schema, refuse_newer, schema_steps
from watson.storage.sqlite_connections import BUSY_SECONDS, connect
from watson.storage.stored import load
from watson.storage.uncertainty import doubt

__all__ = ["check_file", "migrate_file"]

_STEPS_TABLE = (
    "CREATE TABLE IF NOT EXISTS schema_steps (step INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL)"
)


def migrate_file(path: Path) -> list[str]:
    """Make the file, its directory and its tables; returns the names of the steps done. Blocks.

    Raises:
        UserError: the file cannot be written, is no database, or has a newer schema.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The switch to WAL does not wait for locks as other statements do: two processes may meet here.
        for attempt in stamina.retry_context(on=_is_locked, attempts=100, timeout=BUSY_SECONDS, wait_max=0.5):
            with attempt:
                return _migrate(path)
    except (OSError, sqlite3.Error) as exc:
        raise UserError(f"The catalogue sqlite:{path} cannot be made: {exc}.") from exc
    raise AssertionError("stamina returns or raises")


def check_file(path: Path) -> None:
    """Refuse a file that has not exactly this code's schema. Blocks.

    Raises:
        UserError: says what to do.
    """
    if not path.is_file():
        raise UserError(
            f"There is no catalogue at sqlite:{path} (WATSON_CATALOGUE): run `watson catalogue migrate` to make it."
        )
    try:
        connection = connect(path)
        try:
            done = _steps_done(connection)
        finally:
            connection.close()
    except sqlite3.Error as exc:
        raise UserError(
            f"The catalogue sqlite:{path} cannot be opened: {exc}. If the file is damaged, move it away, run "
            "`watson catalogue migrate`, and, where there is a log, `watson project rebuild`."
        ) from exc
    check_schema(f"sqlite:{path}", done, schema_steps("sql"))


def _migrate(path: Path) -> list[str]:
    connection = connect(path, create=True)
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise UserError(f"sqlite:{path} is on a file system without shared memory: choose a local disk.")
        connection.execute("BEGIN IMMEDIATE")  # a second process waits here, and then finds all steps done
        connection.execute(_STEPS_TABLE)
        done = _steps_done(connection)
        refuse_newer(f"sqlite:{path}", done, schema_steps("sql"))
        connection.create_function("uncertainty_of", 1, _uncertainty_of)
        missing = [step for step in schema_steps("sql") if step.number not in done]
        for step in missing:
            for statement in step.statements:
                connection.execute(statement)
            applied = (step.number, step.name, datetime.now(UTC).isoformat())
            connection.execute("INSERT INTO schema_steps VALUES (?, ?, ?)", applied)
        connection.execute("COMMIT")
        return [step.name for step in missing]
    finally:
        connection.close()  # rolls back what was not committed


def _uncertainty_of(event: str) -> float | None:
    """For step 3: of a stored image. None where the row is damaged, which is said when it is read."""
    try:
        return doubt(load(ImageCatalogued, event)).value
    except UserError:
        return None


def _steps_done(connection: sqlite3.Connection) -> set[int]:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_steps'").fetchone()
    return {step for (step,) in connection.execute("SELECT step FROM schema_steps")} if found else set()


def _is_locked(exc: Exception) -> bool:
    return getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
