"""The driver's cluster object: its address from the setting, its policies, and which of its errors can pass."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cassandra import ConsistencyLevel, OperationTimedOut, ProtocolVersion
from cassandra import RequestExecutionException as RequestFailed
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.connection import ConnectionException
from cassandra.policies import DCAwareRoundRobinPolicy, ExponentialReconnectionPolicy, TokenAwarePolicy
from cassandra.pool import NoConnectionsAvailable
from cassandra.protocol import RequestExecutionException, ServerError

from watson.errors import UserError
from watson.settings import Settings

__all__ = ["PASSING", "CassandraAddress", "cassandra_address", "cluster_of", "why_not"]

PASSING = (
    OperationTimedOut,
    RequestFailed,  # unavailable, read and write time-outs and failures
    RequestExecutionException,  # overloaded, bootstrapping, truncation failed
    ServerError,
    NoHostAvailable,
    NoConnectionsAvailable,
    ConnectionException,
    TimeoutError,
)
"""What can pass: the same request, sent again, may do. (Every statement here is idempotent.)"""

_URL = re.compile(
    r"cassandra://(?P<hosts>[A-Za-z0-9._-]+(,[A-Za-z0-9._-]+)*|\[[0-9A-Fa-f:.]+\])(:(?P<port>\d{1,5}))?/"
    r"(?P<keyspace>[a-z][a-z0-9_]{0,47})"
)
_DEFAULT_PORT = 9042


@dataclass(frozen=True, slots=True)
class CassandraAddress:
    """What ``cassandra://host[,host][:port]/keyspace`` says."""

    hosts: tuple[str, ...]
    port: int
    keyspace: str

    def __str__(self) -> str:
        return f"cassandra://{','.join(self.hosts)}:{self.port}/{self.keyspace}"


def cassandra_address(url: str) -> CassandraAddress:
    """Parse the setting.

    Raises:
        UserError: it is in another form.
    """
    match = _URL.fullmatch(url)
    port = int(match["port"] or _DEFAULT_PORT) if match else 0
    if match is None or not 0 < port < 65536:
        without_secrets = re.sub(r"//[^/@]*@", "//…@", url)
        raise UserError(
            f"WATSON_CATALOGUE is {without_secrets!r}: it must be cassandra://host[,host][:port]/keyspace, the "
            "keyspace of lower-case letters, digits and _; user and password go to WATSON_CASSANDRA_USERNAME and "
            "WATSON_CASSANDRA_PASSWORD."
        )
    return CassandraAddress(tuple(match["hosts"].strip("[]").split(",")), port, match["keyspace"])


def cluster_of(settings: Settings, address: CassandraAddress, request_seconds: float | None = None) -> Cluster:
    """The driver's cluster object; connects to nothing yet. ``request_seconds``: None for the setting.

    Quorums of the local data centre on both sides: a reader sees every write that returned, which the replacement of
    an image's masks relies on.

    Raises:
        UserError: of user and password only one is set.
    """
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy()),
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
        request_timeout=request_seconds or settings.cassandra_timeout,
    )
    return Cluster(
        address.hosts,
        port=address.port,
        auth_provider=_credentials(settings),
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        protocol_version=ProtocolVersion.V5,  # Cassandra 4.0 and newer; saves the driver's guessing downwards
        reconnection_policy=ExponentialReconnectionPolicy(0.5, 15.0),  # seconds; the driver's own goes to 10 minutes
        connect_timeout=settings.cassandra_timeout,
        control_connection_timeout=settings.cassandra_timeout,
        max_schema_agreement_wait=30,
        monitor_reporting_enabled=False,
    )


def _credentials(settings: Settings) -> PlainTextAuthProvider | None:
    user, password = settings.cassandra_username, settings.cassandra_password
    if user is None and password is None:
        return None
    if user is None or password is None:
        raise UserError(
            "Of WATSON_CASSANDRA_USERNAME and WATSON_CASSANDRA_PASSWORD only one is set: set both, or none."
        )
    return PlainTextAuthProvider(user, password.get_secret_value())


def why_not(address: CassandraAddress, exc: Exception) -> str:
    """What to tell the person whose command could not connect or migrate."""
    return (
        f"{address} cannot be reached: {exc}. Check WATSON_CATALOGUE, that Cassandra runs, and, where it wants a "
        "password, WATSON_CASSANDRA_USERNAME and WATSON_CASSANDRA_PASSWORD."
    )
