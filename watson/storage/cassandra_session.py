"""The DataStax driver behind asyncio: connect in a thread, await responses, time-outs, bounded retries."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import stamina
from cassandra.cluster import Cluster, Session
from cassandra.protocol import ErrorMessageSub
from cassandra.query import BatchStatement, BatchType

from watson.errors import ReasonCode, Retriable, ServiceUnavailable, UserError
from watson.settings import Settings
from watson.storage.cassandra_cluster import PASSING, CassandraAddress, cluster_of, why_not

__all__ = ["CassandraSession"]

_IN_FLIGHT = 256  # requests of one process at the same time: far below a connection's 32,768 streams
_TRIES = 3
_PAGE = 500  # rows that the server sends at once
_GRACE = 5.0  # seconds beyond the driver's own time-out, in case its timer thread is gone


class CassandraSession:
    """A connected session. Made by `connect`, used in one event loop, ended by `close`."""

    def __init__(self, cluster: Cluster, session: Session, place: str, timeout: float) -> None:
        self._cluster = cluster
        self._session = session
        self._place = place
        self._timeout = timeout
        self._slots = asyncio.Semaphore(_IN_FLIGHT)
        session.default_fetch_size = _PAGE

    @classmethod
    async def connect(cls, settings: Settings, address: CassandraAddress) -> CassandraSession:
        """Connect to the keyspace, in a thread.

        Raises:
            ServiceUnavailable: no host answers, or none takes the password.
            UserError: there is no such keyspace, or it may not be used.
        """
        cluster = cluster_of(settings, address)
        try:
            session = await asyncio.to_thread(_connect, cluster, address)
        except PASSING as exc:
            await asyncio.to_thread(cluster.shutdown)
            raise ServiceUnavailable(why_not(address, exc)) from exc
        except ErrorMessageSub as exc:
            await asyncio.to_thread(cluster.shutdown)
            raise UserError(why_not(address, exc)) from exc
        except BaseException:
            await asyncio.to_thread(cluster.shutdown)
            raise
        return cls(cluster, session, str(address), settings.cassandra_timeout)

    async def close(self) -> None:
        """Close all connections, in a thread."""
        await asyncio.to_thread(self._cluster.shutdown)

    async def prepare(self, queries: Sequence[str]) -> dict[str, Any]:
        """Prepare statements on all hosts, in a thread; all are marked as idempotent.

        Raises:
            Retriable: as `execute`.
        """

        def prepare_all() -> dict[str, Any]:
            prepared = {query: self._session.prepare(query) for query in queries}
            for statement in prepared.values():
                statement.is_idempotent = True
            return prepared

        try:
            return await asyncio.to_thread(prepare_all)
        except PASSING as exc:
            raise self._retriable(exc) from exc

    async def execute(
        self, statement: object, values: Sequence[object] = (), *, seconds: float | None = None
    ) -> list[Any]:
        """Send an idempotent statement; returns the rows of all its pages.

        Args:
            statement: prepared, a batch, or CQL text.
            values: of the statement's parameters.
            seconds: time-out of one page in one try; None for the setting.

        Raises:
            Retriable: time-outs, too few replicas, no host, after some quick tries.
        """
        async with self._slots:
            try:
                async for attempt in stamina.retry_context(
                    on=PASSING, attempts=_TRIES, timeout=None, wait_initial=0.2, wait_max=2.0, wait_jitter=0.2
                ):
                    with attempt:
                        return await self._execute_once(statement, values, seconds or self._timeout)
            except PASSING as exc:
                raise self._retriable(exc) from exc
        raise AssertionError("stamina returns or raises")

    async def execute_together(self, statements: Sequence[tuple[object, Sequence[object]]]) -> None:
        """Send statements of ONE partition as one mutation, all or nothing.

        Raises:
            Retriable: as `execute`.
        """
        # Unlogged is right for one partition: the server applies it as one mutation, without a batch log.
        batch = BatchStatement(BatchType.UNLOGGED)
        for statement, values in statements:
            batch.add(statement, values)
        batch.is_idempotent = True
        await self.execute(batch)

    def _retriable(self, exc: Exception) -> Retriable:
        message = f"catalogue {self._place}: {type(exc).__name__}: {exc}"
        return Retriable(message, ReasonCode.STORE_UNAVAILABLE)

    async def _execute_once(self, statement: object, values: Sequence[object], seconds: float) -> list[Any]:
        loop = asyncio.get_running_loop()
        # The driver's thread delivers here; one page at most, since the next is asked for when this one was taken.
        delivered: asyncio.Queue[Sequence[Any] | Exception] = asyncio.Queue()

        def deliver(page: Sequence[Any] | Exception | None) -> None:
            if not loop.is_closed():  # else nobody waits any more
                loop.call_soon_threadsafe(delivered.put_nowait, page or ())

        response = self._session.execute_async(statement, values or None, timeout=seconds)
        response.add_callbacks(deliver, deliver)
        rows: list[Any] = []
        while True:
            async with asyncio.timeout(seconds + _GRACE):
                page = await delivered.get()
            if isinstance(page, Exception):
                raise page
            rows.extend(page)
            if not response.has_more_pages:
                return rows
            response.start_fetching_next_page()


def _connect(cluster: Cluster, address: CassandraAddress) -> Session:
    session = cluster.connect()
    # Looked up, since the driver takes a missing keyspace for an unreachable host.
    if address.keyspace not in cluster.metadata.keyspaces:
        raise UserError(f"There is no keyspace for {address}: run `watson catalogue migrate` to make it.")
    session.set_keyspace(address.keyspace)
    return session
