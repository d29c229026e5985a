from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from watson import tether
from watson.embedded.supervisor import Patience, Program, ProgramFailed, Supervisor

HASTY = Patience(quick=5.0, deaths=3, backoff=0.02, backoff_max=0.05)
DEADLINE = 20.0


def _program(tmp_path: Path, script: str, **more) -> Program:
    return Program("worker", ("bash", "-c", script), tmp_path / "logs/worker.log", **more)


async def _until(condition, what: str):
    end = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {DEADLINE:g} s: {what}"
        await asyncio.sleep(0.02)
    return found


def _alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def _read_pid(path: Path) -> int:
    text = path.read_text() if path.exists() else ""
    return int(text) if text.endswith("\n") else 0


async def test_a_program_that_dies_is_started_again(tmp_path: Path) -> None:
    said: list[str] = []
    async with Supervisor(HASTY, said.append) as supervisor:
        supervisor.start(_program(tmp_path, "exec sleep 60"))
        first = await _until(lambda: supervisor.pid("worker"), "first life")
        os.kill(first, signal.SIGKILL)
        await _until(lambda: supervisor.pid("worker") not in (None, first), "second life")
    assert said == ["worker ended with signal 9 (SIGKILL); starts again in 0.02 s"]


async def test_one_that_dies_again_and_again_is_given_up_with_the_end_of_its_log(tmp_path: Path) -> None:
    async with Supervisor(HASTY) as supervisor:
        supervisor.start(_program(tmp_path, "echo the disk is full; exit 3"))
        with pytest.raises(ProgramFailed, match=r"3 times .* exit code 3") as raised:
            await asyncio.wait_for(supervisor.failed(), DEADLINE)
    assert "the disk is full" in str(raised.value)
    assert (tmp_path / "logs/worker.log").read_text().count("the disk is full") == 3


async def test_a_long_life_clears_the_count_of_deaths(tmp_path: Path) -> None:
    patience = Patience(quick=0.1, deaths=2, backoff=0.01, backoff_max=0.01)
    async with Supervisor(patience) as supervisor:
        supervisor.start(_program(tmp_path, "echo life; sleep 0.3"))
        log = tmp_path / "logs/worker.log"
        await _until(lambda: log.exists() and log.read_text().count("life") >= 4, "four lives")


async def test_one_that_is_not_to_be_restarted_fails_at_once(tmp_path: Path) -> None:
    async with Supervisor(HASTY) as supervisor:
        supervisor.start(_program(tmp_path, "exit 0", restart=False))
        with pytest.raises(ProgramFailed, match="exit code 0"):
            await asyncio.wait_for(supervisor.failed(), DEADLINE)


async def test_stopping_asks_first_so_that_a_program_can_finish(tmp_path: Path) -> None:
    async with Supervisor(HASTY) as supervisor:
        supervisor.start(
            _program(tmp_path, "trap 'echo finished; exit 0' TERM; echo ready; while :; do sleep 0.05; done")
        )
        log = tmp_path / "logs/worker.log"
        await _until(lambda: log.exists() and "ready" in log.read_text(), "ready")
    assert log.read_text().endswith("finished\n")


async def test_one_that_does_not_listen_is_killed_after_its_grace(tmp_path: Path) -> None:
    async with Supervisor(HASTY) as supervisor:
        stubborn = f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.1; done"
        supervisor.start(_program(tmp_path, stubborn, grace=0.3))
        pid = await _until(lambda: _read_pid(tmp_path / "pid"), "start")
        began = time.monotonic()
    assert not _alive(pid)
    assert time.monotonic() - began < 8


async def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    async with Supervisor(HASTY) as supervisor:
        supervisor.start(_program(tmp_path, f"sleep 60 & echo $! > {tmp_path}/pid; wait"))
        pid = await _until(lambda: _read_pid(tmp_path / "pid"), "grandchild")
    await _until(lambda: not _alive(pid), "end of the grandchild")


_OWNER = """
import asyncio, sys
from pathlib import Path
from watson.embedded.supervisor import Program, Supervisor
async def main():
    async with Supervisor() as supervisor:
        script = "echo $$ > " + sys.argv[1] + "/pid; exec sleep 60"
        supervisor.start(Program("worker", ("bash", "-c", script), Path(sys.argv[1]) / "log"))
        await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.parametrize("watched", [False, True], ids=["by the kernel", "by watching"])
async def test_no_process_is_left_when_the_supervisor_itself_is_killed(tmp_path: Path, watched: bool) -> None:
    environment = os.environ | ({"TETHER_WATCH": "1"} if watched else {})
    owner = subprocess.Popen([sys.executable, "-c", _OWNER, str(tmp_path)], env=environment)
    try:
        pid = await _until(lambda: _read_pid(tmp_path / "pid"), "start")
        assert _alive(pid)
        owner.kill()
        owner.wait()
        await _until(lambda: not _alive(pid), "end of the program")
    finally:
        owner.kill()
        owner.wait()


def test_a_program_whose_owner_is_gone_already_is_not_started(tmp_path: Path) -> None:
    marker = tmp_path / "started"
    done = subprocess.run(
        [sys.executable, tether.__file__, "1", "touch", str(marker)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 1
    assert "the parent is gone" in done.stderr
    assert not marker.exists()


async def test_ctrl_c_in_the_terminal_reaches_the_supervisor_alone(tmp_path: Path) -> None:
    async with Supervisor(HASTY) as supervisor:
        supervisor.start(_program(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60"))
        pid = await _until(lambda: _read_pid(tmp_path / "pid"), "start")
        assert os.getsid(pid) != os.getsid(0)


async def test_killing_ends_all_at_once_and_nothing_is_started_again(tmp_path: Path) -> None:
    async with Supervisor(HASTY) as supervisor:
        supervisor.start(_program(tmp_path, f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.1; done"))
        pid = await _until(lambda: _read_pid(tmp_path / "pid"), "start")
        supervisor.kill()
        await _until(lambda: supervisor.pid("worker") is None, "end")
    assert not _alive(pid)
