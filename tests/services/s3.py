"""An S3 server: versitygw over a directory. It checks signatures and checksums, and keeps what it acknowledged."""

from __future__ import annotations

import secrets
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from tests.services.downloads import versitygw
from tests.services.places import free_port
from tests.services.service import Service


@dataclass(frozen=True)
class S3Endpoint:
    """Where it serves, and the keys of its only user."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str


def make_bucket(endpoint: S3Endpoint, name: str) -> None:
    """Make a bucket; fine when it is there already."""
    import botocore.session

    client = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=endpoint.endpoint,
        aws_access_key_id=endpoint.access_key,
        aws_secret_access_key=endpoint.secret_key,
        region_name=endpoint.region,
    )
    try:
        client.create_bucket(Bucket=name)
    except client.exceptions.BucketAlreadyOwnedByYou:
        return
    finally:
        client.close()


class S3(Service):
    """A server without buckets: the fixture `bucket` makes one a test."""

    name = "s3"
    start_seconds = 30.0
    stop_seconds = 10.0

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._port = free_port()
        self.endpoint = S3Endpoint(
            endpoint=f"http://127.0.0.1:{self._port}",
            access_key="watson-tests",
            secret_key=secrets.token_hex(16),
            region="us-east-1",
        )

    def prepare(self) -> None:
        """Make the folders."""
        for name in ("data", "users"):
            (self.directory / name).mkdir(exist_ok=True)

    def environment(self) -> dict[str, str]:
        """The root user's keys."""
        return {"ROOT_ACCESS_KEY": self.endpoint.access_key, "ROOT_SECRET_KEY": self.endpoint.secret_key}

    def command(self) -> list[str]:
        """The server over `directory`/data; `--health` is an address that needs no signature."""
        options = ["--port", f"127.0.0.1:{self._port}", "--region", self.endpoint.region, "--quiet"]
        users = ["--health", "/healthz", "--iam-dir", str(self.directory / "users")]
        return [versitygw(), *options, *users, "posix", str(self.directory / "data")]

    def ready(self) -> bool:
        """Whether the health address answers 200."""
        try:
            with urllib.request.urlopen(f"{self.endpoint.endpoint}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
