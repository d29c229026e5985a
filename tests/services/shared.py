"""One set of servers for a developer, left running between test runs (`make services`).

`.services/running.json` says where they are. Nobody trusts it blindly: a process counts only while it lives, is the
one that was started (its command line names its folder) and answers.
"""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import asdict
from typing import Any

from tests.services.cassandra import Cassandra, CassandraEndpoint
from tests.services.kafka import Kafka, KafkaEndpoint
from tests.services.places import CACHE, SHARED, locked
from tests.services.process import command_of, signal_group, wait_until
from tests.services.report import ServiceError, say
from tests.services.s3 import S3, S3Endpoint
from tests.services.service import Service

SERVERS: tuple[type[Service], ...] = (S3, Kafka, Cassandra)
_ENDPOINTS: dict[str, Any] = {"s3": S3Endpoint, "kafka": KafkaEndpoint, "cassandra": CassandraEndpoint}
_RUNNING = CACHE / "running.json"
_STOP_SECONDS = 30.0


def _read() -> dict[str, dict[str, Any]]:
    return json.loads(_RUNNING.read_text()) if _RUNNING.exists() else {}


def _write(running: dict[str, dict[str, Any]]) -> None:
    partial = _RUNNING.with_suffix(".partial")
    partial.write_text(json.dumps(running, indent=2))
    partial.chmod(0o600)  # it holds the S3 server's keys
    partial.rename(_RUNNING)


def _alive(entry: dict[str, Any]) -> bool:
    return entry["directory"] in command_of(entry["pid"])


def endpoint(name: str) -> Any:
    """The endpoint of the shared `kafka`, `cassandra` or `s3`, or None when it does not run."""
    entry = _read().get(name)
    return _ENDPOINTS[name](**entry["endpoint"]) if entry and _alive(entry) else None


def start() -> dict[str, Any]:
    """Start those of the shared servers that do not run; returns the endpoint of each by name.

    Raises:
        ServiceError: one did not come up.
    """
    with locked("running"):
        for server in SERVERS:
            running = _read()
            entry = running.get(server.name)
            if entry and _alive(entry):
                continue
            directory = SHARED / server.name
            shutil.rmtree(directory, ignore_errors=True)
            service = server(directory)
            say(f"Starting {server.name} ...")
            service.start(outlive=True)
            found = {"pid": service.pid, "directory": str(service.directory), "endpoint": asdict(service.endpoint)}
            _write({**running, server.name: found})
    return {server.name: endpoint(server.name) for server in SERVERS}


def stop() -> list[str]:
    """Stop the shared servers and delete their data; returns the names of those that ran.

    Raises:
        ServiceError: one did not end.
    """
    stopped = []
    with locked("running"):
        for name, entry in _read().items():
            if not _alive(entry):
                continue
            _end(entry)
            stopped.append(name)
        _RUNNING.unlink(missing_ok=True)
        shutil.rmtree(SHARED, ignore_errors=True)
    return stopped


def _end(entry: dict[str, Any]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        signal_group(entry["pid"], number)
        if wait_until(lambda: not _alive(entry), seconds=_STOP_SECONDS):
            return
    raise ServiceError(f"Process {entry['pid']} in {entry['directory']} did not end by SIGKILL.")
