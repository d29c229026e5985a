"""The repository itself: what it must not contain, and that its front doors agree with each other."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Joined here, so that this file is not the one that contains them.
REGISTRIES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("maven", "org"),
        ("npmjs", "com"),
        ("npmjs", "org"),
        ("proxy", "golang", "org"),
        ("debian", "org"),
        ("ubuntu", "com"),
        ("conda", "anaconda", "org"),
    )
)
# A home or a working folder of one machine, but not a part of an address or of a longer path.
MACHINE_PATH = re.compile(r"(?<![\w.\-/~}*])/(?:home|root|Users|work)/[\w.\-]+")


def _files() -> dict[str, str]:
    """Each text file that is, or is about to be, part of the repository, with its text."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    texts = {}
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and not path.is_symlink() and b"\0" not in (data := path.read_bytes()):
            texts[name] = data.decode(errors="replace")
    return texts


def _lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in _files().items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def _constraints() -> dict[str, str]:
    """Each pinned package, normalised, with the rest of its line."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line.partition("==") for line in lines if line and not line.startswith("#")]
    return {_normalised(name): rest for name, _, rest in pins}


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_no_file_names_the_host_of_a_package_registry() -> None:
    hosts = re.compile("|".join(re.escape(host) for host in REGISTRIES))
    assert _lines_with(hosts) == []


def test_no_file_names_a_path_of_one_machine() -> None:
    here = {re.escape(str(path)) for path in (ROOT, Path.home()) if len(path.parts) > 2}
    assert _lines_with(re.compile("|".join([MACHINE_PATH.pattern, *here]))) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("cd /{}/jane/watson".format("home"), True),
        ('"/{}/project"'.format("root"), True),
        ("https://example.org/home/page", False),
        ("file:./work/objects", False),
        ("mountPath: /var/lib/watson", False),
    ],
)
def test_a_path_of_one_machine_is_told_from_other_paths(line: str, found: bool) -> None:
    assert bool(MACHINE_PATH.search(line)) is found


def test_every_make_target_is_in_the_help() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][\w-]*):", makefile, re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    shown = set(re.findall(r"^  make ([\w-]+)", _make("help").stdout, re.MULTILINE))
    assert shown == targets == set(phony[1].split())


def test_make_alone_shows_the_help() -> None:
    assert _make().stdout == _make("help").stdout != ""


def test_make_names_the_remedy_where_python_is_missing(tmp_path: Path) -> None:
    refused = _make_install(tmp_path, python="python-that-is-not-there")
    assert refused.returncode != 0
    assert "no 'python-that-is-not-there' here. Install Python 3.11 or newer" in refused.stderr


def test_make_names_the_remedy_where_python_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.2\nexit 1\n')
    old.chmod(0o755)
    refused = _make_install(tmp_path, python=str(old))
    assert refused.returncode != 0
    assert "is Python 3.9.2; Watson needs 3.11 or newer" in refused.stderr


def test_make_names_the_remedy_where_python_makes_no_virtual_environments(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n')
    bare.chmod(0o755)
    refused = _make_install(tmp_path, python=str(bare))
    assert refused.returncode != 0
    assert "apt-get install python3-venv" in refused.stderr


def _make_install(folder: Path, *, python: str) -> subprocess.CompletedProcess[str]:
    """`make install` with the virtual environment in `folder`, where there is none."""
    return _make("install", f"PYTHON={python}", f"VENV={folder / 'venv'}")


def _make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`make` as at a terminal, though the tests themselves may run under it."""
    outer = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    command = ["make", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=30)


def test_the_constraints_pin_versions_and_name_no_address() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
    for name, rest in _constraints().items():
        assert re.fullmatch(r"[\w.+!]+( ; .+)?", rest), f"{name}: {rest}"


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [requirement for group in (project["dependencies"], *extras) for requirement in group]
    names = {_normalised(re.split(r"[^\w.\-]", requirement, maxsplit=1)[0]) for requirement in wanted}
    assert names - {"watson"} - _constraints().keys() == set()


def test_the_gate_is_a_program() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
