from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.shell import Outcome, Shell
from tests.services.process import wait_until
from tests.storage.events import changed
from watson import __version__
from watson.embedded.progress import Stalled
from watson.errors import BrokerUnavailable, ReasonCode, Refused, Retriable, UserError, WatsonError

JOB = "street-1"
WATSON = [sys.executable, "-m", "watson"]


def ended_by(watson: Shell, exc: BaseException) -> Outcome:
    """How the program ends where a command raises this."""

    def command() -> None:
        raise exc

    with watson.monkeypatch.context() as patch:
        patch.setattr("watson.cli.app.app", command)
        return watson()


def test_the_version_is_printed(watson):
    assert watson("--version") == Outcome(0, f"{__version__}\n", "")


def test_python_dash_m_watson_is_the_same_command():
    done = subprocess.run([*WATSON, "--version"], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"{__version__}\n"


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_all_commands(watson, flag):
    done = watson(flag)
    assert (done.code, done.err) == (0, "")
    listed = {line.split()[0] for line in done.out.partition("Commands:")[2].splitlines() if line.strip()}
    assert listed >= {
        "run", "submit", "status", "jobs", "dead-letters", "audit", "export", "worker", "topics", "catalogue", "project"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nope"], "nope"),
        (["jobs", "lists"], "lists"),
        (["jobs", "list", "--jsn"], "--jsn"),
        (["status"], "JOB"),
        (["status", "a", "b"], "b"),
        (["submit", "."], "--dataset"),
        (["export", "a"], "--out"),
        (["submit", ".", "-d", "a", "--long-side", "31"], "--long-side"),
        (["submit", ".", "-d", "a", "--long-side", "big"], "--long-side"),
        (["submit", ".", "-d", "a", "--least-score", "1.1"], "--least-score"),
        (["submit", ".", "-d", "a", "--least-area", "nan"], "--least-area"),
        (["dead-letters", "list", "--most", "0"], "--most"),
        (["dead-letters", "retry", "--image", "cat.jpg"], "--image"),
    ],
)
def test_a_mistake_in_the_call_ends_with_2_and_names_it(watson, arguments, named):
    done = watson(*arguments)
    assert (done.code, done.out) == (2, "")
    assert named in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("exc", "code"),
    [
        (UserError("why"), 2),
        (Refused(ReasonCode.CORRUPT, "why"), 2),
        (WatsonError("why"), 1),
        (Retriable("why"), 69),
        (BrokerUnavailable("why"), 69),
        (Stalled("why"), 75),
    ],
)
def test_each_family_of_errors_is_one_line_and_has_its_exit_code(watson, exc, code):
    assert ended_by(watson, exc) == Outcome(code, "", "watson: why\n")


def test_an_error_is_shown_letter_by_letter_however_much_it_looks_like_markup(watson):
    said = "[red]a:b:c[/red] " + "and a long story " * 20
    assert ended_by(watson, UserError(said)).err == f"watson: {said}\n"


def test_an_error_of_a_file_names_it_and_ends_with_74(watson):
    exc = PermissionError(errno.EACCES, "Permission denied", "photographs/cat.jpg")
    assert ended_by(watson, exc).refused(74) == "watson: photographs/cat.jpg: Permission denied"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no device that is always full")
def test_a_full_disk_is_said_in_one_line_and_ends_with_74(watson):
    watson.migrate()
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*WATSON, "jobs", "list", "--json"], stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    assert (done.returncode, done.stderr) == (74, "watson: No space left on device\n")


def test_what_nobody_foresaw_keeps_its_traceback(watson):
    with pytest.raises(OSError, match="Bad file descriptor"):
        ended_by(watson, OSError(errno.EBADF, "Bad file descriptor"))
    with pytest.raises(ZeroDivisionError):
        ended_by(watson, ZeroDivisionError())


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "a\udcff", "--once"],
        ["export", "a\udcff", "--out", "out"],
        ["export", "a", "--out", "\udcff"],
        ["dead-letters", "list", "--job", "a\udcff"],
        ["submit", ".", "-d", "a", "--model", "\udcff"],
        ["submit", ".", "-d", "a", "--category", "\udcff"],
    ],
)
def test_an_argument_that_is_not_text_is_refused_in_one_line(watson, arguments):
    watson.migrate()
    assert "is not text in UTF-8" in watson(*arguments).refused()


def test_a_reader_that_leaves_early_gets_no_traceback(watson):
    watson.write(changed(JOB))
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*WATSON, "jobs", "list"], stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=60
    )
    os.close(write)
    assert done.stderr == ""
    assert done.returncode != 0


def test_control_c_ends_a_command_with_130_and_no_traceback(watson, tmp_path):
    watson.write(changed(JOB))
    out = tmp_path / "out"
    with out.open("w") as file:
        process = subprocess.Popen(
            [*WATSON, "status", JOB],
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - ignored where the tests run in a shell's background
        )
    try:
        assert wait_until(lambda: "listing" in out.read_text(), seconds=60)
        process.send_signal(2)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "watson: interrupted\n")


def test_a_catalogue_that_was_never_made_is_said_to_be_missing_and_how_to_make_it(watson):
    for arguments in (
        ["jobs", "list"],
        ["status", JOB],
        ["jobs", "cancel", JOB],
        ["dead-letters", "list"],
        ["dead-letters", "retry"],
        ["export", JOB, "--out", "out"],
        ["audit", JOB],
        ["project", "rebuild", "--yes"],
    ):
        assert "watson catalogue migrate" in watson(*arguments).refused()
    assert not watson.database.exists()


def test_a_file_that_is_no_database_is_not_taken_for_a_catalogue(watson):
    watson.database.write_text("no database, and long enough to be looked at closely " * 10)
    assert "file is not a database" in watson("jobs", "list").refused()
    assert "file is not a database" in watson("catalogue", "migrate").refused()
