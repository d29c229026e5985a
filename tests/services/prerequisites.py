"""What the machine has to bring for the tests: a JDK, Maven and Go; Chromium and Prometheus. Where it may, apt does it.

The tests' servers cannot do without the first three. Without Chromium the tests that look at pages are left out,
without Prometheus those of rules and dashboards.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.services.report import ServiceError, say

_JAVA_LEAST = (17,)
_GO_LEAST = (1, 21)  # the first that fetches the newer toolchain which a module asks for
_INSTALL_SECONDS = 900
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

_Wanted = tuple[tuple[Callable[[], str], str], ...]
"""How to find each, and Debian's package of it."""


def java() -> str:
    """The path of a Java that is new enough: JAVA_HOME's, or else the first on the PATH.

    Raises:
        ServiceError: there is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    name = str(Path(home, "bin", "java")) if home else "java"
    remedy = "Install a JDK 17 or newer (Debian: openjdk-17-jdk-headless), or point JAVA_HOME at one."
    return _new_enough(name, ["-version"], r'version "([\d.]+)', _JAVA_LEAST, remedy)


def maven() -> str:
    """The path of Maven.

    Raises:
        ServiceError: there is none.
    """
    return _path("mvn", "Install Maven (Debian: maven).")


def go() -> str:
    """The path of a Go that is new enough.

    Raises:
        ServiceError: there is none, or it is too old.
    """
    remedy = "Install Go 1.21 or newer (Debian 13: golang-go; Debian 12's is too old)."
    return _new_enough("go", ["version"], r"go([\d.]+)", _GO_LEAST, remedy)


def chromium() -> str:
    """The path of a Chromium.

    Raises:
        ServiceError: there is none.
    """
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    remedy = "Install it (Debian: chromium)."
    raise ServiceError(f"There is no `chromium`: the tests that look at pages are left out. {remedy}")


def prometheus() -> str:
    """The path of Prometheus; `promtool` comes with it.

    Raises:
        ServiceError: there is none.
    """
    if (path := shutil.which("prometheus")) and shutil.which("promtool"):
        return path
    remedy = "Install it (Debian: prometheus)."
    raise ServiceError(f"There is no `prometheus`: tests of metrics, rules and dashboards are left out. {remedy}")


def _path(name: str, remedy: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ServiceError(f"The tests' servers need `{name}`, which is not there. {remedy}")
    return path


def _new_enough(name: str, question: list[str], pattern: str, least: tuple[int, ...], remedy: str) -> str:
    path = _path(name, remedy)
    asked = subprocess.run([path, *question], capture_output=True, text=True, check=False, timeout=60)
    shown = (asked.stdout + asked.stderr).strip()
    found = re.search(pattern, shown)
    if found is None or tuple(int(part) for part in found[1].strip(".").split(".")) < least:
        raise ServiceError(f"{path} is not {'.'.join(map(str, least))} or newer; it says: {shown!r}. {remedy}")
    return path


_REQUIRED = ((java, "openjdk-17-jdk-headless"), (maven, "maven"), (go, "golang-go"))
_OPTIONAL = ((chromium, "chromium"), (prometheus, "prometheus"))


def missing(wanted: _Wanted = _REQUIRED) -> dict[str, str]:
    """What is not there or too old: Debian's package of each, with the message that says so."""
    found = {}
    for find, package in wanted:
        try:
            find()
        except ServiceError as exc:
            found[package] = str(exc)
    return found


def provide() -> None:
    """Check for all of them; what is missing is installed by apt, as root or by a sudo that asks for no password.

    The environment variable NO_INSTALL=1 forbids installing. Says which tests are left out for want of the others.

    Raises:
        ServiceError: something that the servers need is still missing; says what to install.
    """
    lacking = missing(_REQUIRED + _OPTIONAL)
    if lacking and (apt := _apt()):
        say("\n".join(lacking.values()))
        say(f"Installing with apt-get: {', '.join(lacking)} (NO_INSTALL=1 forbids it) ...")
        _run([*apt, "update", "-q"])
        _run([*apt, "install", "-q", "-y", "--no-install-recommends", *lacking])
    if lacking := missing():
        raise ServiceError("\n".join(lacking.values()))
    for message in missing(_OPTIONAL).values():
        say(message)


def _apt() -> list[str]:
    """How to call an apt-get that may install; empty where that cannot be."""
    if os.environ.get("NO_INSTALL") or shutil.which("apt-get") is None:
        return []
    if os.geteuid() == 0:
        return ["apt-get"]
    sudo = ["sudo", "-n"]
    allowed = shutil.which("sudo") and subprocess.run([*sudo, "true"], capture_output=True, check=False).returncode == 0
    return [*sudo, "apt-get"] if allowed else []


def _run(command: list[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    code = subprocess.run(
        command, stdin=subprocess.DEVNULL, env=environment, check=False, timeout=_INSTALL_SECONDS
    ).returncode
    if code:
        raise ServiceError(f"`{' '.join(command)}` ended with code {code}.")
