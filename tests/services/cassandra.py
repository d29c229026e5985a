"""Cassandra 5.0.4: one node."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from tests.services.downloads import jars
from tests.services.places import free_port
from tests.services.prerequisites import java
from tests.services.service import Service

_OPTIONS_REQUEST = bytes([4, 0, 0, 0, 5, 0, 0, 0, 0])  # CQL v4 frame: version, flags, stream (2), OPTIONS, length (4)
_SUPPORTED = 6

_YAML = """\
cluster_name: watson-tests
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "127.0.0.1:{storage}"
listen_address: 127.0.0.1
storage_port: {storage}
rpc_address: 127.0.0.1
native_transport_port: {port}
# a write is on disk before it is acknowledged. With `periodic` a node that is killed forgets what it acknowledged in
# the last tenth of a second: the segment has it, but behind the last marker that a replay reads to
commitlog_sync: batch
commitlog_segment_size: 16MiB
commitlog_total_space: 256MiB
memtable_heap_space: 128MiB
memtable_offheap_space: 64MiB
key_cache_size: 16MiB
counter_cache_size: 0MiB
file_cache_size: 64MiB
concurrent_reads: 8
concurrent_writes: 8
auto_snapshot: false
cdc_enabled: false
"""

_LOGBACK = """\
<configuration>
  <statusListener class="ch.qos.logback.core.status.NopStatusListener"/>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %-5level %logger{0} %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="OUT"/></root>
</configuration>
"""

# Source: conf/jvm17-server.options of Cassandra 5.0.
_EXPORTS = (
    "java.base/jdk.internal.misc",
    "java.base/java.lang.ref",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.rmi/sun.rmi.transport.tcp",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
)
_OPENS = (
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "java.rmi/sun.rmi.transport.tcp",
    "jdk.management/com.sun.management.internal",
)


@dataclass(frozen=True)
class CassandraEndpoint:
    """Where it serves CQL, without authentication."""

    host: str
    port: int


class Cassandra(Service):
    """A node alone on loopback."""

    name = "cassandra"
    start_seconds = 180.0

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._storage = free_port()
        self.endpoint = CassandraEndpoint("127.0.0.1", free_port())

    def prepare(self) -> None:
        """Write the configuration; Cassandra makes its folders itself."""
        yaml = _YAML.format(storage=self._storage, port=self.endpoint.port)
        (self.directory / "cassandra.yaml").write_text(yaml)
        (self.directory / "logback.xml").write_text(_LOGBACK)

    def command(self) -> list[str]:
        """The daemon in the foreground, with everything under `directory`."""
        properties = {
            "cassandra.config": (self.directory / "cassandra.yaml").as_uri(),
            "cassandra.storagedir": self.directory,
            "cassandra.logdir": self.directory,
            "cassandra-foreground": "yes",
            "logback.configurationFile": self.directory / "logback.xml",
            # a ring of one has nobody to wait for
            "cassandra.skip_wait_for_gossip_to_settle": 0,
            "cassandra.ring_delay_ms": 0,
            "cassandra.superuser_setup_delay_ms": 0,
            "jdk.attach.allowAttachSelf": "true",
            "java.security.manager": "allow",
        }
        memory = ["-Xms256m", "-Xmx768m", "-XX:MaxDirectMemorySize=256m", "-XX:+UseSerialGC", "-Xss512k"]
        access = [f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTS]
        access += [f"--add-opens={name}=ALL-UNNAMED" for name in _OPENS]
        settings = [f"-D{name}={value}" for name, value in properties.items()]
        main = "org.apache.cassandra.service.CassandraDaemon"
        return [java(), *memory, *access, *settings, "-cp", jars("cassandra"), main]

    def ready(self) -> bool:
        """Whether the native protocol answers an OPTIONS request, which it does when the node has joined."""
        address = (self.endpoint.host, self.endpoint.port)
        try:
            with socket.create_connection(address, timeout=2) as connection:
                connection.sendall(_OPTIONS_REQUEST)
                answer = connection.makefile("rb").read(9)
        except OSError:
            return False
        return len(answer) == 9 and answer[4] == _SUPPORTED
