"""`python -m tests.services [start [--detach] | stop | prepare]`: the tests' servers for a developer."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from typing import Any

from tests.services import shared
from tests.services.downloads import jars, versitygw
from tests.services.prerequisites import provide
from tests.services.report import ServiceError, say
from tests.services.s3 import make_bucket

_BUCKET = "watson"


def _show(endpoints: dict[str, Any]) -> None:
    kafka, cassandra, s3 = endpoints["kafka"], endpoints["cassandra"], endpoints["s3"]
    lines = (
        f"WATSON_BROKERS={kafka.brokers}",
        f"WATSON_CATALOGUE=cassandra://{cassandra.host}:{cassandra.port}/watson",
        f"WATSON_OBJECTS=s3://{_BUCKET}",
        f"WATSON_S3_ENDPOINT={s3.endpoint}",
        f"WATSON_S3_REGION={s3.region}",
        f"WATSON_S3_ACCESS_KEY={s3.access_key}",
        f"WATSON_S3_SECRET_KEY={s3.secret_key}",
    )
    print("\n".join(f"export {line}" for line in lines), flush=True)  # noqa: T201 - the output of the command


def prepare() -> None:
    """Install, download and build what the servers need, so that no test waits for it."""
    provide()
    for server in ("kafka", "cassandra"):
        jars(server)
    versitygw()


def start(*, detach: bool) -> None:
    """Start the shared set and print how Watson reaches it; in the foreground, Ctrl-C stops it."""
    endpoints = shared.start()
    make_bucket(endpoints["s3"], _BUCKET)
    _show(endpoints)
    if detach:
        say("They run until `make services-stop`. Logs: .services/shared/*/*.log")
        return
    say("Ctrl-C stops them.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        stop()


def stop() -> None:
    """Stop the shared set."""
    say(f"Stopped: {', '.join(shared.stop()) or 'nothing ran'}.")


def main() -> int:
    """Parse, call, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.services", description=__doc__)
    parser.add_argument("command", nargs="?", default="start", choices=["start", "stop", "prepare"])
    parser.add_argument("--detach", action="store_true", help="return when they serve, and leave them running")
    arguments = parser.parse_args()
    commands: dict[str, Callable[[], None]] = {
        "start": lambda: start(detach=arguments.detach),
        "stop": stop,
        "prepare": prepare,
    }
    try:
        commands[arguments.command]()
    except ServiceError as exc:
        say(f"error: {exc}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
