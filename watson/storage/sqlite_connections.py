"""SQLite beside an event loop: one thread that writes, a few that read, and commits shared by concurrent writes."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from watson.errors import ReasonCode, Retriable, UserError

__all__ = ["Operation", "SqliteReaders", "SqliteWriter", "connect", "translated"]

Result = TypeVar("Result")
Operation = Callable[[sqlite3.Connection], None]

BUSY_SECONDS = 30.0  # how long a statement waits for another process's lock
READ_SECONDS = 60.0  # how long a read may take before it is interrupted
_LARGEST_COMMIT = 256  # writes in one transaction: bounds how long the first of them waits
_READERS = 2
_STEPS_BETWEEN_CHECKS = 100_000  # of SQLite's virtual machine; some milliseconds

_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL,
    }
)
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def connect(path: Path, *, create: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode that waits for locks, and that may be closed by another thread than its own.

    Raises:
        sqlite3.Error: the file is missing (unless ``create``), or is no database.
    """
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        # FULL: a write that returned survives a power cut; Kafka's offset may have moved past it by then.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 67108864")  # bytes
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def translated(path: Path, exc: Exception) -> Exception:
    """What the caller may do: `Retriable` for locks and the like, `UserError` for a damaged file; else itself."""
    code = getattr(exc, "sqlite_errorcode", None)
    if not isinstance(exc, sqlite3.Error) or code is None:
        return exc
    if code & 0xFF in _PASSING:
        return Retriable(f"catalogue sqlite:{path}: {exc}", ReasonCode.STORE_UNAVAILABLE)
    if code & 0xFF in _DAMAGED:
        return UserError(
            f"the catalogue sqlite:{path} is damaged ({exc}): move it away, then `watson catalogue migrate` and "
            "`watson project rebuild` make it anew from the log"
        )
    return exc


class SqliteWriter:
    """The one writing connection. Writes that wait at the same time share a commit; each returns when committed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._connection: sqlite3.Connection | None = None
        self._waiting: list[tuple[Operation, asyncio.Future[None]]] = []
        self._committing: asyncio.Task[None] | None = None

    async def write(self, operation: Operation) -> None:
        """Do an idempotent ``operation`` in a transaction; it may be done again, alone, where a neighbour failed.

        Raises:
            Retriable: the file is locked for too long, the disk is full, …
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((operation, done))
        if self._committing is None or self._committing.done():
            self._committing = loop.create_task(self._commit_waiting())
        await done

    async def close(self) -> None:
        """Finish what waits, then let go."""
        if self._committing is not None:
            await self._committing
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown(wait=False)

    async def _commit_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting[:_LARGEST_COMMIT], self._waiting[_LARGEST_COMMIT:]
            try:
                outcomes = await loop.run_in_executor(self._thread, self._commit, [operation for operation, _ in batch])
            except Exception as exc:  # noqa: BLE001 - handed to whoever awaits a write: none may wait for ever
                outcomes = [exc] * len(batch)
            for (_, done), outcome in zip(batch, outcomes, strict=True):
                if done.done():  # its caller was cancelled
                    continue
                if outcome is None:
                    done.set_result(None)
                else:
                    done.set_exception(translated(self._path, outcome))

    def _commit(self, operations: list[Operation]) -> list[Exception | None]:
        """In the thread: all in one transaction, or, where one of them fails, each in its own."""
        outcome = self._transact(operations)
        if outcome is None or len(operations) == 1:
            return [outcome] * len(operations)
        return [self._transact([operation]) for operation in operations]

    def _transact(self, operations: list[Operation]) -> Exception | None:
        try:
            if self._connection is None:
                self._connection = connect(self._path)
            self._connection.execute("BEGIN IMMEDIATE")
            for operation in operations:
                operation(self._connection)
            self._connection.execute("COMMIT")
        except Exception as exc:  # noqa: BLE001 - handed to whoever awaits the write, whatever it is
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            return exc
        return None

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()


class SqliteReaders:
    """A few threads, each with a connection that only reads. Writers, also of other processes, never block them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = ThreadPoolExecutor(_READERS, thread_name_prefix="sqlite-reader")
        self._own = threading.local()
        self._connections: list[sqlite3.Connection] = []

    async def read(self, query: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do ``query`` in one of the threads.

        Raises:
            Retriable: it took longer than a minute, the file is locked, …
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, query)
        except sqlite3.Error as exc:
            raise translated(self._path, exc) from exc

    async def close(self) -> None:
        """Let go, when the last read has ended."""
        await asyncio.to_thread(self._threads.shutdown)
        for connection in self._connections:
            connection.close()

    def _read(self, query: Callable[[sqlite3.Connection], Result]) -> Result:
        connection = self._connection()
        end = time.monotonic() + READ_SECONDS
        connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS_BETWEEN_CHECKS)
        connection.execute("BEGIN")  # one snapshot for all of the query's statements
        try:
            return query(connection)
        finally:
            connection.execute("ROLLBACK")

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = connect(self._path)
            connection.execute("PRAGMA query_only = ON")
            self._own.connection = connection
            self._connections.append(connection)
        return connection
