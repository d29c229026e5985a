"""Making and checking the keyspace and the tables of a Cassandra catalogue. All of it blocks: call it in a thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import stamina
from cassandra.cluster import Session
from cassandra.protocol import ErrorMessageSub

from watson.errors import ServiceUnavailable, UserError
from watson.settings import Settings
from watson.storage.cassandra_cluster import PASSING, CassandraAddress, cluster_of, why_not
from watson.storage.schema_steps import refuse_newer, schema_steps

__all__ = ["STEPS_DONE", "migrate_keyspace"]

STEPS_DONE = "SELECT step FROM schema_steps WHERE component = 'catalogue'"

_STEPS_TABLE = (
    "CREATE TABLE IF NOT EXISTS schema_steps "
    "(component text, step int, name text, applied_at timestamp, PRIMARY KEY (component, step))"
)
_LOCK_TABLE = "CREATE TABLE IF NOT EXISTS schema_lock (component text PRIMARY KEY, holder text)"
_LOCK = "INSERT INTO schema_lock (component, holder) VALUES ('catalogue', %s) IF NOT EXISTS USING TTL 300"
_UNLOCK = "DELETE FROM schema_lock WHERE component = 'catalogue' IF holder = %s"
_RECORD = "INSERT INTO schema_steps (component, step, name, applied_at) VALUES ('catalogue', %s, %s, %s)"

_STATEMENT_SECONDS = 60.0  # changes of the schema wait until all nodes agree
_LOCK_SECONDS = 120.0


class _LockHeldError(Exception):
    """Somebody else migrates at the moment."""


def migrate_keyspace(settings: Settings, address: CassandraAddress) -> list[str]:
    """Make the keyspace and bring its tables to this code's schema; returns the names of the steps done.

    Raises:
        ServiceUnavailable: no host answers.
        UserError: the role lacks a permission, the schema is newer than this code, or another
            migration holds the lock for too long.
    """
    cluster = cluster_of(settings, address, _STATEMENT_SECONDS)
    try:
        session = cluster.connect()
        _make_keyspace(session, address, settings.cassandra_replication)
        session.execute(_STEPS_TABLE)
        session.execute(_LOCK_TABLE)
        with _lock(session, address):
            return _do_missing_steps(session, address)
    except PASSING as exc:
        raise ServiceUnavailable(why_not(address, exc)) from exc
    except ErrorMessageSub as exc:
        raise UserError(why_not(address, exc)) from exc
    finally:
        cluster.shutdown()


def _make_keyspace(session: Session, address: CassandraAddress, replicas: int) -> None:
    # Looked up first: a role that may use the keyspace need not be allowed to create one.
    if address.keyspace not in session.cluster.metadata.keyspaces:
        # NetworkTopologyStrategy also on one node: so many replicas in each data centre that exists now.
        session.execute(
            f"CREATE KEYSPACE IF NOT EXISTS {address.keyspace} "
            f"WITH replication = {{'class': 'NetworkTopologyStrategy', 'replication_factor': {replicas}}}"
        )
    session.set_keyspace(address.keyspace)


def _do_missing_steps(session: Session, address: CassandraAddress) -> list[str]:
    done = {row.step for row in session.execute(STEPS_DONE)}
    refuse_newer(str(address), done, schema_steps("cql"))
    missing = [step for step in schema_steps("cql") if step.number not in done]
    for step in missing:
        for statement in step.statements:
            session.execute(statement)
        session.execute(_RECORD, (step.number, step.name, datetime.now(UTC)))
    return [step.name for step in missing]


@contextmanager
def _lock(session: Session, address: CassandraAddress) -> Iterator[None]:
    """One migration at a time; the lock of one that died goes away after five minutes.

    Not for correctness of the data (every statement may be done twice): nodes that create one table at the same time
    can disagree about its id.
    """
    holder = str(uuid4())
    try:
        for attempt in stamina.retry_context(
            on=_LockHeldError, attempts=None, timeout=_LOCK_SECONDS, wait_initial=0.2, wait_max=2.0
        ):
            with attempt:
                _take(session, holder)
    except _LockHeldError as exc:
        raise UserError(
            f"Another migration of {address} is under way ({exc}). Wait for it; where it died, its lock goes away "
            "five minutes after it began."
        ) from exc
    try:
        yield
    finally:
        session.execute(_UNLOCK, (holder,))


def _take(session: Session, holder: str) -> None:
    result = session.execute(_LOCK, (holder,)).one()
    # A try that timed out may have taken the lock all the same.
    if not result.applied and result.holder != holder:
        raise _LockHeldError(result.holder)
