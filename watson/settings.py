"""All settings: one frozen object from ``WATSON_*`` variables, made once at the edge, never at import."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from watson.errors import UserError

__all__ = ["Settings", "load_settings"]

Seconds = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]
"""Eleven days at most: Kafka counts milliseconds in 32 bits."""

_BROKER = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/,\[\]\ud800-\udfff]+)(:(?P<port>[0-9]{1,5}))?")

_TOKEN = re.compile("[!-~]{16,500}")


class Settings(BaseSettings):
    """Each field is read from the environment variable ``WATSON_`` + its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="WATSON_", frozen=True, extra="ignore")

    # Kafka
    brokers: str = Field("127.0.0.1:9092", description="host:port, comma-separated")
    topic_prefix: str = Field(
        "",
        max_length=200,
        pattern="^[A-Za-z0-9._-]*$",
        description="put before each topic, consumer group and table name",
    )
    partitions: int = Field(8, ge=1, le=100_000, description="of every topic; most workers a role")
    replication: int = Field(1, ge=1, le=1000, description="replicas of each topic; 3 in production")
    idempotent_producer: bool = Field(
        True, description="off only for brokers without InitProducerId (the embedded one)"
    )
    max_batch_size: int = Field(16_384, ge=1, description="bytes of a producer batch; 1 for the embedded broker")
    session_timeout: Seconds = Field(6.0, description="seconds until a dead worker's partitions move")
    heartbeat_interval: Seconds = Field(1.0)
    request_timeout: Seconds = Field(15.0)
    rebalance_timeout: Seconds = Field(10.0)
    group_instance_id: str | None = Field(None, description="static membership; unique to each worker")
    emit_timeout: Seconds = Field(120.0, description="seconds to wait for the broker's acknowledgement of a record")
    drain_timeout: Seconds = Field(
        4.0, description="seconds that events in progress get to finish at a rebalance; less than rebalance_timeout"
    )
    stop_timeout: Seconds = Field(10.0, description="seconds from SIGTERM until the process ends, whatever it does")
    broker_wait: Seconds = Field(60.0, description="seconds to keep trying a broker that is away at the start")
    stall_timeout: Seconds = Field(
        60.0, description="a partition with lag, no progress and no tries for so long: the worker ends with code 75"
    )

    # where things are kept
    state_dir: Path = Field(Path(".watson/state"), description="RocksDB of the tables; one directory a worker")
    table_store: Literal["rocksdb", "memory"] = "rocksdb"
    objects: str = Field("file:.watson/objects", description="file:PATH or s3://bucket[/prefix]")
    catalogue: str = Field(
        "sqlite:.watson/catalogue.db", description="sqlite:PATH or cassandra://host[,host]:port/keyspace"
    )
    s3_endpoint: str | None = Field(None, description="of any S3 server; None for AWS")
    s3_region: str = "us-east-1"
    s3_access_key: SecretStr | None = Field(
        None, description="None: the usual AWS chain (environment, profile, IAM role)"
    )
    s3_secret_key: SecretStr | None = None
    s3_connections: int = Field(32, ge=1, description="open at once in one worker")
    s3_connect_timeout: Seconds = Field(5.0)
    s3_read_timeout: Seconds = Field(30.0, description="seconds without a byte")
    s3_attempts: int = Field(4, ge=1, description="tries of one request by the S3 client, with its backoff")
    cassandra_username: str | None = None
    cassandra_password: SecretStr | None = None
    cassandra_replication: int = Field(
        1, ge=1, description="replicas of the keyspace, where `catalogue migrate` makes it"
    )
    cassandra_timeout: Seconds = Field(10.0, description="seconds for one request; those that time out are tried again")

    # what a manifest or a list may name
    source_roots: str | None = Field(
        None,
        description="directories that sources on the workers' disks may name, separated by ':'; empty: none; not set: "
        "any but the system's own (/etc, /proc, /sys, /run/secrets)",
    )
    http_sources: bool = Field(False, description="whether pictures in lists may be http:// and https:// addresses")
    http_networks: str = Field(
        "", description="networks beyond the public ones that http may reach, comma-separated: 10.1.0.0/16"
    )
    http_timeout: Seconds = Field(60.0, description="seconds for one picture by http, redirects and all")

    # work
    window: int = Field(32, ge=1, description="events a stage works on at once in one worker")
    threads: int = Field(2, ge=1, description="threads that decode pictures")
    torch_threads: int = Field(1, ge=1)
    device: str = "cpu"
    batch_size: int = Field(8, ge=1, description="pictures the model sees at once")
    batch_wait: Seconds = Field(0.05, description="seconds that a batch waits to fill")
    models_dir: Path = Field(
        Path(".watson/models"), description="fetched weights, by sha256; workers of one machine may share it"
    )
    models_loaded: int = Field(2, ge=1, description="models kept in memory by one segment worker")
    max_pixels: int = Field(200_000_000, ge=1, description="of an original; more is taken for a decompression bomb")
    max_bytes: int = Field(256_000_000, ge=1, description="of an original file")
    attempts: int = Field(10, ge=1, description="tries of an event whose failure can pass: two minutes in all")
    backoff: Seconds = Field(0.5, description="seconds before the second try; doubles up to backoff_max, with jitter")
    backoff_max: Seconds = Field(30.0)
    attempt_timeout: Seconds = Field(120.0, description="seconds for one try of one event")

    training_timeout: Seconds = Field(86_400.0, description="seconds for one try of one training")

    # discover
    page_size: int = Field(500, ge=1, le=1000, description="entries of a listing taken at once")
    credit_min: int = Field(64, ge=1, description="images in flight that each job may have at least")
    credit_max: int = Field(4096, ge=1)
    credit_seconds: Seconds = Field(10.0, description="so many seconds of the job's own pace may be in flight")
    redrive_after: Seconds = Field(120.0, description="seconds without an end before an image is sent again, at least")
    redrives: int = Field(6, ge=0, description="times an image is sent again before it counts as vanished")
    breaker_failures: int = Field(
        50, ge=1, description="pictures that fail through no fault of their own, nearly on end, before their job pauses"
    )

    # web: every role serves health and metrics, `web` serves the pages
    web_host: str = Field("127.0.0.1", description="address to bind")
    web_port: int = Field(6066, ge=0, le=65535)
    web_timeout: Seconds = Field(15.0, description="seconds that one answer may take; then 503")
    web_token: SecretStr | None = Field(
        None,
        description="who has it may change things by the pages and the API, 16 characters or more; not set: nobody, "
        "except on this machine where web_host is a loopback address",
    )
    price_per_hour: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="what this worker costs an hour, in any currency: for a metric",
    )
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#]+(/[^\s?#]*[^\s?#/])?$",
        description="traces go there by OTLP over HTTP, for example http://collector:4318; None: no traces",
    )
    trace_share: float = Field(1.0, ge=0, le=1, description="of the pictures: so many are traced, 0–1")

    @field_validator("brokers")
    @classmethod
    def _check_brokers(cls, brokers: str) -> str:
        """The Kafka clients would find a wrong one late, and each in words of its own."""
        for broker in brokers.split(","):
            match = _BROKER.fullmatch(broker.strip())
            if match is None or not 0 < int(match["port"] or 9092) <= 65_535:
                raise ValueError(f"{broker.strip()!r} is not host:port")
        return brokers

    @field_validator("source_roots")
    @classmethod
    def _check_roots(cls, roots: str | None) -> str | None:
        for root in (roots or "").split(os.pathsep):
            if root and not root.startswith("/"):
                raise ValueError(f"{root!r} is not an absolute path")
        return roots

    @field_validator("http_networks")
    @classmethod
    def _check_networks(cls, networks: str) -> str:
        for network in filter(None, map(str.strip, networks.split(","))):
            ipaddress.ip_network(network)
        return networks

    @field_validator("web_token")
    @classmethod
    def _check_token(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not _TOKEN.fullmatch(token.get_secret_value()):
            raise ValueError(
                "16 to 500 letters, digits and signs of ASCII without spaces are wanted; `openssl rand -hex 32` makes "
                "a good one"
            )
        return token

    @property
    def broker_urls(self) -> list[str]:
        """As Faust wants them."""
        return [f"kafka://{broker.strip()}" for broker in self.brokers.split(",")]

    def topic(self, name: str) -> str:
        """The full name of a topic (or group, or table) in Kafka."""
        return self.topic_prefix + name


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment.

    Raises:
        UserError: names each wrong variable and what is wrong with it.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as exc:
        lines = (f"WATSON_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in exc.errors(include_url=False))
        raise UserError("Settings are wrong:\n  " + "\n  ".join(lines)) from exc
