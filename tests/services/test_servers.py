"""The servers that the other tests stand on."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import aioboto3
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from botocore.exceptions import ClientError
from cassandra.cluster import Cluster, Session

from tests.services import S3, Cassandra, CassandraEndpoint, Kafka, KafkaEndpoint, S3Endpoint, shared
from tests.services.places import ROOT
from tests.services.process import command_of, wait_until
from tests.services.report import ServiceError

pytestmark = pytest.mark.services


async def _make_topic(brokers: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def _send(brokers: str, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=brokers, enable_idempotence=True) as producer:
        await producer.send_and_wait(topic, value)


async def _first(brokers: str, topic: str) -> bytes:
    async with AIOKafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        return bytes((await consumer.getone()).value)


async def test_kafka_keeps_what_it_is_sent(kafka: KafkaEndpoint, topic_prefix: str) -> None:
    topic = f"{topic_prefix}letters"
    await _make_topic(kafka.brokers, topic)
    await _send(kafka.brokers, topic, b"a")
    assert await _first(kafka.brokers, topic) == b"a"


async def test_kafka_refuses_a_topic_that_nobody_made(kafka: KafkaEndpoint, topic_prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.brokers)
    await admin.start()
    try:
        described = await admin.describe_topics([f"{topic_prefix}unmade"])
        assert described[0]["error_code"] == 3  # UNKNOWN_TOPIC_OR_PARTITION
        assert f"{topic_prefix}unmade" not in await admin.list_topics()
    finally:
        await admin.close()


@pytest.mark.slow
async def test_kafka_comes_back_from_kill_9_on_its_port_with_what_it_acknowledged(own_kafka: Kafka) -> None:
    await _make_topic(own_kafka.endpoint.brokers, "letters")
    await _send(own_kafka.endpoint.brokers, "letters", b"kept")
    await asyncio.to_thread(own_kafka.kill)
    assert not own_kafka.running
    await asyncio.to_thread(own_kafka.start)
    assert await _first(own_kafka.endpoint.brokers, "letters") == b"kept"


def test_cassandra_keeps_what_it_is_told(cassandra: CassandraEndpoint, keyspace: str) -> None:
    with Cluster([cassandra.host], port=cassandra.port) as cluster, cluster.connect() as session:
        _fill(session, keyspace)
        assert _kept(session, keyspace) == "kept"


@pytest.mark.slow
def test_cassandra_comes_back_from_kill_9_on_its_port_with_what_it_acknowledged(own_cassandra: Cassandra) -> None:
    host, port = own_cassandra.endpoint.host, own_cassandra.endpoint.port
    with Cluster([host], port=port) as cluster, cluster.connect() as session:
        _fill(session, "k")
    own_cassandra.kill()
    own_cassandra.start()
    with Cluster([host], port=port) as cluster, cluster.connect() as session:
        assert _kept(session, "k") == "kept"


def _fill(session: Session, keyspace: str) -> None:
    replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    session.execute(f"CREATE KEYSPACE {keyspace} WITH replication = {replication}", timeout=30)
    session.set_keyspace(keyspace)
    session.execute("CREATE TABLE t (k int PRIMARY KEY, v text)", timeout=30)
    session.execute("INSERT INTO t (k, v) VALUES (1, 'kept')")


def _kept(session: Session, keyspace: str) -> str:
    session.set_keyspace(keyspace)
    return str(session.execute("SELECT v FROM t WHERE k = 1").one().v)


async def test_s3_keeps_objects_and_checks_keys(s3: S3Endpoint, bucket: str) -> None:
    async with _client(s3) as client:
        await client.put_object(Bucket=bucket, Key="a/b", Body=b"kept")
        assert await _body(client, bucket, "a/b") == b"kept"
    async with _client(replace(s3, secret_key="wrong")) as intruder:
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            await intruder.get_object(Bucket=bucket, Key="a/b")


async def test_s3_comes_back_from_kill_9_on_its_port_with_what_it_acknowledged(own_s3: S3) -> None:
    async with _client(own_s3.endpoint) as client:
        await client.create_bucket(Bucket="kept")
        await client.put_object(Bucket="kept", Key="a", Body=b"kept")
    await asyncio.to_thread(own_s3.kill)
    await asyncio.to_thread(own_s3.start)
    async with _client(own_s3.endpoint) as client:
        assert await _body(client, "kept", "a") == b"kept"


def _client(s3: S3Endpoint) -> Any:
    return aioboto3.Session().client(
        "s3",
        endpoint_url=s3.endpoint,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        region_name=s3.region,
    )


async def _body(client: Any, bucket: str, key: str) -> bytes:
    answer = await client.get_object(Bucket=bucket, Key=key)
    return bytes(await answer["Body"].read())


def test_a_paused_server_answers_again_when_it_is_resumed(own_s3: S3) -> None:
    assert own_s3.ready()
    own_s3.pause()
    assert not own_s3.ready()
    own_s3.resume()
    assert wait_until(own_s3.ready, seconds=10)


def test_a_paused_server_can_be_stopped(own_s3: S3) -> None:
    own_s3.pause()
    own_s3.stop()
    assert not own_s3.running


def test_a_server_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    first, second = S3(tmp_path / "first"), S3(tmp_path / "second")
    second._port = first._port
    first.start()
    try:
        with pytest.raises(ServiceError, match=r"(?s)ended with code .* in use"):
            second.start()
    finally:
        first.stop()


def test_a_server_that_runs_is_not_started_twice(own_s3: S3) -> None:
    with pytest.raises(ServiceError, match="runs already"):
        own_s3.start()


def test_a_server_ends_with_the_process_that_started_it_even_by_kill_9(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tests.services import S3;"
        "server = S3(Path(sys.argv[1])); server.start(); print('serves', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "serves\n"
        servers = _processes_naming(str(tmp_path)) - {owner.pid}
        assert len(servers) == 2, "the guard and the server"
        owner.kill()
    assert wait_until(lambda: not _processes_naming(str(tmp_path)), seconds=10)


def _processes_naming(text: str) -> set[int]:
    listed = subprocess.run(["ps", "-e", "-o", "pid="], capture_output=True, text=True, check=True).stdout
    return {pid for pid in map(int, listed.split()) if text in command_of(pid)}


def test_a_server_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    server = S3(tmp_path)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    try:
        assert not wait_until(lambda: not server.running, seconds=1)
    finally:
        server.stop()


def test_the_shared_set_is_not_believed_when_its_process_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = tmp_path / "running.json"
    endpoint = {"endpoint": "http://127.0.0.1:1", "access_key": "a", "secret_key": "b", "region": "r"}
    running.write_text(json.dumps({"s3": {"pid": os.getpid(), "directory": "/elsewhere", "endpoint": endpoint}}))
    monkeypatch.setattr(shared, "_RUNNING", running)
    assert shared.endpoint("s3") is None
