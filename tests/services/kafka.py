"""Kafka 4.1.1: one KRaft node, controller and broker in one."""

from __future__ import annotations

import socket
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.services.downloads import jars
from tests.services.places import free_port
from tests.services.prerequisites import java
from tests.services.process import spawn, tail
from tests.services.report import ServiceError
from tests.services.service import Service

_CLUSTER = "d2F0c29uLXRlc3RzLTAwMQ"  # any 16 bytes in base64
_METADATA, _METADATA_VERSION, _CORRELATION = 3, 1, 42

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={directory}/data
num.partitions=1
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# every test makes topics of its own: keep each small, and delete what is deleted soon
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=8388608
log.segment.delete.delay.ms=1000
# a dead broker is noticed (and let back in) sooner than by the 9 s of a real cluster
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
controlled.shutdown.enable=false
"""


@dataclass(frozen=True)
class KafkaEndpoint:
    """Where it serves: host:port."""

    brokers: str


class Kafka(Service):
    """A broker that makes no topics by itself."""

    name = "kafka"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._port, self._controller = free_port(), free_port()
        self.endpoint = KafkaEndpoint(f"127.0.0.1:{self._port}")

    @property
    def _properties(self) -> Path:
        return self.directory / "server.properties"

    def prepare(self) -> None:
        """Write the properties and format the log directory, once."""
        settings = _PROPERTIES.format(port=self._port, controller=self._controller, directory=self.directory)
        self._properties.write_text(settings)
        if (self.directory / "data" / "meta.properties").exists():
            return
        tool = ["kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(self._properties)]
        process = spawn([*self._java("-Xmx128m", "-XX:TieredStopAtLevel=1"), *tool], log=self.log)
        try:
            code = process.wait(self.start_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        if code:
            raise ServiceError(f"Kafka's storage could not be formatted (code {code}):\n{tail(self.log)}")

    def _java(self, *options: str) -> list[str]:
        logging = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"]
        return [java(), *options, "-XX:+UseSerialGC", "-Xshare:auto", *logging, "-cp", jars("kafka")]

    def command(self) -> list[str]:
        """The broker on `server.properties`."""
        return [*self._java("-Xms128m", "-Xmx512m"), "kafka.Kafka", str(self._properties)]

    def ready(self) -> bool:
        """Whether a metadata request names the broker itself."""
        client = b"tests"
        body = struct.pack(">hhih", _METADATA, _METADATA_VERSION, _CORRELATION, len(client)) + client
        body += struct.pack(">i", 0)  # no topics
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=2) as connection:
                connection.sendall(struct.pack(">i", len(body)) + body)
                answer = connection.makefile("rb").read(12)
        except OSError:
            return False
        if len(answer) < 12:
            return False
        _size, correlation, brokers = struct.unpack(">iii", answer)
        return bool(correlation == _CORRELATION and brokers == 1)
