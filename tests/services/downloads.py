"""Bring the servers' programs into `.services/`: jars by Maven, versitygw by Go. Each once, then from the folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.services.places import CACHE, locked
from tests.services.prerequisites import go, maven
from tests.services.process import tail
from tests.services.report import ServiceError, say

_POM = Path(__file__).with_name("pom.xml")
_VERSITYGW = "v1.8.0"
_SECONDS = 900  # for one download or build, on a slow line


def jars(server: str) -> str:
    """The class path of `kafka` or `cassandra`, downloaded first if need be.

    Raises:
        ServiceError: Maven is missing or failed; has the end of its log.
    """
    target = CACHE / "jars" / f"{server}-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]}"
    with locked(f"jars-{server}"):
        if not target.exists():
            _copy_jars(server, target)
    return str(target / "*")


def _copy_jars(server: str, target: Path) -> None:
    """Maven writes to a temporary folder, so that one which was interrupted is not taken for complete."""
    say(f"Fetching the jars of {server} by Maven, about 50 MB ...")
    for old in target.parent.glob(f"{server}-*"):
        shutil.rmtree(old)
    partial = target.with_name(f"{target.name}.partial")
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={partial}", "-DincludeScope=runtime"]
    _run([maven(), "-B", "-q", "-f", str(_POM), "-P", server, *goal], log=CACHE / f"maven-{server}.log")
    partial.rename(target)


def versitygw() -> str:
    """The path of the S3 server's program, built first if need be.

    Raises:
        ServiceError: Go is missing or failed; has the end of its log.
    """
    folder = CACHE / f"versitygw-{_VERSITYGW}"
    with locked("versitygw"):
        if not (folder / "versitygw").exists():
            say("Building the S3 server versitygw by Go, one to three minutes ...")
            source = f"github.com/versity/versitygw/cmd/versitygw@{_VERSITYGW}"
            settings = {"GOBIN": str(folder), "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto"}
            _run([go(), "install", source], log=CACHE / "versitygw.log", environment=settings)
    return str(folder / "versitygw")


def _run(command: list[str], *, log: Path, environment: dict[str, str] | None = None) -> None:
    with log.open("wb") as output:
        try:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                check=False,
                timeout=_SECONDS,
            ).returncode
        except subprocess.TimeoutExpired as exc:
            raise ServiceError(f"`{' '.join(command)}` took more than {_SECONDS} s:\n{tail(log)}") from exc
    if code:
        raise ServiceError(f"`{' '.join(command)}` ended with code {code}:\n{tail(log)}")
