"""What is said where Java, Maven or Go are missing or too old: the programs are scripts that print a version."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.services import prerequisites
from tests.services.report import ServiceError


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder which is all of the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("NO_INSTALL", "1")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return tmp_path


def _write(folder: Path, name: str, says: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    file.chmod(0o755)


@pytest.mark.parametrize("version", ['openjdk version "17.0.15" 2025-04-15', 'openjdk version "21" 2023-09-19'])
def test_a_java_that_is_new_enough_is_found(programs: Path, version: str) -> None:
    _write(programs, "java", version)
    assert prerequisites.java() == str(programs / "java")


@pytest.mark.parametrize("version", ['openjdk version "11.0.2" 2019-01-15', 'java version "1.8.0_202"', "no java here"])
def test_an_old_java_is_refused_with_what_to_install(programs: Path, version: str) -> None:
    _write(programs, "java", version)
    with pytest.raises(ServiceError, match=r"is not 17 or newer.*openjdk-17"):
        prerequisites.java()


def test_java_home_comes_before_the_path(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(programs, "java", 'openjdk version "11.0.2"')
    home = programs / "jdk"
    (home / "bin").mkdir(parents=True)
    _write(home / "bin", "java", 'openjdk version "17.0.2"')
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert prerequisites.java() == str(home / "bin" / "java")


@pytest.mark.parametrize("version", ["go version go1.21.0 linux/amd64", "go version go1.26.8 darwin/arm64"])
def test_a_go_that_is_new_enough_is_found(programs: Path, version: str) -> None:
    _write(programs, "go", version)
    assert prerequisites.go() == str(programs / "go")


def test_an_old_go_is_refused_with_what_to_install(programs: Path) -> None:
    _write(programs, "go", "go version go1.19.8 linux/amd64")
    with pytest.raises(ServiceError, match=r"is not 1\.21 or newer.*Install Go"):
        prerequisites.go()


def test_everything_that_is_missing_is_named_at_once(programs: Path) -> None:
    with pytest.raises(ServiceError, match=r"(?s)`java`.*`mvn`.*`go`"):
        prerequisites.provide()


def test_apt_is_asked_for_what_is_missing_and_nothing_else(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(programs, "mvn", "Apache Maven 3.8.7")
    _write(programs, "go", "go version go1.26.8 linux/amd64")
    _write(programs, "chromium", "Chromium 156")
    _write(programs, "prometheus", "")
    _write(programs, "promtool", "")
    log = programs / "apt.log"
    apt = programs / "apt-get"
    _write(programs, "apt-get", "")
    install_java = (
        f"printf '#!/bin/sh\\necho version \\\\\"17.0.1\\\\\" >&2\\n' > {programs}/java; /bin/chmod +x {programs}/java"
    )
    apt.write_text(f'#!/bin/sh\necho "$@" >> {log}\n[ $1 = update ] || {{ {install_java}; }}\n')
    monkeypatch.delenv("NO_INSTALL")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    prerequisites.provide()
    update, install = log.read_text().splitlines()
    assert update.startswith("update")
    assert install.split()[-1] == "openjdk-17-jdk-headless"


def test_without_a_browser_it_goes_on_and_says_which_tests_are_left_out(
    programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(programs, "java", 'openjdk version "17.0.15"')
    _write(programs, "mvn", "Apache Maven 3.8.7")
    _write(programs, "go", "go version go1.26.8 linux/amd64")
    prerequisites.provide()
    said = capsys.readouterr()
    assert "the tests that look at pages are left out" in said.out + said.err


def test_any_of_the_usual_names_of_a_browser_will_do(programs: Path) -> None:
    _write(programs, "google-chrome", "Google Chrome 156")
    assert prerequisites.chromium() == str(programs / "google-chrome")
