"""One run's stage: the sources, the servers, a gateway before S3, the workers, and somebody who watches the log."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from tests.chaos.crew import WATSON, Crew
from tests.chaos.evidence import Evidence, read_catalogue, read_log, read_objects
from tests.chaos.gateway import Gateway
from tests.chaos.pictures import Expected, Sources, make_sources, upload
from tests.chaos.progress import Progress
from tests.end_to_end import oracle as client
from tests.services import S3, Cassandra, CassandraEndpoint, Kafka, KafkaEndpoint, S3Endpoint
from tests.services.process import tail

__all__ = ["PARTITIONS", "Scene", "Servers", "prepared"]

PARTITIONS = 4

_WATCHED = ("image-discovered", "preprocessed", "segmented", "catalogued", "dead-letters")
_COMMAND_SECONDS = 120

# Quick to notice a fault, patient enough to live through each of them; docs/reliability.md says so.
_SETTINGS = {
    "WATSON_PARTITIONS": str(PARTITIONS),
    "WATSON_SESSION_TIMEOUT": "5",
    "WATSON_HEARTBEAT_INTERVAL": "1",
    "WATSON_REQUEST_TIMEOUT": "8",
    "WATSON_REBALANCE_TIMEOUT": "8",
    "WATSON_DRAIN_TIMEOUT": "3",
    "WATSON_STOP_TIMEOUT": "8",
    "WATSON_BROKER_WAIT": "20",
    "WATSON_STALL_TIMEOUT": "40",
    "WATSON_CASSANDRA_TIMEOUT": "4",
    "WATSON_S3_CONNECT_TIMEOUT": "2",
    "WATSON_S3_READ_TIMEOUT": "4",
    "WATSON_S3_ATTEMPTS": "2",
    "WATSON_ATTEMPTS": "25",
    "WATSON_BACKOFF": "0.3",
    "WATSON_BACKOFF_MAX": "5",
    "WATSON_REDRIVE_AFTER": "60",
    "WATSON_TORCH_THREADS": "1",
    "WATSON_LOG_FORMAT": "console",
}


@dataclass(frozen=True)
class Servers:
    """Where the servers are; the servers themselves only where a run may kill them."""

    kafka: KafkaEndpoint
    cassandra: CassandraEndpoint
    s3: S3Endpoint
    own: tuple[Kafka, Cassandra, S3] | None = None

    @classmethod
    def owned(cls, kafka: Kafka, cassandra: Cassandra, s3: S3) -> Servers:
        """Servers of one run alone."""
        return cls(kafka.endpoint, cassandra.endpoint, s3.endpoint, (kafka, cassandra, s3))


class Scene:
    """See the module. Made by `prepared`."""

    def __init__(self, servers: Servers, sources: Sources, names: dict[str, str], gateway: Gateway) -> None:
        self.servers, self.sources, self.gateway = servers, sources, gateway
        self.prefix, self.keyspace, self.bucket = names["prefix"], names["keyspace"], names["bucket"]
        self.crew: Crew
        self.progress: Progress
        self.s3: Any = _client(servers.s3)
        self.environment: dict[str, str] = {}
        self.locks = {name: threading.Lock() for name in ("kafka", "cassandra", "s3", "log")}  # one fault at a time
        self.copied = 0

    # the servers, where they are this run's own

    @property
    def kafka(self) -> Kafka:
        assert self.servers.own is not None, "these servers are not this run's to kill"
        return self.servers.own[0]

    @property
    def cassandra(self) -> Cassandra:
        assert self.servers.own is not None, "these servers are not this run's to kill"
        return self.servers.own[1]

    @property
    def store(self) -> S3:
        assert self.servers.own is not None, "these servers are not this run's to kill"
        return self.servers.own[2]

    # what a user does

    def watson(self, *arguments: str) -> None:
        """Run a command, which must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "watson", *arguments],
            env=self._process_environment(),
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"watson {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"

    def _process_environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment}

    def submit(self, job: Expected) -> None:
        """As any Kafka producer would."""
        manifest = {"job": job.job, "dataset": job.dataset, "model": job.model, "source": job.source}
        client.produce(self.servers.kafka.brokers, f"{self.prefix}manifests", job.job, manifest)

    # what is to be seen

    @property
    def complete(self) -> bool:
        """Whether every job has said so in the log."""
        return all(self.progress.states.get(job.job, ("", ""))[1] == "complete" for job in self.sources.jobs)

    def evidence(self, *, catalogue: bool = True) -> Evidence:
        """All there is to see now."""
        log = read_log(self.servers.kafka.brokers, self.prefix, PARTITIONS)
        node = self.servers.cassandra
        rows = read_catalogue(node.host, node.port, self.keyspace) if catalogue else {}
        return Evidence(log, rows, read_objects(self.s3, self.bucket, "watson/", log) if catalogue else {})

    def tails(self, lines: int = 12) -> str:
        """The ends of the workers' logs."""
        return "\n".join(f"--- {worker.name}\n{tail(worker.log, lines)}" for worker in self.crew.workers.values())


@contextmanager
def prepared(
    servers: Servers,
    folder: Path,
    *,
    images: int,
    workers: Mapping[str, int],
    seed: int = 0,
    jobs: Sequence[str] = ("bucket", "folder", "list"),
    entry: Sequence[str] = WATSON,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Scene]:
    """Sources made, topics and schema created, workers starting; no job is submitted yet.

    Args:
        servers: to run on.
        folder: for sources, states and logs.
        images: of each job, about.
        workers: so many of each role.
        seed: of the gateway's choices.
        jobs: which of the three jobs.
        entry: what runs a worker, after the interpreter.
        settings: further variables for the workers.
    """
    mark = uuid.uuid4().hex[:10]
    names = {"prefix": f"c{mark}-", "keyspace": f"c{mark}", "bucket": f"c{mark}"}
    sources = make_sources(images, names["bucket"], folder / "sources")
    sources.jobs = [job for job in sources.jobs if job.job in jobs]
    with Gateway(servers.s3.endpoint, seed) as gateway:
        scene = Scene(servers, sources, names, gateway)
        upload(scene.s3, names["bucket"], sources)
        scene.environment = {**_SETTINGS, **_places(scene), **(settings or {})}
        scene.watson("topics", "create")
        scene.watson("catalogue", "migrate")
        with (
            Progress(servers.kafka.brokers, names["prefix"], PARTITIONS, _WATCHED) as scene.progress,
            Crew(scene.environment, folder, entry) as scene.crew,
        ):
            scene.crew.start(workers)
            yield scene


def _places(scene: Scene) -> dict[str, str]:
    servers = scene.servers
    return {
        "WATSON_BROKERS": servers.kafka.brokers,
        "WATSON_TOPIC_PREFIX": scene.prefix,
        "WATSON_CATALOGUE": f"cassandra://{servers.cassandra.host}:{servers.cassandra.port}/{scene.keyspace}",
        "WATSON_OBJECTS": f"s3://{scene.bucket}/watson",
        "WATSON_S3_ENDPOINT": scene.gateway.endpoint,
        "WATSON_S3_ACCESS_KEY": servers.s3.access_key,
        "WATSON_S3_SECRET_KEY": servers.s3.secret_key,
        "WATSON_S3_REGION": servers.s3.region,
    }


def _client(s3: S3Endpoint) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=s3.endpoint,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        region_name=s3.region,
    )
