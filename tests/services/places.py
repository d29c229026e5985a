"""Where downloads and data are kept, how processes agree on who may write there, and which ports are free."""

from __future__ import annotations

import fcntl
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".services"
SHARED = CACHE / "shared"

# Below the range that Linux and macOS hand to outgoing connections. A server that comes back on a port of that range
# can find it taken by a client which, trying to reconnect over loopback, got connected to itself.
_PORTS = range(15_000, 32_000)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock `name` against every other process of this checkout; the kernel frees it if this one dies."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def free_port() -> int:
    """A TCP port on which nobody listens at 127.0.0.1.

    Raises:
        RuntimeError: a hundred ports chosen at random were all taken.
    """
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"No free port on 127.0.0.1 among 100 tried in {_PORTS.start}-{_PORTS.stop - 1}.")
