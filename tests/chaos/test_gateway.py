"""The gateway passes a real client's requests on, and makes the trouble that it is told to make."""

from __future__ import annotations

import time
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.chaos.gateway import Gateway, Trouble

pytestmark = pytest.mark.services

BODY = b"x" * 300_000


@pytest.fixture
def gateway(s3):
    with Gateway(s3.endpoint) as made:
        yield made


@pytest.fixture
def client(s3, gateway: Gateway):
    once = Config(retries={"total_max_attempts": 1}, read_timeout=5)
    made = boto3.client(
        "s3",
        endpoint_url=gateway.endpoint,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        region_name=s3.region,
        config=once,
    )
    yield made
    made.close()


def test_requests_and_answers_pass_unchanged(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="a", Body=BODY)
    assert client.get_object(Bucket=bucket, Key="a")["Body"].read() == BODY


def test_a_busy_gateway_answers_503(client: Any, gateway: Gateway, bucket: str) -> None:
    with gateway.trouble(Trouble("busy", 1.0)), pytest.raises(ClientError, match="SlowDown"):
        client.put_object(Bucket=bucket, Key="a", Body=BODY)
    client.put_object(Bucket=bucket, Key="a", Body=BODY)


def test_a_slow_gateway_holds_answers_back(client: Any, gateway: Gateway, bucket: str) -> None:
    began = time.monotonic()
    with gateway.trouble(Trouble("slow", 1.0, seconds=0.4)):
        client.list_objects_v2(Bucket=bucket)
    assert time.monotonic() - began >= 0.4


def test_a_cutting_gateway_breaks_connections_off(client: Any, gateway: Gateway, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="a", Body=BODY)
    with gateway.trouble(Trouble("cut", 1.0)):
        for _ in range(6):  # in the request, or in the answer
            with pytest.raises((BotoCoreError, OSError)):
                client.get_object(Bucket=bucket, Key="a")["Body"].read()
    assert gateway.done["cut"] == 6


def test_of_a_share_some_requests_pass(client: Any, gateway: Gateway, bucket: str) -> None:
    with gateway.trouble(Trouble("busy", 0.5)):
        for _ in range(30):
            try:
                client.list_objects_v2(Bucket=bucket)
            except ClientError:
                continue
    assert gateway.done["busy"] > 4
    assert gateway.done["passed"] > 4
